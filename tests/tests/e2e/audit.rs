//! Audit mode: every image enters as fast as if nobody asked, and the journal says what would have been
//! rejected.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use pullgate_tests::cri::{container, pod};
use pullgate_tests::pullgated::{Settings, accept_anything, policy};
use pullgate_tests::sample;
use pullgate_tests::signer::{Lookaside, Signer};
use pullgate_tests::version::Version;
use tonic::Code;

use crate::broken::check;
use crate::scene::{NAME, Scene};

#[tokio::test]
async fn audit_says_what_would_be_rejected_and_lets_everything_in() {
    let (release, lookaside) = (Signer::new(), Lookaside::new());
    let settings = Settings {
        policy: Some(policy(NAME, &release.public_key())),
        registries_d: Some(lookaside.registries_d(NAME, &lookaside.url())),
        extra: "mode.scopes.'registry.example' = 'audit'\nmode.namespaces.strict = 'enforce'\n"
            .to_owned(),
        ..Settings::default()
    };
    let scene = Scene::with(Version::V1_6, Default::default(), settings).await;
    let signed = sample::tiny("signed");
    signed.store(&scene.registry, "signed", "v1");
    let digest = &signed.manifest.digest;
    lookaside.add("signed", digest, &release.sign(digest, &format!("{NAME}/signed:v1")));
    sample::tiny("unsigned").store(&scene.registry, "unsigned", "v1");
    let altered = sample::tiny("altered");
    altered.store(&scene.registry, "altered", "v1");
    scene.registry.tamper(&altered.layers[0].digest, |bytes| bytes[20] ^= 1);

    scene.pull("signed:v1").await.expect("accepted");
    recorded(&scene, "signed:v1", &["accepted ", "REASON=\"SIGNED\"", "MODE=\"audit\""]).await;
    scene.pull("unsigned:v1").await.expect("audit lets it in");
    let words = ["would reject ", "REASON=\"SIGNATURE_MISSING\"", "no signature exists"];
    recorded(&scene, "unsigned:v1", &words).await;

    let image = format!("{NAME}/unsigned:v1");
    let refused = scene.gate.cri().await.pull_for("strict", &image).await;
    let rejected = (Code::Unknown, "SignatureValidationFailed: ", "SIGNATURE_MISSING");
    check(&scene, "unsigned:v1", refused, rejected);

    // What is wrong with the image itself stays an error.
    let missing = scene.pull("missing:v1").await;
    check(&scene, "missing:v1", missing, (Code::NotFound, "404", "IMAGE_NOT_FOUND"));
    let answer = scene.pull("altered:v1").await;
    let mismatch = (Code::FailedPrecondition, "expected sha256:", "CONTENT_MISMATCH");
    check(&scene, "altered:v1", answer, mismatch);

    std::fs::write(scene.gate.policy(), "{").expect("the policy to be written");
    scene.pull("unsigned:v1").await.expect("a broken policy blocks nothing either");
    recorded(&scene, "unsigned:v1", &["would reject ", "REASON=\"POLICY_UNUSABLE\""]).await;
    scene.settle().await;
}

/// One image under two names: the one that the pod gives decides, and without it the stricter one.
#[tokio::test]
async fn a_name_that_is_enforced_is_not_excused_by_one_that_is_audited() {
    let settings = Settings {
        policy: Some(policy(NAME, &Signer::new().public_key())),
        extra: "mode.scopes.'registry.example/audited' = 'audit'\n".to_owned(),
        ..Settings::default()
    };
    let scene = Scene::with(Version::V1_6, Default::default(), settings).await;
    let (gate, image) = (scene.gate.cri().await, sample::tiny("unsigned"));
    let create = async |name: &str| {
        let config = container("default", &image.config.digest, name);
        let created = gate.create("no-such-sandbox", &pod("default", "pod"), config).await;
        created.expect_err("no sandbox").message().starts_with("SignatureValidationFailed: ")
    };
    let [audited, enforced] = ["audited", "enforced"].map(|name| {
        image.store(&scene.registry, name, "v1");
        format!("{NAME}/{name}:v1")
    });
    gate.pull(&audited).await.expect("audit lets it in");
    assert!(!create("").await, "it has no other name");
    scene.native().await.pull(&enforced).await.expect("containerd's own pull");
    assert!(!create(&audited).await, "audited");
    assert!(create(&enforced).await, "enforced");
    assert!(create("").await, "it may be either");
}

#[tokio::test]
async fn audit_does_not_wait_for_a_signature_server_that_hangs() {
    // It takes connections and never answers.
    let silent = TcpListener::bind("127.0.0.1:0").expect("a free port of loopback");
    let url = format!("http://{}", silent.local_addr().expect("an address"));
    let (release, lookaside) = (Signer::new(), Lookaside::new());
    let settings = Settings {
        policy: Some(policy(NAME, &release.public_key())),
        registries_d: Some(lookaside.registries_d(NAME, &url)),
        extra: "mode.default = 'audit'\nmode.audit_deadline = '5s'\n".to_owned(),
        ..Settings::default()
    };
    let mut scene = Scene::with(Version::V1_6, Default::default(), settings).await;
    scene.gate.set_policy_of("accepting", &accept_anything());
    let cri = scene.gate.cri().await;
    let (mut accepting, mut auditing) = (Vec::new(), Vec::new());
    for round in 0..9 {
        for (namespace, times) in [("accepting", &mut accepting), ("any", &mut auditing)] {
            let name = format!("{namespace}-{round}");
            sample::tiny(&name).store(&scene.registry, &name, "v1");
            let begin = Instant::now();
            cri.pull_for(namespace, &format!("{NAME}/{name}:v1")).await.expect("it enters");
            times.push(begin.elapsed());
        }
    }
    let (accepting, auditing) = (median(accepting), median(auditing));
    assert!(auditing < accepting * 2, "accepting {accepting:?}, auditing {auditing:?}");

    let words = ["would reject ", "REASON=\"NO_VERDICT\"", "mode.audit_deadline"];
    recorded(&scene, "any-0:v1", &words).await;

    sample::tiny("last").store(&scene.registry, "last", "v1");
    scene.pull("last:v1").await.expect("it enters");
    scene.gate.signal(Signal::SIGTERM);
    scene.gate.stop().await;
    recorded(&scene, "last:v1", &["would reject ", "REASON=\"NO_VERDICT\"", "stopped"]).await;
}

/// Waits for the record of the last pull of an image, and compares it.
async fn recorded(scene: &Scene, name: &str, words: &[&str]) {
    let met = async || {
        let log = scene.gate.log();
        let line = log.lines().rfind(|line| line.contains("PULL_ID=") && line.contains(name));
        line.is_some_and(|line| words.iter().all(|words| line.contains(words)))
    };
    scene.wait_until(&format!("{name} is recorded as {words:?}"), met).await;
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}
