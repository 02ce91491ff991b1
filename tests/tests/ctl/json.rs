//! Every member that json.md documents is printed, and no other.

use std::path::Path;
use std::time::Duration;

use pullgate::ledger::{self, Bounds, Entry, Store};
use pullgate_tests::image::Image;
use pullgate_tests::registry::Access;
use pullgate_tests::sample;
use pullgate_tests::signer::Signer;
use serde_json::Value;

use crate::node::{Node, signed_by};
use crate::policy::{evidence, seen};
use crate::schema::{documented, printed};

/// Refuses what the ledger has, and has a mistake: a scope that is never looked up.
const MISTAKEN: &str = r#"{"default":[{"type":"reject"}],"transports":{"docker":{
    "busybox":[{"type":"insecureAcceptAnything"}],"a.example/x":[{"type":"reject"}]}}}"#;

fn agree(command: &str, documents: &[Value]) {
    assert_eq!(printed(documents), documented(command), "pullgate {command}: {documents:#?}");
}

/// Stores an image, signed by somebody.
fn publish(node: &Node, repository: &str, signer: &Signer) -> Image {
    let image = sample::tiny(repository);
    image.store(&node.registry, repository, "v1");
    let name = format!("{}/{repository}:v1", node.registry.host());
    let digest = &image.manifest.digest;
    node.lookaside.add(repository, digest, &signer.sign(digest, &name));
    image
}

/// Lets the ledger know an image that was accepted.
fn remember(node: &Node, repository: &str) {
    let bounds = Bounds { max_rows: 1000, retention: Duration::from_secs(3600) };
    let mut store = Store::open(&node.path("ledger.db"), bounds).unwrap();
    let image = sample::tiny(repository);
    let signer = ledger::Signer { name: None, fingerprint: "AA".to_owned() };
    let entry = Entry { signers: vec![signer], ..seen(&format!("{repository}:v1"), &image) };
    store.record(&entry, &evidence(repository, &image, Vec::new())).unwrap();
}

#[tokio::test]
async fn of_commands_about_images() {
    let node = Node::new(Access::Open).await;
    let (ours, stranger) = (Signer::new(), Signer::new());
    node.require(&signed_by(&[&ours.public_key()]));
    let image = publish(&node, "signed", &ours);
    publish(&node, "strange", &stranger);
    sample::multi_arch("many").store(&node.registry, "signed", "many");
    let name = |rest: &str| format!("{}/{rest}", node.registry.host());

    agree("check", &[node.json(&["check", &name("signed:v1"), &name("strange:v1")])]);
    agree("inspect", &[node.json(&["inspect", "--tags", &name("signed:many")])]);

    let manifest = node.write("manifest.json", &image.manifest.bytes);
    let signed = ours.sign(&image.manifest.digest, &name("signed:v1"));
    let signature = node.write("signature", signed);
    let [manifest, signature, key] =
        [manifest, signature, ours.public_key()].map(|path| path.display().to_string());
    let files = ["--manifest", &manifest, "--signature", &signature, "--public-key", &key];
    let identity = ["--expected-identity", &name("signed:v1")];
    agree("verify", &[node.json(&[&["verify"], &files[..], &identity].concat())]);
}

#[tokio::test]
async fn of_commands_about_policies_and_keys() {
    let node = Node::new(Access::Open).await;
    let signer = Signer::new();
    let key = signer.public_key();
    let [key, directory] = [&key, &node.path("keys")].map(|path| path.display().to_string());
    let of_keys =
        |arguments: &[&str]| node.json(&[&["keys", "--directory", &directory], arguments].concat());
    let imported = of_keys(&["import", &key, "--name", "ours.gpg"]);
    agree("keys", &[imported, of_keys(&["list"]), of_keys(&["remove", "ours.gpg"])]);

    node.require(&signed_by(&[Path::new(&key)]));
    let shown = [node.json(&["policy", "show"]), node.json(&["policy", "show", "a.example/a:1"])];
    agree("policy show", &shown);
    remember(&node, "a.example/app");
    let new = node.write("new.json", MISTAKEN).display().to_string();
    for command in ["lint", "try", "install"] {
        agree(&format!("policy {command}"), &[node.json(&["policy", command, &new])]);
    }
}

#[tokio::test]
async fn of_commands_about_the_node() {
    let node = Node::new(Access::Open).await;
    remember(&node, "a.example/app");
    agree("history", &[node.json(&["history"])]);
    agree("status", &[node.json(&["status"])]);
    agree("explain", &[node.json(&["explain", "KEY_UNKNOWN"])]);
    // Below a root, what runs does not count.
    agree("doctor", &[node.json(&["doctor", "--root", "/"])]);
}
