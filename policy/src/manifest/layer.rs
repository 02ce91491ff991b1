//! Layers, paired with what the configuration says of them.

use crate::digest::Digest;
use crate::strict::excerpt;

use super::{Descriptor, ImageConfig, ImageManifest, ManifestError};

/// Configurations of container images.
const CONFIGS: [&str; 2] =
    ["application/vnd.docker.container.image.v1+json", "application/vnd.oci.image.config.v1+json"];

/// Layers that containerd unpacks. Those called foreign or nondistributable are fetched like any
/// other.
const LAYERS: [&str; 11] = [
    "application/vnd.docker.image.rootfs.diff.tar",
    "application/vnd.docker.image.rootfs.diff.tar.gzip",
    "application/vnd.docker.image.rootfs.diff.tar.zstd",
    "application/vnd.docker.image.rootfs.foreign.diff.tar",
    "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
    "application/vnd.oci.image.layer.nondistributable.v1.tar",
    "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
    "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd",
    "application/vnd.oci.image.layer.v1.tar",
    "application/vnd.oci.image.layer.v1.tar+gzip",
    "application/vnd.oci.image.layer.v1.tar+zstd",
];

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

impl ImageManifest {
    /// Refuses what is not a container image whose layers containerd can unpack.
    ///
    /// # Errors
    /// [`ManifestError::Artifact`], [`ManifestError::Encrypted`] or [`ManifestError::LayerType`].
    pub fn container_image(self) -> Result<ContainerImage, ManifestError> {
        if !CONFIGS.contains(&self.config.media_type.as_str()) {
            return Err(ManifestError::Artifact { media_type: excerpt(&self.config.media_type) });
        }
        for layer in &self.layers {
            let media_type = layer.media_type.as_str();
            if media_type.ends_with("+encrypted") {
                return Err(ManifestError::Encrypted { media_type: excerpt(media_type) });
            }
            if !LAYERS.contains(&media_type) {
                return Err(ManifestError::LayerType { media_type: excerpt(media_type) });
            }
        }
        Ok(ContainerImage { manifest: self })
    }
}

/// The manifest of a container image: an image configuration, and layers that can be unpacked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerImage {
    manifest: ImageManifest,
}

impl ContainerImage {
    /// The image configuration.
    #[must_use]
    pub const fn config(&self) -> &Descriptor {
        &self.manifest.config
    }

    /// The layers, lowest first.
    #[must_use]
    pub fn blobs(&self) -> &[Descriptor] {
        &self.manifest.layers
    }

    /// The layers with their diffIDs and chain IDs (OCI image-spec, config, "Layer `ChainID`").
    ///
    /// # Errors
    /// [`ManifestError::LayerCount`] if `config` lists another number of layers.
    pub fn layers(&self, config: &ImageConfig) -> Result<Vec<Layer>, ManifestError> {
        let (layers, diff_ids) = (self.manifest.layers.len(), config.diff_ids.len());
        if layers != diff_ids {
            return Err(ManifestError::LayerCount { layers, diff_ids });
        }
        let mut parent: Option<Digest> = None;
        let pairs = self.manifest.layers.iter().zip(&config.diff_ids);
        Ok(pairs
            .map(|(descriptor, diff_id)| {
                let chain_id = match &parent {
                    None => diff_id.clone(),
                    Some(below) => Digest::sha256(format!("{below} {diff_id}").as_bytes()),
                };
                let parent = parent.replace(chain_id.clone());
                let (descriptor, diff_id) = (descriptor.clone(), diff_id.clone());
                Layer { descriptor, diff_id, chain_id, parent }
            })
            .collect())
    }
}
