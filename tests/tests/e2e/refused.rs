//! What the policy does not accept, and policies that cannot be used.

use pullgate_tests::pullgated::{Settings, policy};
use pullgate_tests::sample;
use pullgate_tests::server::{self, Server};
use pullgate_tests::signer::{Lookaside, Signer};
use pullgate_tests::version::Version;
use tonic::Code;

use crate::broken::check;
use crate::scene::{NAME, Scene};

const REJECTED: &str = "SignatureValidationFailed: ";

#[tokio::test]
async fn only_what_is_signed_for_its_name_enters() {
    let (release, stranger, lookaside) = (Signer::new(), Signer::new(), Lookaside::new());
    let settings = demanding(&release, &lookaside, &lookaside.url());
    let scene = Scene::with(Version::V1_6, Default::default(), settings).await;
    let publish = |name: &str, signer: Option<&Signer>, claimed: &str| {
        let image = sample::tiny(name);
        image.store(&scene.registry, name, "v1");
        if let Some(signer) = signer {
            let reference = format!("{NAME}/{claimed}:v1");
            let signature = signer.sign(&image.manifest.digest, &reference);
            lookaside.add(name, &image.manifest.digest, &signature);
        }
        image
    };
    publish("good", Some(&release), "good");
    publish("unsigned", None, "");
    publish("stranger", Some(&stranger), "stranger");
    publish("renamed", Some(&release), "good");
    let garbage = publish("garbage", None, "");
    lookaside.add("garbage", &garbage.manifest.digest, b"<html>");

    scene.pull("good:v1").await.expect("the signed image to be accepted");
    let accepted = scene.dump().await;
    for (name, words, reason) in [
        ("unsigned:v1", "A signature was required, but no signature exists", "SIGNATURE_MISSING"),
        ("stranger:v1", stranger.fingerprint(), "KEY_UNKNOWN"),
        ("renamed:v1", "the policy expects `registry.example/renamed:v1`", "IDENTITY_MISMATCH"),
        ("garbage:v1", "is not a signature", "SIGNATURES_UNREADABLE"),
    ] {
        let first = scene.pull(name).await.expect_err(name);
        assert!(first.message().starts_with(REJECTED), "{name}: {}", first.message());
        let second = scene.pull(name).await;
        let text = second.as_ref().expect_err(name).message().to_owned();
        assert_eq!(first.message(), text, "{name}: kubelet compares the texts of several tries");
        check(&scene, name, second, (Code::Unknown, words, reason));
    }
    scene.settle().await;
    assert_eq!(scene.dump().await, accepted, "a refused image left something behind");
}

#[tokio::test]
async fn an_index_that_alone_is_signed_is_not_enough() {
    let (release, stranger, lookaside) = (Signer::new(), Signer::new(), Lookaside::new());
    let settings = demanding(&release, &lookaside, &lookaside.url());
    let scene = Scene::with(Version::V1_6, Default::default(), settings).await;
    let sign = |signer: &Signer, name: &str, digest: &str| {
        lookaside.add(name, digest, &signer.sign(digest, &format!("{NAME}/{name}:v1")));
    };
    for (name, signer, reason) in
        [("signed", &release, "INDEX_ONLY_SIGNED"), ("strange", &stranger, "SIGNATURE_MISSING")]
    {
        let index = sample::multi_arch(name);
        index.store(&scene.registry, name, "v1");
        sign(signer, name, &index.document.digest);
        let answer = scene.pull(&format!("{name}:v1")).await;
        check(&scene, name, answer, (Code::Unknown, REJECTED, reason));
        for image in &index.images {
            sign(&release, name, &image.manifest.digest);
        }
        scene.pull(&format!("{name}:v1")).await.expect("the platform's manifest is signed");
    }
}

#[tokio::test]
async fn a_signed_index_is_enough_where_our_own_policy_says_so() {
    let (release, stranger, lookaside) = (Signer::new(), Signer::new(), Lookaside::new());
    let standard = policy(NAME, &release.public_key());
    let extended = standard.replace(
        r#""keyType":"GPGKeys""#,
        r#""keyType":"GPGKeys","signedManifest":"platformOrIndex""#,
    );
    let settings = Settings {
        policy: Some(extended),
        extra: "policy.extensions = true\n".to_owned(),
        ..demanding(&release, &lookaside, &lookaside.url())
    };
    let scene = Scene::with(Version::V1_6, Default::default(), settings).await;
    let publish = |name: &str, signer: &Signer| {
        let index = sample::multi_arch(name);
        index.store(&scene.registry, name, "v1");
        let digest = &index.document.digest;
        lookaside.add(name, digest, &signer.sign(digest, &format!("{NAME}/{name}:v1")));
    };
    publish("signed", &release);
    publish("strange", &stranger);
    let single = sample::tiny("single");
    single.store(&scene.registry, "single", "v1");

    scene.pull("signed:v1").await.expect("the signature of the index to count");
    for (name, reason) in [("strange", "KEY_UNKNOWN"), ("single", "SIGNATURE_MISSING")] {
        let answer = scene.pull(&format!("{name}:v1")).await;
        check(&scene, name, answer, (Code::Unknown, REJECTED, reason));
    }
    std::fs::write(scene.gate.policy(), standard).expect("the policy to be written");
    let answer = scene.pull("signed:v1").await;
    check(&scene, "signed", answer, (Code::Unknown, REJECTED, "INDEX_ONLY_SIGNED"));
}

#[tokio::test]
async fn a_store_that_cannot_be_read_is_not_an_empty_one() {
    let (release, lookaside) = (Signer::new(), Lookaside::new());
    let down = Server::start(|_| server::status(http::StatusCode::INTERNAL_SERVER_ERROR)).await;
    let settings = demanding(&release, &lookaside, &down.url());
    let scene = Scene::with(Version::V1_6, Default::default(), settings).await;
    sample::tiny("down").store(&scene.registry, "down", "v1");
    let answer = scene.pull("down:v1").await;
    let expected = (Code::Unknown, "RegistryUnavailable: ", "SIGNATURES_UNAVAILABLE");
    check(&scene, "down:v1", answer, expected);
}

#[tokio::test]
async fn a_policy_that_cannot_be_used_refuses_every_pull_and_nothing_else() {
    let scene = Scene::open(Version::V1_6).await;
    sample::tiny("any").store(&scene.registry, "any", "v1");
    scene.pull("any:v1").await.expect("the policy accepts everything");
    let path = scene.gate.policy();
    let good = std::fs::read(&path).expect("the policy to be there");
    for (broken, words) in [
        (Some("{"), "policy.json"),
        (Some(r#"{"default":[]}"#), "default"),
        (Some(r#"{"default":[{"type":"signedby"}]}"#), "signedby"),
        (Some(r#"{"default":[{"type":"reject"}],"default":[]}"#), "default"),
        (
            Some(r#"{"default":[{"type":"signedBy","keyType":"GPGKeys","keyPath":"k.gpg"}]}"#),
            "relative",
        ),
        (None, "cannot read"),
    ] {
        match broken {
            Some(text) => std::fs::write(&path, text).expect("the policy to be written"),
            None => std::fs::remove_file(&path).expect("the policy to be removed"),
        }
        let answer = scene.pull("any:v1").await;
        let message = answer.as_ref().expect_err("no policy").message().to_owned();
        assert!(message.starts_with(REJECTED), "{broken:?}: {message}");
        check(&scene, "any:v1", answer, (Code::Unknown, words, "POLICY_UNUSABLE"));
        scene.gate.cri().await.version().await.expect("other calls pass");
    }
    for (text, reason) in [
        (r#"{"default":[{"type":"reject"}]}"#, "POLICY_REJECT"),
        (
            r#"{"default":[{"type":"signedBaseLayer","baseLayerIdentity":{"type":"matchExact"}}]}"#,
            "BASE_LAYER_UNSUPPORTED",
        ),
        (
            r#"{"default":[{"type":"sigstoreSigned","keyPath":"/nowhere/key.pub"}]}"#,
            "KEY_FILE_UNREADABLE",
        ),
        (
            r#"{"default":[{"type":"signedBy","keyType":"GPGKeys","keyPath":"/nowhere/key.gpg"}]}"#,
            "KEY_FILE_UNREADABLE",
        ),
    ] {
        std::fs::write(&path, text).expect("the policy to be written");
        let answer = scene.pull("any:v1").await;
        check(&scene, "any:v1", answer, (Code::Unknown, REJECTED, reason));
    }
    std::fs::write(&path, good).expect("the policy to be written");
    scene.pull("any:v1").await.expect("the repaired policy to be used without a restart");
    assert!(scene.gate.log().contains("policy or registries.d changed"), "{}", scene.gate.log());
    assert!(scene.settings.policy.is_some(), "the scene has a policy");
}

/// A policy that wants `signer`'s signature of every image, found at `url`.
fn demanding(signer: &Signer, lookaside: &Lookaside, url: &str) -> Settings {
    Settings {
        policy: Some(policy(NAME, &signer.public_key())),
        registries_d: Some(lookaside.registries_d(NAME, url)),
        ..Settings::default()
    }
}
