//! What is wrong with a manifest, index or image configuration.

use crate::digest::DigestError;
use crate::strict::{JsonError, excerpt};

/// Why a document cannot be an image's manifest, index or configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// It could be read as another kind of document.
    #[error("ambiguous: `{key}` does not belong in a document of this type")]
    Ambiguous {
        /// The member that makes it so.
        key: &'static str,
    },
    /// The configuration's media type is not that of a container image.
    #[error("not a container image: its configuration has the media type `{media_type}`")]
    Artifact {
        /// The media type.
        media_type: String,
    },
    /// The body names another media type than the answer.
    #[error("served as `{header}`, but calls itself `{body}`")]
    Contradiction {
        /// What the answer's `Content-Type` says.
        header: String,
        /// What the body says.
        body: String,
    },
    /// A digest of the wrong form.
    #[error("`{path}`")]
    Digest {
        /// Where it stands.
        path: String,
        /// What is wrong with it.
        source: DigestError,
    },
    /// A layer that is encrypted.
    #[error("layer of the media type `{media_type}` is encrypted, which is not supported")]
    Encrypted {
        /// The media type.
        media_type: String,
    },
    /// The document is not JSON of the right shape.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// The configuration lists another number of layers than the manifest.
    #[error("the manifest has {layers} layers, its configuration {diff_ids} diffIDs")]
    LayerCount {
        /// Layers of the manifest.
        layers: usize,
        /// `rootfs.diff_ids` of the configuration.
        diff_ids: usize,
    },
    /// A layer type that containerd cannot unpack.
    #[error("unknown layer type `{media_type}`")]
    LayerType {
        /// The media type.
        media_type: String,
    },
    /// Neither a manifest nor an index.
    #[error("`{media_type}` is neither an image manifest nor an index")]
    MediaType {
        /// The media type.
        media_type: String,
    },
    /// The index chooses another index.
    #[error("the index refers to another index, which is not supported")]
    NestedIndex,
    /// Docker's image manifest version 2, schema 1.
    #[error(
        "Docker schema 1 manifests are not supported: push the image again with a current tool"
    )]
    Schema1,
    /// More layers than any real image.
    #[error("{found} layers, the limit is {limit}")]
    TooManyLayers {
        /// How many there are.
        found: usize,
        /// The limit.
        limit: usize,
    },
}

impl ManifestError {
    pub(crate) fn media_type(text: &str) -> Self {
        Self::MediaType { media_type: excerpt(text) }
    }
}
