//! What `pullgate keys` says and does.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use pullgate_tests::registry::Access;
use pullgate_tests::signer::{Algorithm, Signer};
use serde_json::json;

use crate::node::{Node, signed_by};

fn keys(node: &Node, arguments: &[&str]) -> (i32, String) {
    let directory = node.path("keys");
    let base = ["keys", "--directory", directory.to_str().unwrap()];
    node.says(&[&base[..], arguments].concat())
}

fn import(node: &Node, file: &Path, more: &[&str]) -> (i32, String) {
    keys(node, &[&["import", file.to_str().unwrap()], more].concat())
}

#[tokio::test]
async fn keys_are_imported_listed_shown_and_removed() {
    let mut node = Node::new(Access::Open).await;
    let (ours, expired) = (Signer::with(Algorithm::Rsa3072), Signer::expired());
    node.call(ours.fingerprint(), "OURS");
    node.call(expired.fingerprint(), "EXPIRED");
    node.call(&expired.public_key().display().to_string(), "expired.gpg");
    node.require(&signed_by(&[&expired.public_key()]));

    let imported = "\
imported DIR/keys/ours.gpg: OURS Release key <release@example.com>
to trust it, write in policy.json:
  {\"keyPath\":\"DIR/keys/ours.gpg\",\"keyType\":\"GPGKeys\",\"type\":\"signedBy\"}
";
    let file = ours.public_key();
    assert_eq!(import(&node, &file, &["--name", "ours.gpg"]), (0, imported.to_owned()));
    let mode = node.path("keys/ours.gpg").metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o644);
    let (code, text) = import(&node, &file, &["--name", "ours.gpg"]);
    assert_eq!((code, &*text), (2, "pullgate: DIR/keys/ours.gpg exists: --force replaces it\n"));
    assert_eq!(import(&node, &file, &["--name", "ours.gpg", "--force"]).0, 0);
    assert_eq!(import(&node, &file, &["--name", "../ours.gpg"]).0, 2);

    let (code, text) = keys(&node, &["list"]);
    let rows: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
    let today = rows[1][7];
    let expected = [
        "FILE FINGERPRINT NAME ALGORITHM CREATED EXPIRES POLICY STATE".to_owned(),
        format!(
            "DIR/keys/ours.gpg OURS Release key <release@example.com> RSA 3072 {today} - no usable"
        ),
        "expired.gpg EXPIRED Release key <release@example.com> Ed25519 2020-01-01 2020-12-31 yes \
         key EXPIRED expired on 2020-12-31T00:00:00Z"
            .to_owned(),
    ];
    let found: Vec<String> = rows.iter().map(|row| row.join(" ")).collect();
    assert_eq!(found, expected, "{text}");
    // A key that cannot be used is something that is wrong.
    assert_eq!(code, 1);

    let (code, text) = keys(&node, &["show", ours.fingerprint()]);
    assert!(
        text.starts_with("DIR/keys/ours.gpg\n  kind         openpgp\n  fingerprint  OURS\n"),
        "{text}"
    );
    assert!(
        text.ends_with("  expires      never\n  in policy    no\n  state        usable\n"),
        "{text}"
    );
    assert_eq!(code, 0);
    assert_eq!(keys(&node, &["show", "ours.gpg"]), (0, text));
    assert_eq!(keys(&node, &["show", "nobody"]).0, 2);
}

#[tokio::test]
async fn a_key_that_a_policy_names_stays() {
    let node = Node::new(Access::Open).await;
    node.require(&json!({"type": "reject"}));
    let signer = Signer::new();
    assert_eq!(import(&node, &signer.public_key(), &["--name", "ours.gpg"]).0, 0);
    node.require(&signed_by(&[&node.path("keys/ours.gpg")]));
    assert_eq!(keys(&node, &["list"]).0, 0);
    let (code, text) = keys(&node, &["remove", "ours.gpg"]);
    assert!(text.contains("is named by the policy"), "{text}");
    assert_eq!(code, 2);
    // A namespace's policy counts as well.
    node.require(&json!({"type": "reject"}));
    let policy = json!({"default": [signed_by(&[&node.path("keys/ours.gpg")])]});
    node.write("policies/team.json", policy.to_string());
    assert_eq!(keys(&node, &["remove", "ours.gpg"]).0, 2);
    assert_eq!(
        keys(&node, &["remove", "ours.gpg", "--force"]),
        (0, "removed DIR/keys/ours.gpg\n".to_owned())
    );
    assert!(!node.path("keys/ours.gpg").exists());
    assert_eq!(keys(&node, &["remove", "../policy.json"]).0, 2);
}

#[tokio::test]
async fn a_file_that_others_may_write_is_not_usable() {
    let node = Node::new(Access::Open).await;
    node.require(&json!({"type": "reject"}));
    let signer = Signer::new();
    let (code, _) = import(&node, &signer.public_key(), &["--name", "key.gpg"]);
    assert_eq!(code, 0);
    std::fs::set_permissions(node.path("keys/key.gpg"), std::fs::Permissions::from_mode(0o666))
        .unwrap();
    let (code, text) = keys(&node, &["list"]);
    assert!(text.contains("has mode 0666, others than its owner must not write it"), "{text}");
    assert_eq!(code, 1);
}

#[tokio::test]
async fn each_kind_of_key_gets_the_line_that_trusts_it() {
    let node = Node::new(Access::Open).await;
    node.require(&json!({"type": "reject"}));
    let pair = rcgen::KeyPair::generate().unwrap();
    let public = node.write("cosign.pub", pair.public_key_pem());
    let (code, text) = import(&node, &public, &[]);
    assert!(text.contains("\"keyPath\":\"DIR/keys/cosign.pub\""), "{text}");
    assert!(text.contains("{\"type\":\"matchRepository\"}"), "{text}");
    assert_eq!(code, 0);
    let (_, text) = keys(&node, &["show", "cosign.pub"]);
    assert!(text.contains("  kind         public-key\n"), "{text}");
    assert!(text.contains("  algorithm    ECDSA P-256\n"), "{text}");

    let mut authority = rcgen::CertificateParams::default();
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    authority.distinguished_name.push(rcgen::DnType::CommonName, "Our authority");
    let certificate = authority.self_signed(&pair).unwrap().pem();
    let file = node.write("ca.pem", certificate);
    let (code, text) = import(&node, &file, &[]);
    assert!(text.contains("\"caRootsPath\":\"DIR/keys/ca.pem\""), "{text}");
    assert!(text.contains("CN=Our authority"), "{text}");
    assert_eq!(code, 0);

    for (content, words) in [
        (pair.serialize_pem(), "a private key, which does not belong on a node"),
        ("hello".to_owned(), "neither an OpenPGP key nor a public key or certificate in PEM"),
    ] {
        let file = node.write("bad", content);
        let (code, text) = import(&node, &file, &[]);
        assert!(text.contains(words), "{text}");
        assert_eq!((code, node.path("keys/bad").exists()), (2, false));
    }
}
