use super::{Document, ImageConfig, ManifestError};
use crate::digest::Digest;

const OCI: &str = super::OCI_MANIFEST;
const INDEX: &str = super::OCI_INDEX;
const DOCKER: &str = super::DOCKER_MANIFEST;

const A: &str = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const B: &str = "sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

fn manifest(members: &str, layer: &str) -> String {
    let config = format!(
        r#"{{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"{A}","size":2}}"#
    );
    let layer =
        format!(r#"{{"mediaType":"{layer}","digest":"{B}","size":3,"urls":["http://x/"]}}"#);
    format!(r#"{{"schemaVersion":2{members},"config":{config},"layers":[{layer}]}}"#)
}

fn refusal(body: &str, content_type: &str) -> String {
    text(&Document::parse(body.as_bytes(), content_type).unwrap_err())
}

fn text(error: &ManifestError) -> String {
    let source = std::error::Error::source(error);
    source.map_or_else(|| error.to_string(), |source| format!("{error}: {source}"))
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn documents_that_are_not_one_are_refused() {
    let layer = "application/vnd.oci.image.layer.v1.tar";
    let many = (0..513).map(|_| format!(r#"{{"mediaType":"x","digest":"{B}","size":1}}"#));
    let many = many.collect::<Vec<_>>().join(",");
    let config = format!(r#"{{"mediaType":"x","digest":"{A}","size":2}}"#);
    for (name, body, content_type, expected) in [
        (
            "an index in a manifest",
            manifest(r#","manifests":[]"#, layer),
            OCI,
            "`manifests` does not belong",
        ),
        (
            "schema 1 in a manifest",
            manifest(r#","fsLayers":[]"#, layer),
            OCI,
            "`fsLayers` does not belong",
        ),
        ("a manifest served as index", manifest("", layer), INDEX, "`config` does not belong"),
        ("a case variant", manifest(r#","Layers":[]"#, layer), OCI, "Layers"),
        ("a duplicate", manifest(r#","layers":[]"#, layer), OCI, "layers"),
        (
            "another type inside",
            manifest(&format!(r#","mediaType":"{DOCKER}""#), layer),
            OCI,
            "calls itself",
        ),
        (
            "no manifest at all",
            manifest("", layer),
            "text/html",
            "neither an image manifest nor an index",
        ),
        (
            "schema 1",
            manifest("", layer),
            "application/vnd.docker.distribution.manifest.v1+prettyjws",
            "schema 1",
        ),
        ("no JSON", "<html>".to_owned(), OCI, ""),
        ("a list", "[]".to_owned(), OCI, "an object"),
        ("an index without list", "{}".to_owned(), INDEX, "manifests"),
        (
            "too many layers",
            format!(r#"{{"config":{config},"layers":[{many}]}}"#),
            OCI,
            "513 layers",
        ),
        (
            "a negative size",
            format!(r#"{{"config":{},"layers":[]}}"#, config.replace(":2", ":-2")),
            OCI,
            "not negative",
        ),
        (
            "a digest that is a path",
            format!(r#"{{"config":{},"layers":[]}}"#, config.replace(A, "sha256:../../etc")),
            OCI,
            "hexadecimal digits",
        ),
    ] {
        let found = refusal(&body, content_type);
        assert!(found.contains(expected), "{name}: {found}");
    }
}

#[test]
fn only_container_images_are_images() {
    for (layer, expected) in [
        ("application/vnd.oci.image.layer.v1.tar+gzip", None),
        ("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", None),
        ("application/vnd.oci.image.layer.v1.tar+gzip+encrypted", Some("is encrypted")),
        ("application/vnd.in-toto+json", Some("unknown layer type")),
        ("", Some("unknown layer type")),
    ] {
        let Ok(Document::Image(manifest)) = Document::parse(manifest("", layer).as_bytes(), OCI)
        else {
            panic!("{layer}: no image manifest");
        };
        let found = manifest.container_image().err().map(|error| error.to_string());
        assert_eq!(found.is_some(), expected.is_some(), "{layer}: {found:?}");
        assert!(found.unwrap_or_default().contains(expected.unwrap_or_default()), "{layer}");
    }
    let artifact = manifest("", "x").replace("image.config.v1+json", "empty.v1+json");
    let Ok(Document::Image(artifact)) = Document::parse(artifact.as_bytes(), OCI) else {
        panic!("no image manifest");
    };
    assert!(matches!(artifact.container_image(), Err(ManifestError::Artifact { .. })));
}

#[test]
fn layers_are_chained() {
    let body = manifest("", "application/vnd.oci.image.layer.v1.tar").replace(
        "\"layers\":[",
        &format!(
            r#""layers":[{{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":"{A}","size":1}},"#
        ),
    );
    let Ok(Document::Image(manifest)) = Document::parse(body.as_bytes(), OCI) else {
        panic!("no image manifest");
    };
    let image = manifest.container_image().unwrap();
    let config = |ids: &str| {
        let body = format!(
            r#"{{"os":"linux","architecture":"amd64","config":{{"Labels":{{"a":"1","A":"2"}}}},"rootfs":{{"type":"layers","diff_ids":[{ids}]}}}}"#
        );
        ImageConfig::parse(body.as_bytes()).unwrap()
    };
    let layers = image.layers(&config(&format!("\"{B}\",\"{A}\""))).unwrap();
    let chain = Digest::sha256(format!("{B} {A}").as_bytes());
    assert_eq!(layers[0].chain_id.to_string(), B);
    assert_eq!(layers[0].parent, None);
    assert_eq!(layers[1].chain_id, chain);
    assert_eq!(layers[1].parent.as_ref().map(ToString::to_string).as_deref(), Some(B));
    assert_eq!(
        image.layers(&config("")).unwrap_err(),
        ManifestError::LayerCount { layers: 2, diff_ids: 0 }
    );
}

#[test]
fn configurations_that_are_not_one_are_refused() {
    for (name, body, expected) in [
        ("no rootfs", "{}".to_owned(), "rootfs"),
        ("no list", r#"{"rootfs":{"diff_ids":{}}}"#.to_owned(), "a list"),
        ("no digest", r#"{"rootfs":{"diff_ids":["x"]}}"#.to_owned(), "digest"),
        ("a case variant", r#"{"Rootfs":{},"rootfs":{"diff_ids":[]}}"#.to_owned(), "Rootfs"),
        (
            "a case variant below",
            r#"{"rootfs":{"diff_IDs":[],"diff_ids":[]}}"#.to_owned(),
            "diff_IDs",
        ),
        ("a duplicate", r#"{"rootfs":{"diff_ids":[]},"rootfs":{}}"#.to_owned(), "rootfs"),
    ] {
        let found = text(&ImageConfig::parse(body.as_bytes()).unwrap_err());
        assert!(found.contains(expected), "{name}: {found}");
    }
}
