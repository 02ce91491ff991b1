//! Break-glass: what counts as an exemption, with gpg's own signatures, and what it does to a pull.

use std::fs::Permissions;
use std::num::NonZeroUsize;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::{Duration, SystemTime};

use pullgate_policy::exemption::{Exemption, Rules, UntrustedDetached};
use pullgate_policy::signature::openpgp::Keyring;
use pullgate_tests::cri::{Cri, container, pod};
use pullgate_tests::pullgated::{Pullgated, Settings, policy};
use pullgate_tests::signer::Signer;
use pullgate_tests::version::Version;
use pullgate_tests::{place, sample};
use serde_json::json;
use tonic::{Code, Status};

use crate::broken::check;
use crate::scene::{NAME, Scene};

const REJECTED: &str = "SignatureValidationFailed: ";
const HOUR: Duration = Duration::from_secs(3600);

#[test]
fn admins_count_once_each_and_only_with_good_keys() {
    let (alice, bob, stranger) = (Signer::new(), Signer::new(), Signer::new());
    let (revoked, expired) = (Signer::revoked(), Signer::expired());
    let text = terms(&["registry.example"], SystemTime::now(), 2 * HOUR);
    let changed = text.replace("registry.example", "registry.exampla");
    let sign = |signer: &Signer| signer.sign_detached(text.as_bytes());
    let subkeys = [0, 1].map(|_| alice.sign_detached_with_subkey(text.as_bytes()));
    let files = [&alice, &bob, &revoked, &expired]
        .map(|signer| std::fs::read(signer.public_key()).expect("the key to be there"));
    let keyring = Keyring::parse(files.iter().map(Vec::as_slice)).expect("a keyring");
    let (a, b) = (sign(&alice), sign(&bob));
    let inline = alice.sign_bytes(text.as_bytes());
    for (case, text, signatures, expected) in [
        ("both", &text, vec![a.clone(), b.clone()], None),
        ("both in one file", &text, vec![[a.clone(), b.clone()].concat()], None),
        ("none", &text, vec![], Some("signed by 0 of the 2 admin keys")),
        ("one", &text, vec![a.clone()], Some("signed by 1 of the 2 admin keys")),
        ("one twice", &text, vec![a.clone(), sign(&alice)], Some("signed by 1 of the 2")),
        ("one, copied", &text, vec![a.clone(), a.clone()], Some("signed by 1 of the 2")),
        ("two subkeys", &text, subkeys.to_vec(), Some("signed by 1 of the 2")),
        ("a subkey and its primary", &text, vec![a.clone(), subkeys[0].clone()], Some("by 1 of")),
        ("a subkey and another", &text, vec![subkeys[1].clone(), b.clone()], None),
        ("a stranger", &text, vec![a.clone(), sign(&stranger)], Some("which is none of")),
        ("a revoked key", &text, vec![a.clone(), sign(&revoked)], Some("was revoked")),
        ("an ended key", &text, vec![a.clone(), sign(&expired)], Some("expired on")),
        ("a changed byte", &changed, vec![a, b.clone()], Some("signed by 0 of the 2")),
        ("a message", &text, vec![inline, b.clone()], Some("signed by 1 of the 2")),
        ("garbage", &text, vec![b"garbage".to_vec(), b], Some("signed by 1 of the 2")),
    ] {
        let number =
            |(number, content)| UntrustedDetached { name: format!("{number}.sig"), content };
        let signatures: Vec<_> = signatures.into_iter().enumerate().map(number).collect();
        let required = NonZeroUsize::new(2).expect("two");
        let rules = Rules { keyring: &keyring, required, longest: 24 * HOUR };
        let now = SystemTime::now();
        let found = Exemption::verify("a.json", text.as_bytes(), &signatures, rules, now);
        match (found, expected) {
            (Ok(exemption), None) => assert_eq!(exemption.signers().len(), 2, "{case}"),
            (Err(error), Some(words)) => {
                assert!(error.to_string().contains(words), "{case}: {error}");
            }
            (found, _) => panic!("{case}: {found:?}"),
        }
    }
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "one scene, told in its order")]
async fn an_exemption_lets_in_what_it_covers_while_it_lasts() {
    let (release, alice, bob) = (Signer::new(), Signer::new(), Signer::new());
    let folder = place::on_disk("exemptions");
    let keys = [alice.public_key(), bob.public_key()];
    let extra = format!(
        "break_glass.exemptions = '{}'\nbreak_glass.keys = {keys:?}\nbreak_glass.required = 2\n",
        folder.path().display()
    );
    let settings = Settings {
        policy: Some(policy(NAME, &release.public_key())),
        extra: extra.clone(),
        ..Settings::default()
    };
    let mut scene = Scene::with(Version::V1_6, Default::default(), settings).await;
    for name in ["team/app", "team/altered", "other"] {
        sample::tiny(name).store(&scene.registry, name, "v1");
    }
    let altered = &sample::tiny("team/altered").layers[0].digest;
    scene.registry.tamper(altered, |bytes| bytes[20] ^= 1);
    let missing = (Code::Unknown, REJECTED, "SIGNATURE_MISSING");
    let path = folder.path().join("incident.json");
    let put = |text: &str, signers: &[(&str, &Signer)]| {
        for (name, signer) in signers {
            let signature = signer.sign_detached(text.as_bytes());
            write(&folder.path().join(format!("incident.json.{name}.sig")), &signature);
        }
        write(&path, text.as_bytes());
    };
    let refused = async |scene: &Scene, name: &str, words: &str| {
        let answer = scene.pull(name).await;
        check(scene, name, answer, missing);
        assert!(scene.gate.log().contains(words), "{words} in {}", scene.gate.log());
    };

    refused(&scene, "team/app:v1", "").await;
    let text = terms(&["registry.example/team"], SystemTime::now(), 2 * HOUR);
    put(&text, &[("alice", &alice)]);
    refused(&scene, "team/app:v1", "does not count: signed by 1 of the 2 admin keys").await;
    put(&text, &[("alice", &alice), ("bob", &bob)]);
    scene.pull("team/app:v1").await.expect("the exemption to count without a restart");
    let log = scene.gate.log();
    let record = log.lines().rfind(|line| line.contains("PULL_ID=")).expect("a record");
    let (one, other) = (alice.fingerprint(), bob.fingerprint());
    for words in [
        "WARN accepted registry.example/team/app:v1 under the exemption incident.json of carol",
        "despite: A signature was required",
        "REASON=\"EXEMPTED\"",
        "EXEMPTION=\"incident.json sha256:",
        one,
        other,
    ] {
        assert!(record.contains(words), "{words} in {record}");
    }
    refused(&scene, "other:v1", "exemption incident.json does not cover").await;
    let answer = scene.pull("team/altered:v1").await;
    let mismatch = (Code::FailedPrecondition, "expected sha256:", "CONTENT_MISMATCH");
    check(&scene, "team/altered:v1", answer, mismatch);

    let good = std::fs::read(scene.gate.policy()).expect("the policy");
    std::fs::write(scene.gate.policy(), "{").expect("the policy to be written");
    scene.pull("team/app:v1").await.expect("a broken policy is overruled, too");
    let answer = scene.pull("other:v1").await;
    check(&scene, "other:v1", answer, (Code::Unknown, REJECTED, "POLICY_UNUSABLE"));
    std::fs::write(scene.gate.policy(), good).expect("the policy to be written");

    std::fs::set_permissions(&path, Permissions::from_mode(0o666)).expect("another mode");
    refused(&scene, "team/app:v1", "others than its owner must not write it").await;
    std::fs::remove_file(&path).expect("the exemption to be removed");
    refused(&scene, "team/app:v1", "").await;

    for (from, lasts, words) in [
        (SystemTime::now() + HOUR, HOUR, "does not count: it begins on"),
        (SystemTime::now() - 2 * HOUR, HOUR, "does not count: it ended on"),
        (SystemTime::now(), 25 * HOUR, "does not count: it lasts 1day 1h"),
    ] {
        put(&terms(&["registry.example"], from, lasts), &[("alice", &alice), ("bob", &bob)]);
        refused(&scene, "team/app:v1", words).await;
    }
    put(
        &terms(&["registry.example"], SystemTime::now() - HOUR, HOUR + Duration::from_secs(8)),
        &[("alice", &alice), ("bob", &bob)],
    );
    scene.pull("other:v1").await.expect("it is in force for seconds");
    scene.wait_until("it ends by itself", async || scene.pull("other:v1").await.is_err()).await;
    refused(&scene, "other:v1", "does not count: it ended on").await;

    put(&text, &[("alice", &alice), ("bob", &bob)]);
    scene.settings.extra = format!("break_glass.exemptions = '{}'\n", folder.path().display());
    scene.gate = Pullgated::start(&scene.containerd, &scene.settings).await;
    refused(&scene, "team/app:v1", "config.toml names no `break_glass.keys`").await;
}

#[tokio::test]
async fn a_container_of_an_exempted_image_is_made_only_while_the_exemption_is_there() {
    let (release, alice) = (Signer::new(), Signer::new());
    let folder = place::on_disk("exemptions");
    let extra = format!(
        "break_glass.exemptions = '{}'\nbreak_glass.keys = {:?}\nbreak_glass.required = 1\n",
        folder.path().display(),
        [alice.public_key()]
    );
    let settings = Settings {
        policy: Some(policy(NAME, &release.public_key())),
        extra,
        ..Settings::default()
    };
    let mut scene = Scene::with(Version::V1_6, Default::default(), settings).await;
    let app = sample::waiting("exempted");
    app.store(&scene.registry, "app", "v1");
    sample::waiting("pause").store(&scene.registry, "pause", "3.10");
    let text = terms(&[NAME], SystemTime::now(), HOUR);
    write(&folder.path().join("a.json.sig"), &alice.sign_detached(text.as_bytes()));
    write(&folder.path().join("a.json"), text.as_bytes());
    let (pod, name) = (pod("default", "pod"), format!("{NAME}/app:v1"));
    let gate = scene.gate.cri().await;
    let sandbox = gate.run_sandbox(&pod).await.expect("the exemption covers the sandbox image");
    gate.pull_for("default", &name).await.expect("the exemption covers it");
    let create = async |gate: &Cri| {
        let config = container("default", &app.config.digest, &name);
        let id = gate.create(&sandbox, &pod, config).await?;
        gate.remove_container(&id).await.expect("the container to be removed");
        Ok::<_, Status>(())
    };

    create(&gate).await.expect("the exemption covers it");
    std::fs::remove_file(folder.path().join("a.json")).expect("the exemption to be removed");
    let status = create(&gate).await.expect_err("what was exempted once is not accepted");
    assert!(status.message().starts_with(REJECTED), "{}", status.message());
    assert!(
        last_record(&scene).contains("REASON=\"SIGNATURE_MISSING\""),
        "{}",
        last_record(&scene)
    );

    scene.settings.extra += "mode.namespaces.default = 'audit'\n";
    scene.gate = Pullgated::start(&scene.containerd, &scene.settings).await;
    create(&scene.gate.cri().await).await.expect("audit blocks nothing");
    let would = async || last_record(&scene).contains("would reject");
    scene.wait_until("the verdict is recorded", would).await;
    scene.native().await.remove_sandbox(&sandbox).await.expect("the sandbox to be removed");
}

fn last_record(scene: &Scene) -> String {
    let log = scene.gate.log();
    log.lines().rfind(|line| line.contains("PULL_ID=")).unwrap_or_default().to_owned()
}

fn terms(scopes: &[&str], from: SystemTime, lasts: Duration) -> String {
    let time = |time| humantime::format_rfc3339_seconds(time).to_string();
    json!({
        "scopes": scopes,
        "not_before": time(from),
        "not_after": time(from + lasts),
        "reason": "the signing service is down",
        "who": "carol@example.com",
    })
    .to_string()
}

fn write(path: &Path, bytes: &[u8]) {
    std::fs::write(path, bytes).expect("a file in a folder of our own");
    std::fs::set_permissions(path, Permissions::from_mode(0o644)).expect("the usual mode");
}
