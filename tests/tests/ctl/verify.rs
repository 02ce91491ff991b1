//! What `pullgate verify` says, without policy and network.

use std::path::Path;
use std::process::Command;

use pullgate_tests::cosign::{Cosign, Version};
use pullgate_tests::place;
use pullgate_tests::registry::{Access, Registry};
use pullgate_tests::sample;
use pullgate_tests::signer::Signer;
use serde_json::{Value, json};

const NAME: &str = "registry.example/app:v1";

/// Runs it with files of `directory`, which is called `DIR` in the answer.
fn verify(directory: &Path, arguments: &[&str]) -> (i32, String) {
    let mut command = Command::new(place::built("pullgate"));
    command.current_dir(directory).arg("verify").args(arguments);
    let output = command.output().unwrap();
    let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    (output.status.code().unwrap(), text)
}

#[test]
fn simple_signing_is_verified_offline() {
    let directory = place::for_sockets("verify");
    let write =
        |name: &str, content: &[u8]| std::fs::write(directory.path().join(name), content).unwrap();
    let (ours, stranger) = (Signer::new(), Signer::new());
    let image = sample::tiny("verify");
    let digest = &image.manifest.digest;
    write("manifest.json", &image.manifest.bytes);
    write("signature-1", &stranger.sign(digest, NAME));
    write("signature-2", &ours.sign_with_skopeo(&image.manifest.bytes, NAME));
    write("other", &ours.sign(digest, "registry.example/other:v1"));
    write("elsewhere", &ours.sign(&sample::tiny("else").manifest.digest, NAME));
    write("garbage", b"garbage");
    write("key.gpg", &std::fs::read(ours.public_key()).unwrap());
    let base = ["--manifest", "manifest.json", "--public-key", "key.gpg", "--expected-identity"];
    let run = |signatures: &[&str], identity: &str| {
        let signatures: Vec<&str> =
            signatures.iter().flat_map(|file| ["--signature", file]).collect();
        let (code, text) =
            verify(directory.path(), &[&base[..], &[identity], &signatures].concat());
        let text = text.replace(digest.as_str(), "sha256:MANIFEST");
        let text = text.replace(ours.fingerprint(), "OURS");
        (code, text.replace(stranger.fingerprint(), "STRANGER"))
    };
    let expected = "\
manifest sha256:MANIFEST
signature-1: refused, KEY_UNKNOWN: signed by key STRANGER, which is none of the policy's keys
signature-2: accepted, Release key <release@example.com> OURS
";
    assert_eq!(run(&["signature-1", "signature-2"], NAME), (0, expected.to_owned()));
    for (signature, identity, code, words) in [
        ("signature-2", "registry.example/app", 0, "accepted"),
        ("signature-1", NAME, 4, "KEY_UNKNOWN"),
        (
            "signature-2",
            "registry.example/app:v2",
            1,
            "IDENTITY_MISMATCH: names `registry.example/app:v1`, the policy expects `registry.example/app:v2`",
        ),
        ("other", NAME, 1, "IDENTITY_MISMATCH"),
        ("elsewhere", NAME, 1, "DIGEST_MISMATCH: signs sha256:"),
        ("garbage", NAME, 2, "garbage is not a signature: starts with the byte 0x67"),
        ("missing", NAME, 2, "cannot read missing"),
        ("signature-2", "UPPER/x", 2, "--expected-identity UPPER/x"),
    ] {
        let (found, text) = run(&[signature], identity);
        assert!(text.contains(words), "{signature} as {identity}: {text}");
        assert_eq!(found, code, "{signature} as {identity}: {text}");
    }
    let mut changed = image.manifest.bytes.clone();
    changed.push(b'\n');
    write("manifest.json", &changed);
    assert_eq!(run(&["signature-2"], NAME).0, 1);
}

#[tokio::test]
async fn cosigns_signature_is_verified_offline() {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    let Some(cosign) = Cosign::new(Version::V2) else { return };
    let directory = place::for_sockets("verify");
    let write =
        |name: &str, content: &[u8]| std::fs::write(directory.path().join(name), content).unwrap();
    let registry = Registry::start(Access::Open).await;
    let image = sample::tiny("verify");
    image.store(&registry, "app", "v1");
    let repository = format!("{}/app", registry.host());
    cosign.sign(&format!("{repository}@{}", image.manifest.digest));
    let tag = format!("{}.sig", image.manifest.digest.replacen(':', "-", 1));
    let attached = std::fs::read(registry.blob(&registry.tagged("app", &tag))).unwrap();
    let attached: Value = serde_json::from_slice(&attached).unwrap();
    let layer = attached.pointer("/layers/0").unwrap();
    let payload = std::fs::read(registry.blob(layer["digest"].as_str().unwrap())).unwrap();
    let signature = layer["annotations"]["dev.cosignproject.cosign/signature"].as_str().unwrap();

    // As a signature store keeps it, and as cosign writes it into files.
    let stored = json!({
        "mimeType": layer["mediaType"],
        "payload": STANDARD.encode(&payload),
        "annotations": layer["annotations"],
    });
    write("signature-1", format!("\0sigstore-json\n{stored}").as_bytes());
    write("detached.sig", format!("{signature}\n").as_bytes());
    write("payload", &payload);
    write("manifest.json", &image.manifest.bytes);
    let key = cosign.public_key();
    let run = |arguments: &[&str]| {
        let base = ["--manifest", "manifest.json", "--expected-identity", &repository];
        let key = ["--public-key", key.to_str().unwrap()];
        verify(directory.path(), &[&base[..], &key, arguments].concat())
    };
    for arguments in [
        &["--signature", "signature-1"][..],
        &["--signature", "detached.sig", "--payload", "payload"],
    ] {
        let (code, text) = run(arguments);
        assert!(text.contains(": accepted, unnamed key "), "{text}");
        assert_eq!(code, 0, "{text}");
    }
    let mut changed = payload;
    changed[20] ^= 1;
    write("payload", &changed);
    let (code, text) = run(&["--signature", "detached.sig", "--payload", "payload"]);
    assert!(text.contains("refused, SIGNATURE_INVALID"), "{text}");
    assert_eq!(code, 1);
    write("detached.sig", b"%");
    assert_eq!(run(&["--signature", "detached.sig", "--payload", "payload"]).0, 2);
}
