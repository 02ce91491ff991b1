//! Images that cosign signed, against policies with `sigstoreSigned`.

use pullgate_tests::cosign::{Cosign, Version as CosignVersion};
use pullgate_tests::place;
use pullgate_tests::pullgated::Settings;
use pullgate_tests::sample;
use pullgate_tests::version::Version;
use serde_json::json;
use tonic::Code;

use crate::broken::check;
use crate::scene::Scene;

#[tokio::test]
async fn what_cosign_signed_enters_and_nothing_changed_does() {
    for version in [CosignVersion::V2, CosignVersion::V3] {
        let (Some(release), Some(stranger)) = (Cosign::new(version), Cosign::new(version)) else {
            continue;
        };
        let registries_d = place::on_disk("registries.d");
        let text =
            "default-docker:\n  use-sigstore-attachments: true\n  lookaside: file:///nowhere\n";
        std::fs::write(registries_d.path().join("a.yaml"), text).expect("a file");
        let settings = Settings {
            policy: Some(policy(&release)),
            registries_d: Some(registries_d.path().to_owned()),
            ..Settings::default()
        };
        let scene = Scene::with(Version::V1_6, Default::default(), settings).await;
        let host = scene.registry.host();
        let publish = |name: &str, signer: Option<&Cosign>| {
            let image = sample::tiny(name);
            image.store(&scene.registry, name, "v1");
            if let Some(signer) = signer {
                signer.sign(&format!("{host}/{name}@{}", image.manifest.digest));
            }
            image
        };
        publish("good", Some(&release));
        publish("unsigned", None);
        publish("stranger", Some(&stranger));
        let moved = publish("moved", None);
        let other = publish("other", Some(&release));
        let tag = |digest: &str| format!("{}.sig", digest.replacen(':', "-", 1));
        let signature = scene.registry.tagged("other", &tag(&other.manifest.digest));
        let body = std::fs::read(scene.registry.blob(&signature)).expect("the attachment");
        let attachment: serde_json::Value = serde_json::from_slice(&body).expect("a manifest");
        let payload = attachment["layers"][0]["digest"].as_str().expect("a payload").to_owned();
        // The signature of another image, put under this one's tag.
        scene.registry.put_manifest("moved", &signature, &body);
        let bytes = std::fs::read(scene.registry.blob(&payload)).expect("the payload");
        scene.registry.put_blob("moved", &payload, &bytes);
        scene.registry.tag("moved", &tag(&moved.manifest.digest), &signature);
        let pull = async |name: &str| scene.gate.cri().await.pull(&format!("{host}/{name}")).await;

        pull("good:v1").await.expect("the signed image to be accepted");
        assert!(scene.gate.log().contains("REASON=\"SIGNED\""), "{}", scene.gate.log());
        pull("other:v1").await.expect("the signed image to be accepted");
        scene.registry.tamper(&payload, |bytes| bytes[10] ^= 1);
        for (name, words, reason) in [
            ("unsigned:v1", ".sig", "SIGNATURE_MISSING"),
            ("stranger:v1", "none of the policy's keys", "SIGNATURE_INVALID"),
            ("other:v1", "served other bytes", "SIGNATURES_UNREADABLE"),
        ] {
            let answer = pull(name).await;
            check(&scene, name, answer, (Code::Unknown, words, reason));
        }
        scene.registry.tamper(&payload, |bytes| bytes[10] ^= 1);
        let answer = pull("moved:v1").await;
        check(&scene, "moved:v1", answer, (Code::Unknown, "signs sha256:", "DIGEST_MISMATCH"));
    }
}

/// cosign names no tag, so the signature is for the repository.
fn policy(signer: &Cosign) -> String {
    let requirement = json!({
        "type": "sigstoreSigned",
        "keyPath": signer.public_key(),
        "signedIdentity": {"type": "matchRepository"},
    });
    json!({"default": [requirement]}).to_string()
}
