//! Where bundles are attached: manifests that refer to the image's own, found through the registry's
//! referrers API or through a tag that stands in for it (OCI distribution-spec, "Listing Referrers").

use super::bundle::{SIGNATURE, is_bundle};
use crate::digest::Digest;
use crate::limits;
use crate::manifest::{Descriptor, Document, ManifestError, OCI_INDEX, OCI_MANIFEST};
use crate::signature::annotations;
use crate::strict::{JsonError, Object, json};

/// What cosign leaves in the place of an artifact's type where it pushes a list itself: it takes the type
/// of the empty configuration.
const EMPTY: &str = "application/vnd.oci.empty.v1+json";

/// Says which predicate a bundle's statement has.
const PREDICATE: &str = "dev.sigstore.bundle.predicateType";

/// The tag under which a client lists referrers where the registry does not do it.
#[must_use]
pub fn fallback_tag(digest: &Digest) -> String {
    digest.to_string().replacen(':', "-", 1)
}

/// The manifests of a list of referrers that may have bundles: those that are labelled so, and those that
/// are not labelled. A label can hide a signature, but not make one.
///
/// # Errors
/// [`ManifestError`] for anything but an OCI index.
pub fn referrers(body: &[u8], content_type: &str) -> Result<Vec<Descriptor>, ManifestError> {
    if content_type != OCI_INDEX {
        return Err(ManifestError::media_type(content_type));
    }
    let Document::Index(index) = Document::parse(body, content_type)? else {
        return Err(ManifestError::media_type(content_type));
    };
    let document = json(body)?;
    let object = document.root().object()?;
    let entries = object.require("manifests")?;
    let mut found = Vec::new();
    for (entry, descriptor) in entries.list()?.zip(index.manifests) {
        let entry = entry.object()?;
        let label = text(&entry, "artifactType")?;
        let may_be = label.is_none_or(|label| label == EMPTY || is_bundle(label));
        let signs = may_sign(annotations(&entry)?.get(PREDICATE));
        if descriptor.media_type == OCI_MANIFEST && may_be && signs {
            found.push(descriptor);
        }
    }
    Ok(found)
}

/// The bundles of one referrer, unless it says that they are attestations, which may be large.
///
/// # Errors
/// [`ManifestError`] for anything but an OCI image manifest.
pub fn attached_bundles(body: &[u8]) -> Result<Vec<Descriptor>, ManifestError> {
    let Document::Image(manifest) = Document::parse(body, OCI_MANIFEST)? else {
        return Err(ManifestError::media_type(OCI_MANIFEST));
    };
    if manifest.layers.len() > limits::ATTACHED {
        let (found, limit) = (manifest.layers.len(), limits::ATTACHED);
        return Err(ManifestError::TooManyLayers { found, limit });
    }
    let document = json(body)?;
    if !may_sign(annotations(&document.root().object()?)?.get(PREDICATE)) {
        return Ok(Vec::new());
    }
    Ok(manifest.layers.into_iter().filter(|layer| is_bundle(&layer.media_type)).collect())
}

fn may_sign(predicate: Option<&String>) -> bool {
    predicate.is_none_or(|predicate| predicate == SIGNATURE)
}

fn text<'a>(object: &'a Object<'a>, key: &'a str) -> Result<Option<&'a str>, JsonError> {
    let Some(node) = object.get(key).filter(|node| !node.is_null()) else { return Ok(None) };
    let text = node.string()?;
    Ok(Some(text).filter(|text| !text.is_empty()))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const BUNDLE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";

    fn entry(label: &Value, predicate: &Value) -> Value {
        json!({
            "mediaType": OCI_MANIFEST,
            "digest": Digest::sha256(label.to_string().as_bytes()).to_string(),
            "size": 7,
            "artifactType": label,
            "annotations": {PREDICATE: predicate},
        })
    }

    #[test]
    fn a_list_gives_what_may_be_a_signature() {
        for (label, predicate, expected) in [
            (json!(BUNDLE), json!(SIGNATURE), true),
            // What cosign 3.1 writes into the list under the tag.
            (json!(EMPTY), json!(SIGNATURE), true),
            (Value::Null, json!(SIGNATURE), true),
            (json!(""), json!(SIGNATURE), true),
            (json!("application/spdx+json"), json!(SIGNATURE), false),
            (json!(BUNDLE), json!("https://spdx.dev/Document"), false),
        ] {
            let mut entry = entry(&label, &predicate);
            let list = |entry: &Value| {
                let body =
                    json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [entry]});
                referrers(body.to_string().as_bytes(), OCI_INDEX).unwrap().len()
            };
            assert_eq!(list(&entry), usize::from(expected), "{entry}");
            entry.as_object_mut().unwrap().remove("annotations");
            entry["mediaType"] = json!(OCI_INDEX);
            assert_eq!(list(&entry), 0, "{entry}");
        }
        for (body, content_type) in [("{}", OCI_INDEX), ("{}", OCI_MANIFEST), ("", OCI_INDEX)] {
            assert!(referrers(body.as_bytes(), content_type).is_err(), "{body} {content_type}");
        }
    }

    #[test]
    fn a_referrer_gives_its_layers_that_are_bundles() {
        let blob = |media_type: &str| json!({"mediaType": media_type, "digest": Digest::sha256(b"").to_string(), "size": 0});
        let manifest = |predicate: &str, layers: Value| {
            json!({
                "schemaVersion": 2,
                "config": blob(EMPTY),
                "layers": layers,
                "annotations": {PREDICATE: predicate},
            })
            .to_string()
        };
        let layers = json!([blob(BUNDLE), blob("text/plain")]);
        let found = |text: String| attached_bundles(text.as_bytes()).map(|found| found.len());
        assert_eq!(found(manifest(SIGNATURE, layers.clone())), Ok(1));
        assert_eq!(found(manifest("https://spdx.dev/Document", layers)), Ok(0));
        let many = manifest(SIGNATURE, json!(vec![blob(BUNDLE); limits::ATTACHED + 1]));
        assert!(matches!(found(many), Err(ManifestError::TooManyLayers { .. })));
        assert!(found("{}".to_owned()).is_err());
    }
}
