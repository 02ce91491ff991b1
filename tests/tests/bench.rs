//! The harness itself: whatever it starts is real and works.

use pullgate_proto::AuthConfig;
use pullgate_tests::broken;
use pullgate_tests::containerd::{Containerd, Settings};
use pullgate_tests::hosts::Hosts;
use pullgate_tests::image::Compression;
use pullgate_tests::registry::{Access, PASSWORD, Registry, USER};
use pullgate_tests::sample;
use pullgate_tests::server::Server;
use pullgate_tests::signer::{Algorithm, Signer};
use pullgate_tests::version::Version;

#[tokio::test]
async fn every_containerd_starts_and_pulls() {
    let registry = Registry::start(Access::Open).await;
    let hosts = Hosts::new();
    hosts.point("registry.example", &registry);
    let (tiny, multi) = (sample::tiny("hello"), sample::multi_arch("hello"));
    tiny.store(&registry, "test/tiny", "v1");
    multi.store(&registry, "test/multi", "v1");
    for version in Version::available() {
        let mut containerd = Containerd::start(version, hosts.path()).await;
        let cri = containerd.cri().await;
        let found = cri.version().await.unwrap().runtime_version;
        assert!(found.starts_with(major_minor(version)), "{version} is {found}");
        assert_eq!(cri.pull("registry.example/test/tiny:v1").await.unwrap(), tiny.config.digest);
        let platform = cri.pull("registry.example/test/multi:v1").await.unwrap();
        assert!(multi.images.iter().any(|image| image.config.digest == platform));
        containerd.kill();
        containerd.start_again().await;
        let listed = containerd.cri().await.list().await.unwrap();
        let names: Vec<_> = listed.iter().flat_map(|image| &image.repo_tags).collect();
        assert_eq!(names.len(), 2, "{names:?}");
        containerd.stop().await;
    }
    let requests = registry.requests();
    assert!(
        requests
            .iter()
            .any(|line| line == "HEAD /v2/test/tiny/manifests/v1?ns=registry.example 200"),
        "{requests:?}"
    );
}

#[tokio::test]
async fn a_registry_with_tls_and_login_lets_in_who_has_the_password() {
    let registry = Registry::start(Access::Login).await;
    let hosts = Hosts::new();
    hosts.point("registry.example", &registry);
    sample::tiny("secret").store(&registry, "test/secret", "v1");
    for version in Version::available() {
        let containerd = Containerd::start(version, hosts.path()).await;
        let cri = containerd.cri().await;
        let name = "registry.example/test/secret:v1";
        cri.pull(name).await.unwrap_err();
        let requests = registry.requests();
        assert!(requests.last().unwrap().ends_with(" 401"), "{version}: {requests:?}");
        let auth = AuthConfig {
            username: USER.to_owned(),
            password: PASSWORD.to_owned(),
            ..AuthConfig::default()
        };
        cri.pull_as(name, Some(auth), None).await.unwrap();
    }
}

#[tokio::test]
async fn a_layer_altered_in_the_registry_is_served_altered() {
    let registry = Registry::start(Access::Open).await;
    let image = sample::tiny("altered");
    image.store(&registry, "test/altered", "v1");
    registry.tamper(&image.layers[0].digest, |bytes| bytes[20] ^= 1);
    for version in Version::available() {
        let containerd = Containerd::start_with(version, Settings::default()).await;
        let name = format!("{}/test/altered:v1", registry.host());
        let refusal = containerd.cri().await.pull(&name).await.unwrap_err();
        assert!(refusal.message().contains("unexpected commit digest"), "{version}: {refusal}");
    }
}

#[tokio::test]
async fn containerd_refuses_what_is_broken() {
    let registry = Registry::start(Access::Open).await;
    let host = registry.host();
    let stored = [
        ("wrong-diff-id", broken::wrong_diff_id(), "wrong diff id calculated"),
        ("too-many-diff-ids", broken::too_many_diff_ids(), "layers and diffIDs don't match"),
        ("longer", broken::layer_longer_than_declared(), "failed size validation"),
        ("shorter", broken::layer_shorter_than_declared(), "unexpected EOF"),
    ];
    let mut cases: Vec<(String, &str)> = Vec::new();
    for (name, image, reason) in stored {
        image.store(&registry, name, "v1");
        cases.push((format!("{host}/{name}:v1"), reason));
    }
    broken::other_platform().store(&registry, "platform", "v1");
    cases.push((format!("{host}/platform:v1"), "no match for platform"));
    let old = Server::of_manifest(&broken::schema_1()).await;
    cases.push((format!("{}/old:v1", old.host()), "failed to pull and unpack"));
    let huge = Server::of_manifest(&broken::huge_manifest().manifest).await;
    cases.push((format!("{}/huge:v1", huge.host()), "rejecting 4719"));
    for version in Version::available() {
        let containerd = Containerd::start_with(version, Settings::default()).await;
        let cri = containerd.cri().await;
        for (name, reason) in &cases {
            let refusal = cri.pull(name).await.unwrap_err();
            assert!(refusal.message().contains(reason), "{version} {name}: {refusal}");
        }
    }
}

#[tokio::test]
async fn a_containerd_can_have_a_small_disk() {
    let registry = Registry::start(Access::Open).await;
    sample::tiny("small").store(&registry, "small", "v1");
    sample::synthetic(Compression::Plain, 1, 16 << 20).store(&registry, "large", "v1");
    for version in Version::available() {
        let settings = Settings { disk: Some(8 << 20), ..Settings::default() };
        let containerd = Containerd::start_with(version, settings).await;
        let cri = containerd.cri().await;
        cri.pull(&format!("{}/small:v1", registry.host())).await.unwrap();
        let refusal = cri.pull(&format!("{}/large:v1", registry.host())).await.unwrap_err();
        assert!(refusal.message().contains("no space left"), "{version}: {refusal}");
    }
}

#[test]
fn skopeo_verifies_what_the_signer_signs() {
    let image = sample::tiny("signed");
    let (manifest, name) = (&image.manifest.bytes, "registry.example/test/signed:v1");
    for algorithm in [Algorithm::Ed25519, Algorithm::Rsa3072] {
        let signer = Signer::with(algorithm);
        let own = signer.sign(&image.manifest.digest, name);
        signer.verify_with_skopeo(manifest, name, &own);
        let skopeos = signer.sign_with_skopeo(manifest, name);
        signer.verify_with_skopeo(manifest, name, &skopeos);
    }
}

#[test]
fn synthetic_layers_compress_as_real_ones_do() {
    let image = sample::five(Compression::Gzip);
    let packed: usize = image.layers.iter().map(|layer| layer.bytes.len()).sum();
    let ratio = f64::from(5 * (10 << 20)) / f64::from(u32::try_from(packed).unwrap());
    assert!((2.2..2.6).contains(&ratio), "{ratio}");
}

const fn major_minor(version: Version) -> &'static str {
    match version {
        Version::V1_6 => "1.6.",
        Version::V1_7 => "1.7.",
        Version::V2_1 => "2.",
    }
}
