//! Manifests, indexes and image configurations, OCI and Docker. Ambiguous documents are refused.

use crate::digest::Digest;
use crate::platform::Platform;

/// What a manifest URL may answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Document {
    /// One image.
    Image(ImageManifest),
    /// A list of images for several platforms.
    Index(Index),
}

impl Document {
    /// Parses the body of a manifest answer.
    ///
    /// # Errors
    /// [`ManifestError`] for a document that is not one, is another than `content_type` says, or could
    /// be read as two.
    pub fn parse(_body: &[u8], _content_type: &str) -> Result<Self, ManifestError> {
        todo!()
    }
}

/// The manifest of one image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageManifest {
    /// The media type.
    pub media_type: String,
    /// The image configuration.
    pub config: Descriptor,
    /// The layers, lowest first.
    pub layers: Vec<Descriptor>,
}

/// A list of manifests for several platforms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Index {
    /// The media type.
    pub media_type: String,
    /// The manifests, in the order of the document.
    pub manifests: Vec<Descriptor>,
}

/// What a document says about a piece of content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Descriptor {
    /// The media type.
    pub media_type: String,
    /// The digest.
    pub digest: Digest,
    /// The size in bytes.
    pub size: u64,
    /// The platform, in an index.
    pub platform: Option<Platform>,
}

/// What pullgate reads of an image configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageConfig {
    /// `os`, `architecture` and `variant`.
    pub platform: Platform,
    /// `rootfs.diff_ids`: the digests of the uncompressed layers, lowest first.
    pub diff_ids: Vec<Digest>,
}

impl ImageConfig {
    /// Parses an image configuration.
    ///
    /// # Errors
    /// [`ManifestError`] for a document that is not one or could be read as two.
    pub fn parse(_body: &[u8]) -> Result<Self, ManifestError> {
        todo!()
    }
}

/// What is wrong with a manifest, index or image configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {}

/// A layer with its place in the root file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layer {
    /// The blob.
    pub descriptor: Descriptor,
    /// The digest of the uncompressed blob.
    pub diff_id: Digest,
    /// The snapshot that the layer and all below it unpack to.
    pub chain_id: Digest,
    /// The snapshot below.
    pub parent: Option<Digest>,
}
