//! What `pullgate check` says, and that the lines it advises have the image accepted.

use std::path::Path;

use pullgate_tests::cosign::{Cosign, Version};
use pullgate_tests::image::Image;
use pullgate_tests::registry::{Access, PASSWORD, USER};
use pullgate_tests::sample;
use pullgate_tests::signer::Signer;
use serde_json::{Value, json};

use crate::node::{Node, signed_by};

/// A node with an image, its names, and two keys.
struct Scene {
    node: Node,
    image: Image,
    ours: Signer,
    stranger: Signer,
}

impl Scene {
    async fn new() -> Self {
        let (ours, stranger) = (Signer::new(), Signer::new());
        let mut node = Node::new(Access::Open).await;
        let image = sample::tiny("check");
        image.store(&node.registry, "team/app", "v1");
        for (text, name) in [
            (ours.fingerprint(), "OURS"),
            (stranger.fingerprint(), "STRANGER"),
            (&ours.public_key().display().to_string(), "ours.gpg"),
            (&stranger.public_key().display().to_string(), "stranger.gpg"),
            (&image.manifest.digest, "sha256:MANIFEST"),
            (&image.manifest.digest.replace(':', "="), "sha256=MANIFEST"),
            (&image.config.digest, "sha256:CONFIG"),
        ] {
            node.call(text, name);
        }
        node.require(&signed_by(&[&ours.public_key()]));
        Self { node, image, ours, stranger }
    }

    fn name(&self) -> String {
        format!("{}/team/app:v1", self.node.registry.host())
    }

    /// Stores a signature of the image under this tag.
    fn sign(&self, signer: &Signer, tag: &str) {
        let name = format!("{}/team/app:{tag}", self.node.registry.host());
        let digest = &self.image.manifest.digest;
        self.node.lookaside.add("team/app", digest, &signer.sign(digest, &name));
    }

    fn check(&self) -> (i32, String) {
        self.node.says(&["check", &self.name()])
    }

    /// The member that the first advice says to write.
    fn advised(&self) -> (String, Value) {
        let json = self.node.json(&["check", &self.name()]);
        let line = json.pointer("/images/0/advice/0/lines/0").unwrap().as_str().unwrap();
        let object: Value = serde_json::from_str(&format!("{{{line}}}")).unwrap();
        let (name, value) = object.as_object().unwrap().iter().next().unwrap();
        (name.clone(), value.clone())
    }
}

#[tokio::test]
async fn every_signer_of_an_accepted_image_is_named_in_order() {
    let scene = Scene::new().await;
    scene.node.require(&signed_by(&[&scene.ours.public_key(), &scene.stranger.public_key()]));
    scene.sign(&scene.stranger, "v1");
    scene.sign(&scene.ours, "v1");
    let expected = "\
HOST/team/app:v1: accepted, SIGNED
  signed by Release key <release@example.com> STRANGER
  signed by Release key <release@example.com> OURS
  manifest  sha256:MANIFEST
  image ID  sha256:CONFIG
  policy    DIR/policy.json
  scope     default
  searched  SIGS/team/app@sha256=MANIFEST/signature-1
  requirement 1, signedBy: accepts
    names     `HOST/team/app:v1` (matchRepoDigestOrExact)
    trusts    ours.gpg: OURS Release key <release@example.com>
    trusts    stranger.gpg: STRANGER Release key <release@example.com>
    signature 1: accepted, Release key <release@example.com> STRANGER
    signature 2: accepted, Release key <release@example.com> OURS
";
    assert_eq!(scene.check(), (0, expected.to_owned()));

    let json = scene.node.json(&["check", &scene.name()]);
    let found = |pointer: &str| json.pointer(pointer).unwrap().clone();
    assert_eq!(found("/images/0/accepted"), true);
    assert_eq!(found("/images/0/signers/1/fingerprint"), scene.ours.fingerprint());
    assert_eq!(found("/images/0/manifest"), *scene.image.manifest.digest);
    assert_eq!(found("/images/0/requirements/0/signatures/0/accepted"), true);

    let anything = json!({"type": "insecureAcceptAnything"});
    scene.node.require(&anything);
    let (code, text) = scene.check();
    assert!(text.starts_with("HOST/team/app:v1: accepted, UNVERIFIED\n"), "{text}");
    assert_eq!(code, 0);
}

#[tokio::test]
async fn an_unknown_key_is_named_and_accepted_once_it_is_written_down() {
    let scene = Scene::new().await;
    scene.sign(&scene.stranger, "v1");
    let expected = "\
HOST/team/app:v1: refused, KEY_UNKNOWN
  because   None of the signatures were accepted: signature 1: signed by key STRANGER, which is none of the policy's keys
  manifest  sha256:MANIFEST
  image ID  sha256:CONFIG
  policy    DIR/policy.json
  scope     default
  searched  SIGS/team/app@sha256=MANIFEST/signature-1
  requirement 1, signedBy: refuses, KEY_UNKNOWN
    names     `HOST/team/app:v1` (matchRepoDigestOrExact)
    trusts    ours.gpg: OURS Release key <release@example.com>
    signature 1: refused, KEY_UNKNOWN: signed by key STRANGER, which is none of the policy's keys
      expected OURS
      found    STRANGER
  if you trust the owner of key STRANGER and import it, write in DIR/policy.json, in default:
    \"keyPaths\": [\"ours.gpg\",\"/etc/pullgate/keys/STRANGER.gpg\"]
";
    assert_eq!(scene.check(), (4, expected.to_owned()));

    let (name, value) = scene.advised();
    assert_eq!(name, "keyPaths");
    let paths: Vec<&Path> =
        value.as_array().unwrap().iter().map(|path| Path::new(path.as_str().unwrap())).collect();
    // The key is put elsewhere than on this machine's /etc.
    scene.node.require(&signed_by(&[paths[0], &scene.stranger.public_key()]));
    assert_eq!(scene.check().0, 0);
}

#[tokio::test]
async fn a_signature_of_another_name_counts_once_the_identity_is_written_down() {
    let scene = Scene::new().await;
    scene.sign(&scene.ours, "other");
    let (code, text) = scene.check();
    let advice = "  if any image of HOST/team/app may stand for this one, write in DIR/policy.json, in default:
    \"signedIdentity\": {\"type\":\"matchRepository\"}
";
    assert!(text.ends_with(advice), "{text}");
    assert!(
        text.contains("      expected `HOST/team/app:v1`\n      found    `HOST/team/app:other`\n")
    );
    assert_eq!(code, 1);
    let accepted_with = |identity: &Value| {
        let mut requirement = signed_by(&[&scene.ours.public_key()]);
        requirement["signedIdentity"] = identity.clone();
        scene.node.require(&requirement);
        scene.check().0 == 0
    };
    let (name, identity) = scene.advised();
    assert_eq!(name, "signedIdentity");
    assert!(accepted_with(&identity));

    // A copy of another registry's image, and one signed under an altogether other name.
    for (signed, kind) in [
        ("upstream.example/app:v1", "remapIdentity"),
        ("upstream.example/app:2", "exactRepository"),
    ] {
        let copy = sample::tiny(signed);
        copy.store(&scene.node.registry, "team/app", "v1");
        let signature = scene.ours.sign(&copy.manifest.digest, signed);
        scene.node.lookaside.add("team/app", &copy.manifest.digest, &signature);
        scene.node.require(&signed_by(&[&scene.ours.public_key()]));
        let (_, identity) = scene.advised();
        assert_eq!(identity["type"], kind);
        assert!(accepted_with(&identity), "{identity}");
    }
}

#[tokio::test]
async fn cosigns_signature_counts_once_registries_d_says_where_it_is() {
    let Some(cosign) = Cosign::new(Version::V2) else { return };
    let mut scene = Scene::new().await;
    scene.node.call(&cosign.public_key().display().to_string(), "cosign.pub");
    cosign.sign(&format!(
        "{}/team/app@{}",
        scene.node.registry.host(),
        scene.image.manifest.digest
    ));
    scene.node.require(&json!({
        "type": "sigstoreSigned",
        "keyPath": cosign.public_key(),
        "signedIdentity": {"type": "matchRepository"},
    }));
    let (code, text) = scene.check();
    let advice = "  if cosign signed it, write in DIR/registries.d/HOST.yaml:
    docker:
      HOST:
        use-sigstore-attachments: true
";
    assert!(text.ends_with(advice), "{text}");
    assert_eq!(code, 1);
    let json = scene.node.json(&["check", &scene.name()]);
    let file = json.pointer("/images/0/advice/0/file").unwrap().as_str().unwrap();
    let lines = json.pointer("/images/0/advice/0/lines").unwrap().as_array().unwrap();
    let lines: Vec<&str> = lines.iter().map(|line| line.as_str().unwrap()).collect();
    std::fs::write(file, lines.join("\n")).unwrap();
    let (code, text) = scene.check();
    assert!(text.starts_with("HOST/team/app:v1: accepted, SIGNED\n"), "{text}");
    assert_eq!(code, 0);

    // Another key than cosign's: nothing tells whose signature it is.
    let stranger = Cosign::new(Version::V2).unwrap();
    scene.node.require(&json!({
        "type": "sigstoreSigned",
        "keyPath": stranger.public_key(),
        "signedIdentity": {"type": "matchRepository"},
    }));
    let (code, text) = scene.check();
    assert!(text.contains("refuses, SIGNATURE_INVALID\n"), "{text}");
    assert!(text.contains("/etc/pullgate/keys/ITS-NAME.pub\"]\n"), "{text}");
    assert_eq!(code, 1);
}

#[tokio::test]
async fn exit_codes_tell_what_became_of_it() {
    let scene = Scene::new().await;
    let host = scene.node.registry.host();
    let (code, text) = scene.check();
    assert!(text.contains("refused, SIGNATURE_MISSING\n"), "{text}");
    assert_eq!(code, 1);

    scene.node.require(&json!({"type": "reject"}));
    let (code, text) = scene.check();
    assert!(text.contains("    \"HOST/team/app\": [{\"keyPath\":"), "{text}");
    assert_eq!(code, 1);

    let check = |images: &[&str]| scene.node.says(&[&["check"], images].concat());
    let gone = format!("{host}/gone:v1");
    let nobody = "127.0.0.1:1/app:v1";
    for (images, expected, words) in [
        (&[gone.as_str()][..], 3, "gone:v1: refused, IMAGE_NOT_FOUND\n"),
        (&[nobody], 3, "refused, REGISTRY_UNAVAILABLE\n"),
        (&["NO/such:name"], 2, "NO/such:name: refused, REFERENCE_INVALID\n"),
        (&[&scene.name(), nobody], 3, "refused, POLICY_REJECT\n"),
        (&["--namespace", "../x", "a"], 2, "pullgate: --namespace: "),
    ] {
        let (code, text) = check(images);
        assert!(text.contains(words), "{images:?}: {text}");
        assert_eq!(code, expected, "{images:?}: {text}");
    }
    assert_eq!(check(&[]).0, 2);

    // A namespace has its own word.
    let anything = json!({"default": [{"type": "insecureAcceptAnything"}]});
    scene.node.write("policies/lax.json", anything.to_string());
    let name = scene.name();
    assert_eq!(check(&["--namespace", "lax", &name]).0, 0);
    assert_eq!(check(&["--namespace", "strict", &name]).0, 1);

    scene.node.write("policy.json", "{");
    let (code, text) = scene.check();
    assert!(text.contains("refused, POLICY_UNUSABLE\n"), "{text}");
    assert_eq!(code, 2);
}

#[tokio::test]
async fn credentials_come_from_the_authfile() {
    use base64::Engine as _;

    let node = Node::new(Access::Login).await;
    node.hosts.point("registry.example", &node.registry);
    sample::tiny("private").store(&node.registry, "app", "v1");
    node.require(&json!({"type": "insecureAcceptAnything"}));
    let auth = base64::engine::general_purpose::STANDARD.encode(format!("{USER}:{PASSWORD}"));
    let entry = json!({"auths": {"registry.example": {"auth": auth}}}).to_string();
    let file = node.write("mine.json", &entry);
    let file = file.to_str().unwrap();

    let name = "registry.example/app:v1";
    let (code, text) = node.says(&["check", name]);
    assert!(text.contains("refused, REGISTRY_DENIED\n"), "{text}");
    assert_eq!(code, 3);
    assert_eq!(node.says(&["check", name, "--authfile", file]).0, 0);
    assert_eq!(node.says(&["check", name, "--authfile", "/no/such/file"]).0, 2);
    node.write("containers/auth.json", &entry);
    let (code, text) = node.says(&["check", name]);
    assert_eq!(code, 0, "{text}");
    assert!(!text.contains(PASSWORD), "{text}");
}
