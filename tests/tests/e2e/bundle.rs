//! Images that cosign 3 signed with its defaults: a bundle that refers to the image and names none.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use pullgate_tests::cosign::{Cosign, Version as CosignVersion};
use pullgate_tests::image::Blob;
use pullgate_tests::place;
use pullgate_tests::pullgated::{Pullgated, Settings};
use pullgate_tests::registry::Registry;
use pullgate_tests::sample;
use pullgate_tests::tsa::Tsa;
use pullgate_tests::version::Version;
use serde_json::{Value, json};
use tempfile::TempDir;
use tonic::Code;

use crate::broken::check;
use crate::scene::Scene;

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "one scene, told in its order")]
async fn a_bundle_counts_for_its_own_repository_where_the_policy_says_so() {
    let (Some(release), Some(stranger)) =
        (Cosign::new(CosignVersion::V3), Cosign::new(CosignVersion::V3))
    else {
        return;
    };
    let registries_d = attachments();
    let settings = Settings {
        policy: Some(policy(&release, &json!({"type": "matchRepository"}), None)),
        registries_d: Some(registries_d.path().to_owned()),
        extra: "policy.extensions = true\n".to_owned(),
        ..Settings::default()
    };
    let scene = Scene::with(Version::V1_6, Default::default(), settings).await;
    let host = scene.registry.host();
    let publish = |name: &str, signer: &Cosign| {
        let image = sample::tiny(name);
        image.store(&scene.registry, name, "v1");
        signer.sign_with_bundle(&format!("{host}/{name}@{}", image.manifest.digest));
        image.manifest.digest
    };
    let good = publish("good", &release);
    publish("stranger", &stranger);
    let classic = sample::tiny("classic");
    classic.store(&scene.registry, "classic", "v1");
    release.sign(&format!("{host}/classic@{}", classic.manifest.digest));
    let index = sample::multi_arch("index");
    index.store(&scene.registry, "index", "v1");
    release.sign_with_bundle(&format!("{host}/index@{}", index.document.digest));
    let bundle = bundle_of(&scene.registry, "good", &good);
    for (name, text) in [("moved", bundle.clone()), ("changed", changed(&bundle))] {
        let image = sample::tiny(if name == "moved" { name } else { "good" });
        image.store(&scene.registry, name, "v1");
        attach(&scene.registry, name, &image.manifest.digest, text);
    }
    let set = |identity: Value, digest_bound: Option<&str>| {
        let text = policy(&release, &identity, digest_bound);
        std::fs::write(scene.gate.policy(), text).expect("the policy to be written");
    };
    let repository = || json!({"type": "matchRepository"});
    let pull = async |name: &str| scene.gate.cri().await.pull(&format!("{host}/{name}:v1")).await;
    let refused = async |name: &str, words: &'static str, reason: &'static str| {
        check(&scene, name, pull(name).await, (Code::Unknown, words, reason));
    };

    // Off, which is the default: nothing is asked for where it could not help.
    // cosign asks for them, too.
    let asked = || scene.registry.requests().iter().filter(|it| it.contains("referrers")).count();
    let before = asked();
    pull("classic").await.expect("what is signed the old way is accepted");
    assert_eq!(asked(), before, "{:?}", scene.registry.requests());
    refused("good", "policy.digest_bound_signatures in config.toml", "BUNDLE_NOT_ENABLED").await;
    refused("stranger", "1 sigstore bundle(s)", "BUNDLE_NOT_ENABLED").await;
    set(repository(), Some("refused"));
    refused("good", "\"digestBound\": \"ownRepository\"", "BUNDLE_NOT_ENABLED").await;

    set(repository(), Some("ownRepository"));
    pull("good").await.expect("the bundle counts for its own repository");
    assert!(scene.gate.log().contains("REASON=\"SIGNED\""), "{}", scene.gate.log());
    refused("stranger", "none of the policy's keys", "SIGNATURE_INVALID").await;
    refused("changed", "none of the policy's keys", "SIGNATURE_INVALID").await;
    refused("moved", "signs sha256:", "DIGEST_MISMATCH").await;
    refused("index", "only the index", "INDEX_ONLY_SIGNED").await;
    let blob = Blob::new("", bundle);
    scene.registry.tamper(&blob.digest, |bytes| bytes[10] ^= 1);
    refused("good", "served other bytes", "SIGNATURES_UNREADABLE").await;
    scene.registry.tamper(&blob.digest, |bytes| bytes[10] ^= 1);
    let other = json!({"type": "exactRepository", "dockerRepository": format!("{host}/other")});
    set(other, Some("ownRepository"));
    refused("good", "names no image and was found in", "IDENTITY_MISMATCH").await;
    let same = json!({"type": "exactRepository", "dockerRepository": format!("{host}/good")});
    set(same, Some("ownRepository"));
    pull("good").await.expect("the repository that the policy names");
}

#[tokio::test]
async fn one_switch_lets_bundles_count_in_the_shared_file() {
    let Some(release) = Cosign::new(CosignVersion::V3) else { return };
    let registries_d = attachments();
    let settings = Settings {
        policy: Some(policy(&release, &json!({"type": "matchRepository"}), None)),
        registries_d: Some(registries_d.path().to_owned()),
        ..Settings::default()
    };
    let scene = Scene::with(Version::V1_6, Default::default(), settings).await;
    let image = sample::tiny("good");
    image.store(&scene.registry, "good", "v1");
    let host = scene.registry.host();
    release.sign_with_bundle(&format!("{host}/good@{}", image.manifest.digest));
    let name = format!("{host}/good:v1");
    let off = scene.gate.cri().await.pull(&name).await;
    check(&scene, "good", off, (Code::Unknown, "digest_bound_signatures", "BUNDLE_NOT_ENABLED"));
    let settings = Settings {
        extra: "policy.digest_bound_signatures = true\n".to_owned(),
        ..scene.settings.clone()
    };
    let gate = Pullgated::start(&scene.containerd, &settings).await;
    gate.cri().await.pull(&name).await.expect("the bundle counts");
}

/// cosign asks a time-stamping authority of our own, which the policy's trusted root names, or not.
#[tokio::test]
async fn a_timestamp_counts_where_the_trusted_root_names_its_authority() {
    let Some(release) = Cosign::new(CosignVersion::V3) else { return };
    let registries_d = attachments();
    let (tsa, stranger) = (Tsa::new(), Tsa::new());
    let root = |tsa: &Tsa| {
        let certificates = tsa.chain((2020, 2040), (2020, 2040));
        let certificates = certificates.map(|der| json!({"rawBytes": BASE64_STANDARD.encode(der)}));
        let media_type = "application/vnd.dev.sigstore.trustedroot+json;version=0.1";
        let authority = json!({"certChain": {"certificates": certificates}});
        json!({"mediaType": media_type, "timestampAuthorities": [authority]}).to_string()
    };
    let path = registries_d.path().join("root.json");
    std::fs::write(&path, root(&tsa)).expect("a file");
    let mut requirement: Value = serde_json::from_str(&policy(
        &release,
        &json!({"type": "matchRepository"}),
        Some("ownRepository"),
    ))
    .expect("JSON");
    requirement["default"][0]["trustedRootPath"] = json!(path);
    let settings = Settings {
        policy: Some(requirement.to_string()),
        registries_d: Some(registries_d.path().to_owned()),
        extra: "policy.extensions = true\n".to_owned(),
        ..Settings::default()
    };
    let scene = Scene::with(Version::V1_6, Default::default(), settings).await;
    let host = scene.registry.host();
    let publish = |name: &str| {
        let image = sample::tiny(name);
        image.store(&scene.registry, name, "v1");
        format!("{host}/{name}@{}", image.manifest.digest)
    };
    let good = publish("good");
    tsa.while_listening(|url| release.sign_with_timestamp(url, &good));
    release.sign_with_bundle(&publish("unstamped"));
    let pull = async |name: &str| scene.gate.cri().await.pull(&format!("{host}/{name}:v1")).await;

    pull("good").await.expect("the authority of the trusted root has seen the signature");
    let answer = pull("unstamped").await;
    check(&scene, "unstamped", answer, (Code::Unknown, "is missing", "TIMESTAMP_INVALID"));
    std::fs::write(&path, root(&stranger)).expect("a file");
    let answer = pull("good").await;
    let words = "is by none of the policy's time-stamping authorities";
    check(&scene, "good", answer, (Code::Unknown, words, "TIMESTAMP_INVALID"));
}

fn attachments() -> TempDir {
    let directory = place::on_disk("registries.d");
    let text = "default-docker:\n  use-sigstore-attachments: true\n  lookaside: file:///nowhere\n";
    std::fs::write(directory.path().join("a.yaml"), text).expect("a file");
    directory
}

fn policy(signer: &Cosign, identity: &Value, digest_bound: Option<&str>) -> String {
    let mut requirement = json!({
        "type": "sigstoreSigned",
        "keyPath": signer.public_key(),
        "signedIdentity": identity,
    });
    if let Some(digest_bound) = digest_bound {
        requirement["digestBound"] = json!(digest_bound);
    }
    json!({"default": [requirement]}).to_string()
}

fn tag(digest: &str) -> String {
    digest.replacen(':', "-", 1)
}

/// The bundle that cosign left for an image.
fn bundle_of(registry: &Registry, repository: &str, digest: &str) -> Vec<u8> {
    let read = |digest: &str| std::fs::read(registry.blob(digest)).expect("a stored document");
    let parse = |bytes: Vec<u8>| serde_json::from_slice::<Value>(&bytes).expect("JSON");
    let text = |value: &Value| value.as_str().expect("a digest").to_owned();
    let list = parse(read(&registry.tagged(repository, &tag(digest))));
    let manifest = parse(read(&text(&list["manifests"][0]["digest"])));
    read(&text(&manifest["layers"][0]["digest"]))
}

/// The same bundle with another character in its signature.
fn changed(bundle: &[u8]) -> Vec<u8> {
    let mut value: Value = serde_json::from_slice(bundle).expect("JSON");
    let signature = &mut value["dsseEnvelope"]["signatures"][0]["sig"];
    let mut text = signature.as_str().expect("a signature").to_owned();
    let last = if text.as_bytes()[20] == b'A' { "B" } else { "A" };
    text.replace_range(20..21, last);
    *signature = json!(text);
    value.to_string().into_bytes()
}

/// Attaches a bundle to an image as cosign does.
fn attach(registry: &Registry, repository: &str, digest: &str, bundle: Vec<u8>) {
    let bundle = Blob::new("application/vnd.dev.sigstore.bundle.v0.3+json", bundle);
    let config = Blob::new("application/vnd.oci.empty.v1+json", b"{}".to_vec());
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": config.descriptor(),
        "layers": [bundle.descriptor()],
    });
    let manifest = Blob::new(MANIFEST, manifest.to_string().into_bytes());
    let list = json!({
        "schemaVersion": 2,
        "mediaType": INDEX,
        "manifests": [manifest.descriptor()],
    });
    let list = Blob::new(INDEX, list.to_string().into_bytes());
    for blob in [&bundle, &config] {
        registry.put_blob(repository, &blob.digest, &blob.bytes);
    }
    for document in [&manifest, &list] {
        registry.put_manifest(repository, &document.digest, &document.bytes);
    }
    registry.tag(repository, &tag(digest), &list.digest);
}
