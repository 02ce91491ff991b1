//! Manifests, indexes and image configurations, OCI and Docker. Ambiguous documents are refused.
//!
//! containerd and pullgate must read the same thing in the same bytes: a document that could be both a
//! manifest and an index, or whose keys differ only in case, is refused (CVE-2021-41190).

mod checkpoint;
mod config;
mod error;
mod layer;

use crate::digest::Digest;
use crate::limits;
use crate::platform::Platform;
use crate::strict::{Node, Object, json};

pub use checkpoint::checkpoint;
pub use config::ImageConfig;
pub use error::ManifestError;
pub use layer::{ContainerImage, Layer};

/// An OCI image manifest.
pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// An OCI index.
pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";

/// Every key that some kind of manifest gives a meaning to.
const KEYS: [&str; 11] = [
    "annotations",
    "artifactType",
    "config",
    "fsLayers",
    "history",
    "layers",
    "manifests",
    "mediaType",
    "schemaVersion",
    "signatures",
    "subject",
];

const DESCRIPTOR_KEYS: [&str; 6] =
    ["annotations", "digest", "mediaType", "platform", "size", "urls"];

const PLATFORM_KEYS: [&str; 5] = ["architecture", "os", "os.features", "os.version", "variant"];

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
    pub fn parse(body: &[u8], content_type: &str) -> Result<Self, ManifestError> {
        let is_index = match content_type {
            OCI_MANIFEST | DOCKER_MANIFEST => false,
            OCI_INDEX | DOCKER_LIST => true,
            _ if content_type.starts_with("application/vnd.docker.distribution.manifest.v1+") => {
                return Err(ManifestError::Schema1);
            }
            _ => return Err(ManifestError::media_type(content_type)),
        };
        let document = json(body)?;
        let object = document.root().object()?.no_variants(&KEYS)?;
        check_media_type(&object, content_type)?;
        let media_type = content_type.to_owned();
        if is_index {
            refuse(&object, &["config", "fsLayers", "history", "layers"])?;
            let manifests = descriptors(object.require("manifests")?)?;
            return Ok(Self::Index(Index { media_type, manifests }));
        }
        refuse(&object, &["fsLayers", "history", "manifests"])?;
        let config = descriptor(object.require("config")?)?;
        let layers = descriptors(object.require("layers")?)?;
        if layers.len() > limits::LAYERS {
            return Err(ManifestError::TooManyLayers {
                found: layers.len(),
                limit: limits::LAYERS,
            });
        }
        Ok(Self::Image(ImageManifest { media_type, config, layers }))
    }
}

/// The document names its own type where it must, and names no other.
fn check_media_type(object: &Object<'_>, content_type: &str) -> Result<(), ManifestError> {
    match object.get("mediaType") {
        Some(node) if node.string()? == content_type => Ok(()),
        Some(node) => Err(ManifestError::Contradiction {
            header: content_type.to_owned(),
            body: crate::strict::excerpt(node.string()?),
        }),
        None => Ok(()),
    }
}

fn refuse(object: &Object<'_>, keys: &[&'static str]) -> Result<(), ManifestError> {
    for key in keys {
        if object.get(key).is_some_and(|node| !node.is_null()) {
            return Err(ManifestError::Ambiguous { key });
        }
    }
    Ok(())
}

fn descriptors(node: Node<'_>) -> Result<Vec<Descriptor>, ManifestError> {
    node.list()?.map(descriptor).collect()
}

/// A descriptor. Its `urls` are ignored: content comes from the registry (CVE-2020-15157).
fn descriptor(node: Node<'_>) -> Result<Descriptor, ManifestError> {
    let object = node.object()?.no_variants(&DESCRIPTOR_KEYS)?;
    let digest = object.require("digest")?;
    let size = object.require("size")?;
    let platform = match object.get("platform") {
        Some(node) if !node.is_null() => Some(platform(node)?),
        Some(_) | None => None,
    };
    Ok(Descriptor {
        media_type: object.require("mediaType")?.string()?.to_owned(),
        digest: digest
            .string()?
            .parse()
            .map_err(|source| ManifestError::Digest { path: digest.path().text(), source })?,
        size: u64::try_from(size.integer()?)
            .ok()
            .ok_or_else(|| size.unexpected("a size in bytes, not negative"))?,
        platform,
    })
}

fn platform(node: Node<'_>) -> Result<Platform, ManifestError> {
    let object = node.object()?.no_variants(&PLATFORM_KEYS)?;
    let text = |key: &'static str| match object.get(key) {
        Some(node) if !node.is_null() => node.string(),
        Some(_) | None => Ok(""),
    };
    Ok(Platform::new(text("os")?, text("architecture")?, text("variant")?))
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

impl Index {
    /// Parses an index of either kind, by its own `mediaType`; without one it is OCI's.
    ///
    /// # Errors
    /// [`ManifestError`] as [`Document::parse`].
    pub fn parse(body: &[u8]) -> Result<Self, ManifestError> {
        let document = json(body)?;
        let object = document.root().object()?;
        let named = object.get("mediaType").map(|node| node.string()).transpose()?;
        match Document::parse(body, named.unwrap_or(OCI_INDEX))? {
            Document::Index(index) => Ok(index),
            Document::Image(image) => Err(ManifestError::media_type(&image.media_type)),
        }
    }
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

#[cfg(test)]
mod tests;
