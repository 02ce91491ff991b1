//! What a reference stands for on this node: a manifest, chosen from an index where there is one.

use bytes::Bytes;
use pullgate_policy::digest::VerifiedBlob;
use pullgate_policy::limits;
use pullgate_policy::manifest::{
    ContainerImage, Descriptor, Document, ImageConfig, ImageManifest, Index, ManifestError,
};
use pullgate_policy::platform::{self, Platform};
use pullgate_policy::reference::PullReference;

use super::PullError;
use crate::registry::{Repository, Source};

/// A resolved image. Its manifest has been verified, and so has the way to it: the index has the
/// digest that the reference or the registry named, the manifest the digest that the index names.
#[derive(Debug)]
pub(super) struct Image {
    /// The index, if the reference names one.
    pub(super) index: Option<(Part, Index)>,
    /// The manifest of the image for this node.
    pub(super) manifest: Part,
    /// What the manifest says.
    pub(super) content: ContainerImage,
    /// Where it came from.
    pub(super) source: Source,
}

/// A document with its descriptor and the proof that it is what the descriptor says.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) descriptor: Descriptor,
    pub(super) body: Bytes,
    pub(super) proof: VerifiedBlob,
}

impl Image {
    /// Resolves `reference` once, for a node that runs `host`.
    pub(super) async fn resolve(
        repository: &Repository,
        reference: &PullReference,
        host: &Platform,
    ) -> Result<Self, PullError> {
        let malformed = |source| PullError::Manifest { image: reference.to_string(), source };
        let resolved = repository.resolve(reference).await?;
        let document = Document::parse(&resolved.body, &resolved.media_type).map_err(malformed)?;
        let top = Part {
            descriptor: Descriptor {
                media_type: resolved.media_type,
                digest: resolved.blob.digest().clone(),
                size: resolved.blob.size(),
                platform: None,
            },
            body: resolved.body,
            proof: resolved.blob,
        };
        let (index, manifest, parsed) = match document {
            Document::Image(parsed) => (None, top, parsed),
            Document::Index(index) => {
                let (part, parsed) = choose(repository, reference, &index, host).await?;
                (Some((top, index)), part, parsed)
            }
        };
        let content = parsed.container_image().map_err(malformed)?;
        Ok(Self { index, manifest, content, source: resolved.source })
    }
}

/// The manifest of `index` that containerd would run on `host`.
async fn choose(
    repository: &Repository,
    reference: &PullReference,
    index: &Index,
    host: &Platform,
) -> Result<(Part, ImageManifest), PullError> {
    for descriptor in platform::candidates(index, host) {
        let malformed =
            |source| PullError::Manifest { image: descriptor.digest.to_string(), source };
        let (body, proof) = repository.manifest(descriptor).await?;
        let parsed = match Document::parse(&body, &descriptor.media_type).map_err(malformed)? {
            Document::Image(parsed) => parsed,
            Document::Index(_) => return Err(malformed(ManifestError::NestedIndex)),
        };
        if descriptor.platform.is_none() {
            let (config, _) = repository.small_blob(&parsed.config, limits::CONFIG_BYTES).await?;
            if !ImageConfig::parse(&config).map_err(malformed)?.platform.runs_on(host) {
                continue;
            }
        }
        let part = Part { descriptor: descriptor.clone(), body, proof };
        return Ok((part, parsed));
    }
    Err(PullError::NoPlatform { image: reference.to_string(), platform: host.clone() })
}
