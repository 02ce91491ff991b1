//! Images that must not become one on a node.

use serde_json::{Value, json};

use crate::image::{Blob, Image, Index, Recipe};

/// The configuration names another layer than the manifest does.
#[must_use]
pub fn wrong_diff_id() -> Image {
    let other = format!("sha256:{}", "a".repeat(64));
    recipe("wrong").build_with(|config| config["rootfs"]["diff_ids"][0] = json!(other), |_| {})
}

/// The configuration names one layer more than the manifest has.
#[must_use]
pub fn too_many_diff_ids() -> Image {
    let twice = |config: &mut Value| {
        let one = config["rootfs"]["diff_ids"][0].clone();
        config["rootfs"]["diff_ids"] = json!([one, one]);
    };
    recipe("twice").build_with(twice, |_| {})
}

/// The layer has one byte more than the manifest says.
#[must_use]
pub fn layer_longer_than_declared() -> Image {
    declared("longer", |size| size - 1)
}

/// The layer has one byte less than the manifest says.
#[must_use]
pub fn layer_shorter_than_declared() -> Image {
    declared("shorter", |size| size + 1)
}

/// The layer has a media type that no specification has. containerd 2.1 takes such an image for one
/// without layers; 1.6 and 1.7 refuse it.
#[must_use]
pub fn unknown_layer_type() -> Image {
    let odd = json!("application/vnd.example.layer.v1.rar");
    recipe("odd").build_with(|_| {}, |manifest| manifest["layers"][0]["mediaType"] = odd)
}

/// The manifest is larger than the 4 MiB that containerd reads. docker-registry does not hand it out:
/// serve it from [`crate::server::Server::of_manifest`].
#[must_use]
pub fn huge_manifest() -> Image {
    let padding = json!({"org.example.padding": "x".repeat(9 << 19)});
    recipe("huge").build_with(|_| {}, |manifest| manifest["annotations"] = padding)
}

/// An index whose only image is for a processor that no node has.
#[must_use]
pub fn other_platform() -> Index {
    let image = Recipe::new().platform("mips64le", None).text("elsewhere").build();
    Index::new(vec![(json!({"architecture": "mips64le", "os": "linux"}), image)])
}

/// A schema 1 manifest, which names its layers without their sizes. Registries convert or refuse it:
/// serve it from [`crate::server::Server::of_manifest`].
#[must_use]
pub fn schema_1() -> Blob {
    let layer = &recipe("old").build().layers[0].digest;
    let document = json!({
        "schemaVersion": 1,
        "name": "test/schema1",
        "tag": "v1",
        "architecture": "amd64",
        "fsLayers": [{"blobSum": layer}],
        "history": [{"v1Compatibility": "{\"architecture\":\"amd64\",\"id\":\"0\",\"os\":\"linux\"}"}],
    });
    let bytes = document.to_string().into_bytes();
    Blob::new("application/vnd.docker.distribution.manifest.v1+prettyjws", bytes)
}

fn recipe(text: &str) -> Recipe {
    Recipe::new().text(text)
}

fn declared(text: &str, size: impl FnOnce(u64) -> u64) -> Image {
    let change = |manifest: &mut Value| {
        let found = manifest["layers"][0]["size"].as_u64().expect("a layer has a size");
        manifest["layers"][0]["size"] = json!(size(found));
    };
    recipe(text).build_with(|_| {}, change)
}
