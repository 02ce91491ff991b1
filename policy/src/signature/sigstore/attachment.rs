//! The manifest under an attachment's tag: which blobs are payloads, and what is annotated to them.

use std::collections::BTreeMap;

use crate::digest::Digest;
use crate::limits;
use crate::manifest::{Descriptor, Document, ManifestError, OCI_MANIFEST};
use crate::signature::annotations;
use crate::strict::json;

/// The tag under which cosign attaches signatures to the manifest `digest`.
#[must_use]
pub fn attachment_tag(digest: &Digest) -> String {
    format!("{}.sig", digest.to_string().replacen(':', "-", 1))
}

/// One payload of an attachment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attached {
    /// The payload's blob.
    pub descriptor: Descriptor,
    /// The signature and what belongs to it.
    pub annotations: BTreeMap<String, String>,
}

/// The payloads that an attachment's manifest lists, each with its annotations.
///
/// # Errors
/// [`ManifestError`] for anything but an OCI image manifest (policy-semantics.md 2.5).
pub fn attached(body: &[u8], content_type: &str) -> Result<Vec<Attached>, ManifestError> {
    if content_type != OCI_MANIFEST {
        return Err(ManifestError::media_type(content_type));
    }
    let Document::Image(manifest) = Document::parse(body, content_type)? else {
        return Err(ManifestError::media_type(content_type));
    };
    if manifest.layers.len() > limits::ATTACHED {
        let (found, limit) = (manifest.layers.len(), limits::ATTACHED);
        return Err(ManifestError::TooManyLayers { found, limit });
    }
    let document = json(body)?;
    let object = document.root().object()?;
    let layers = object.require("layers")?;
    let mut attached = Vec::new();
    for (layer, descriptor) in layers.list()?.zip(manifest.layers) {
        let annotations = annotations(&layer.object()?)?;
        attached.push(Attached { descriptor, annotations });
    }
    Ok(attached)
}
