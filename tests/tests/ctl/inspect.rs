//! What `pullgate inspect` says.

use pullgate_tests::registry::Access;
use pullgate_tests::sample;
use pullgate_tests::signer::Signer;

use crate::node::{Node, signed_by};

#[tokio::test]
async fn each_digest_is_named_for_what_it_is() {
    let mut node = Node::new(Access::Open).await;
    let index = sample::multi_arch("inspect");
    index.store(&node.registry, "app", "v1");
    let here = index.images.iter().position(|image| {
        let config: serde_json::Value = serde_json::from_slice(&image.config.bytes).unwrap();
        config["architecture"] == pullgate_tests::image::architecture()
    });
    let here = here.expect("an image for this machine");
    node.call(&index.document.digest, "sha256:INDEX");
    node.call(&index.images[here].config.digest, "sha256:CONFIG");
    for (number, image) in index.images.iter().enumerate() {
        node.call(&image.manifest.digest, &format!("sha256:CHILD{number}"));
    }
    let name = format!("{}/app:v1", node.registry.host());
    let (code, text) = node.says(&["inspect", &name]);
    let (head, table) = text.split_once("PLATFORM").unwrap();
    let expected = format!(
        "\
HOST/app:v1
  index digest     sha256:INDEX
  manifest digest  sha256:CHILD{here}
  config digest    sha256:CONFIG = image ID
  repo digest      HOST/app@sha256:INDEX
"
    );
    assert_eq!(head, expected);
    let rows: Vec<Vec<&str>> =
        table.lines().skip(1).map(|line| line.split_whitespace().collect()).collect();
    let platforms = ["linux/amd64", "linux/arm64", "linux/arm/v7", "unknown/unknown"];
    assert_eq!(rows.len(), platforms.len(), "{table}");
    for (number, (row, platform)) in rows.iter().zip(platforms).enumerate() {
        let digest = format!("sha256:CHILD{number}");
        let mut expected = vec![platform, &digest];
        if number == here {
            expected.extend(["this", "node's"]);
        }
        assert_eq!(*row, expected, "{table}");
    }
    assert_eq!(code, 0);
    assert_eq!(node.says(&["inspect", &format!("{}/gone:v1", node.registry.host())]).0, 3);
    assert_eq!(node.says(&["inspect", "NO/name"]).0, 2);
}

#[tokio::test]
async fn the_signers_of_each_tag_stand_in_a_table() {
    let (ours, second) = (Signer::new(), Signer::new());
    let mut node = Node::new(Access::Open).await;
    node.call(ours.fingerprint(), "OURS");
    node.call(second.fingerprint(), "SECOND");
    node.require(&signed_by(&[&ours.public_key(), &second.public_key()]));
    let host = node.registry.host();
    for (tag, signers) in [("v1", &[&ours, &second][..]), ("v2", &[]), ("v3", &[&second])] {
        let image = sample::tiny(tag);
        image.store(&node.registry, "app", tag);
        node.call(&image.manifest.digest, &format!("sha256:{tag}"));
        for signer in signers {
            let signature = signer.sign(&image.manifest.digest, &format!("{host}/app:{tag}"));
            node.lookaside.add("app", &image.manifest.digest, &signature);
        }
    }
    // What cosign attaches by tag is no image.
    sample::tiny("attached").store(
        &node.registry,
        "app",
        &format!("sha256-{}.sig", "0".repeat(64)),
    );
    let (code, text) = node.says(&["inspect", "--tags", &format!("{host}/app:v1")]);
    let table = text.split_once("TAG ").unwrap().1;
    let rows: Vec<String> = table
        .lines()
        .skip(1)
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect();
    let name = "Release key <release@example.com>";
    let expected = [
        format!("v1 sha256:v1 accepted SIGNED {name} OURS, {name} SECOND"),
        "v2 sha256:v2 refused SIGNATURE_MISSING -".to_owned(),
        format!("v3 sha256:v3 accepted SIGNED {name} SECOND"),
    ];
    assert_eq!(rows, expected, "{text}");
    assert_eq!(code, 0);
}
