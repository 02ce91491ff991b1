//! What `pullgate policy` says and does.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::{Duration, SystemTime};

use pullgate::audit::Outcome;
use pullgate::ledger::{Bounds, Digests, Door, Entry, Evidence, Search, Store};
use pullgate_policy::digest::Digest;
use pullgate_policy::signature::UntrustedSignature;
use pullgate_tests::image::Image;
use pullgate_tests::registry::Access;
use pullgate_tests::sample;
use pullgate_tests::signer::Signer;
use serde_json::json;

use crate::node::{Node, signed_by};

const REJECT: &str = r#"{"default":[{"type":"reject"}]}"#;

/// A policy with some of the classic mistakes.
fn mistaken(good: &Path, expired: &Path) -> String {
    format!(
        r#"{{
  "default": [{{"type": "insecureAcceptAnything"}}],
  "transports": {{
    "docker": {{
      "good.example": [
        {{"type": "signedBy", "keyType": "GPGKeys", "keyPath": "{}"}}
      ],
      "busybox": [
        {{"type": "signedBy", "keyType": "GPGKeys",
          "keyPath": "{}"}}
      ],
      "cosign.example": [
        {{"type": "sigstoreSigned", "keyPath": "/no/such/key.pub"}}
      ]
    }}
  }}
}}
"#,
        good.display(),
        expired.display()
    )
}

#[tokio::test]
async fn mistakes_have_a_line_and_a_column() {
    let mut node = Node::new(Access::Open).await;
    let (good, expired) = (Signer::new(), Signer::expired());
    node.call(&good.public_key().display().to_string(), "good.gpg");
    node.call(&expired.public_key().display().to_string(), "expired.gpg");
    node.call(expired.fingerprint(), "EXPIRED");
    let text = mistaken(&good.public_key(), &expired.public_key());
    node.write("policy.json", text);
    node.write(
        "registries.d/stores.yaml",
        "docker:\n  good.example:\n    lookaside: https://sigs.example/store\n    lookasides: x\n",
    );
    node.hosts.write(
        "good.example",
        "server = 'https://good.example'\n[host.'https://mirror.example']\n",
    );
    let expected = "\
DIR/policy.json:2:3: warning: accepts every image that no other scope is for: one that is asked for by another name, such as another port or registry, passes the stricter scopes by; `reject` is the safe default
DIR/policy.json:8:7: warning: the scope `busybox` is never looked up: the full name is `docker.io/library/busybox`
DIR/policy.json:10:11: warning: expired.gpg: key EXPIRED expired on 2020-12-31T00:00:00Z
DIR/policy.json:13:9: warning: `matchRepoDigestOrExact` never matches a signature of cosign, which names the repository without a tag: write `\"signedIdentity\": {\"type\": \"matchRepository\"}`, unless podman or skopeo signs
DIR/policy.json:13:9: warning: requires `sigstoreSigned`, but registries.d does not say `use-sigstore-attachments: true` for it, so cosign's signatures are never looked for: write `docker:`, `  cosign.example:`, `    use-sigstore-attachments: true` in /etc/containers/registries.d/NAME.yaml
DIR/policy.json:13:36: warning: cannot read /no/such/key.pub: No such file or directory (os error 2): every image of this scope is refused
DIR/registries.d/stores.yaml: warning: `good.example`: unknown key \"lookasides\": it is ignored
DIR/policy.json: 0 errors, 7 warnings
may contact cosign.example: registry
may contact good.example: registry
may contact mirror.example: serves good.example (hosts.toml)
may contact sigs.example: signatures of good.example (DIR/registries.d/stores.yaml)
may contact the registry of any image that a pod names, for its manifest
";
    let (code, text) = node.says(&["policy", "lint"]);
    assert_eq!(text, expected);
    assert_eq!(code, 1);

    let json = node.json(&["policy", "lint"]);
    let second = json.pointer("/findings/1").unwrap();
    assert_eq!(
        (&second["kind"], &second["line"], &second["column"]),
        (&json!("unreachable"), &json!(8), &json!(7))
    );
    assert_eq!(json.pointer("/contacts/2/host").unwrap(), "mirror.example");

    let broken = node.write("new.json", "{\n  \"default\": [],\n}");
    let (code, text) = node.says(&["policy", "lint", broken.to_str().unwrap()]);
    assert!(text.starts_with("DIR/new.json:3:1: error: not JSON: trailing comma"), "{text}");
    assert_eq!(code, 2);
    node.write("registries.d/stores.yaml", "docker: {}\n");
    let clean = node.write("new.json", REJECT);
    assert_eq!(node.says(&["policy", "lint", clean.to_str().unwrap()]).0, 0);
    assert_eq!(node.says(&["policy", "lint", "/no/such/file"]).0, 2);
}

#[tokio::test]
async fn a_policy_takes_the_place_of_the_one_before_it_or_changes_nothing() {
    let node = Node::new(Access::Open).await;
    node.write("policy.json", REJECT);
    let install = |text: &str, more: &[&str]| {
        let new = node.write("new.json", text);
        node.says(&[&["policy", "install", new.to_str().unwrap()], more].concat())
    };
    let read = |name: &str| std::fs::read_to_string(node.path(name)).unwrap();

    let (code, text) = install(r#"{"default":[]}"#, &[]);
    assert_eq!(
        text,
        "DIR/new.json:1:2: error: `default`: is empty, expected a requirement\n\
         not installed: every pull would be refused\n"
    );
    assert_eq!((code, read("policy.json")), (2, REJECT.to_owned()));
    assert!(!node.path("policy.json.old").exists());

    let new = r#"{"default":[{"type":"insecureAcceptAnything"}]}"#;
    let (code, text) = install(new, &[]);
    assert_eq!(
        text,
        "installed DIR/policy.json\nthe one before it is kept as DIR/policy.json.old\n"
    );
    assert_eq!(code, 0);
    assert_eq!((read("policy.json"), read("policy.json.old")), (new.to_owned(), REJECT.to_owned()));
    let mode = node.path("policy.json").metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o644);

    let (code, text) = install(new, &["--namespace", "team"]);
    assert_eq!((code, text.as_str()), (0, "installed DIR/policies/team.json\n"));
    assert_eq!(install(new, &["--namespace", "../team"]).0, 2);

    // What only pullgate knows belongs in pullgate's own files.
    let own = r#"{"default":[{"type":"signedBy","keyType":"GPGKeys","keyPath":"/k","signedManifest":"platform"}]}"#;
    let (code, text) = install(own, &[]);
    assert!(text.contains("unknown key \"signedManifest\""), "{text}");
    assert_eq!(code, 2);
}

#[tokio::test]
async fn what_decides_about_an_image_is_shown() {
    let mut node = Node::new(Access::Open).await;
    let signer = Signer::new();
    node.call(&signer.public_key().display().to_string(), "key.gpg");
    node.call(signer.fingerprint(), "KEY");
    let policy = json!({
        "default": [{"type": "reject"}],
        "transports": {"docker": {"a.example/team": [signed_by(&[&signer.public_key()])]}},
    });
    node.write("policy.json", policy.to_string());
    let hash = node.json(&["policy", "show"]);
    node.call(hash["hash"].as_str().unwrap(), "HASH");
    let expected = "\
a.example/team/app:1
  policy      DIR/policy.json (HASH)
  scope       transports.docker.\"a.example/team\"
  lookaside   file://SIGS
  attachments not looked at
  requirement 1, signedBy
    trusts    key.gpg: KEY Release key <release@example.com>
";
    assert_eq!(node.says(&["policy", "show", "a.example/team/app:1"]), (0, expected.to_owned()));
    node.write("policies/team.json", REJECT);
    let (code, text) =
        node.says(&["policy", "show", "--namespace", "team", "a.example/team/app:1"]);
    assert!(text.contains("  policy      DIR/policies/team.json ("), "{text}");
    assert_eq!(code, 0);
    assert_eq!(node.says(&["policy", "show", "NO/name"]).0, 2);
}

/// An entry of the ledger about an image that was accepted unverified.
pub(crate) fn seen(name: &str, image: &Image) -> Entry {
    Entry {
        at: SystemTime::now(),
        door: Door::Pull,
        pull_id: "1-1".to_owned(),
        name: name.to_owned(),
        image: Some(Digests {
            manifest: image.manifest.digest.parse().unwrap(),
            config: image.config.digest.parse().unwrap(),
            index: None,
        }),
        policy: Some(Digest::sha256(b"policy")),
        scope: Some("default".to_owned()),
        outcome: Outcome::Accepted,
        reason: "UNVERIFIED".to_owned(),
        message: String::new(),
        signers: Vec::new(),
        namespace: "team".to_owned(),
        pod: String::new(),
    }
}

/// What was found when signatures of the image were looked for.
pub(crate) fn evidence(repository: &str, image: &Image, signatures: Vec<Vec<u8>>) -> Evidence {
    let document: Digest = image.manifest.digest.parse().unwrap();
    Evidence {
        documents: vec![(document.clone(), image.manifest.bytes.clone().into())],
        searches: vec![Search {
            repository: repository.to_owned(),
            document,
            searched: vec!["somewhere".to_owned()],
            signatures: signatures.into_iter().map(UntrustedSignature::Simple).collect(),
        }],
    }
}

#[tokio::test]
async fn a_new_policy_is_tried_on_what_the_node_has_seen() {
    let mut node = Node::new(Access::Open).await;
    let (ours, stranger) = (Signer::new(), Signer::new());
    node.call(stranger.fingerprint(), "STRANGER");
    let bounds = Bounds { max_rows: 1000, retention: Duration::from_secs(3600) };
    let mut store = Store::open(&node.path("ledger.db"), bounds).unwrap();
    for (repository, signer) in [
        ("a.example/signed", Some(&ours)),
        ("a.example/stranger", Some(&stranger)),
        ("a.example/plain", None),
    ] {
        let (name, image) = (format!("{repository}:v1"), sample::tiny(repository));
        let signature = signer.map(|signer| signer.sign(&image.manifest.digest, &name));
        let found = evidence(repository, &image, signature.into_iter().collect());
        store.record(&seen(&name, &image), &found).unwrap();
    }
    let unsearched = sample::tiny("unsearched");
    store.record(&seen("a.example/unsearched:v1", &unsearched), &Evidence::default()).unwrap();
    let try_policy = |requirement: &serde_json::Value, more: &[&str]| {
        let new = node.write("new.json", json!({"default": [requirement]}).to_string());
        node.says(&[&["policy", "try", new.to_str().unwrap()], more].concat())
    };

    let signed = signed_by(&[&ours.public_key()]);
    let (code, text) = try_policy(&signed, &[]);
    let rows: Vec<String> =
        text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    let expected = [
        "IMAGE UNTIL NOW WOULD BE REASON BECAUSE",
        "a.example/stranger:v1 UNVERIFIED refused KEY_UNKNOWN None of the signatures were accepted: \
         signature 1: signed by key STRANGER, which is none of the policy's keys",
        "a.example/plain:v1 UNVERIFIED refused SIGNATURE_MISSING A signature was required, but no \
         signature exists (searched somewhere)",
        "2 would change, 1 stay, 1 unknown",
    ];
    assert_eq!(rows, expected, "{text}");
    assert_eq!(code, 1);
    let new = node.path("new.json");
    let json = node.json(&["policy", "try", new.to_str().unwrap()]);
    assert_eq!(json.pointer("/images/0/reason").unwrap(), "KEY_UNKNOWN");

    let anything = json!({"type": "insecureAcceptAnything"});
    let (code, text) = try_policy(&anything, &[]);
    assert_eq!(
        (code, text.lines().last()),
        (0, Some("0 would change, 3 stay, 1 unknown")),
        "{text}"
    );
    // Pods of a namespace with a policy of its own have nothing to do with the node's.
    node.write("policies/team.json", REJECT);
    let (code, text) = try_policy(&signed, &[]);
    assert_eq!((code, text.as_str()), (0, "0 would change, 0 stay, 0 unknown\n"));
    assert_eq!(try_policy(&signed, &["--namespace", "team"]).0, 1);
    assert_eq!(try_policy(&json!({"type": "x"}), &[]).0, 2);
}
