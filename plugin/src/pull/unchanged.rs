//! Images of which a pull would change nothing: all of it is on the node, under the same names.

use pullgate_policy::Admission;
use pullgate_policy::digest::{Digest, Verifier};
use pullgate_policy::limits;
use pullgate_policy::manifest::ImageConfig;

use super::image::Image;
use super::{Gate, ImageId};
use crate::containerd::image::is_published;
use crate::containerd::{HandoffError, snapshot};

impl Gate {
    /// The ID of an admitted image that containerd holds already: its records are those that would be
    /// written, CRI shows it, and its content and snapshots are there. What cannot be told is not.
    pub(super) async fn unchanged(
        &self,
        admission: &Admission,
        image: &Image,
        pinned: bool,
    ) -> Option<ImageId> {
        let manifest = &image.manifest.descriptor.digest;
        let top = image.index.as_ref().map_or(manifest, |(index, _)| &index.descriptor.digest);
        let id = &image.content.config().digest;
        if admission.manifest() != manifest {
            return None;
        }
        let unchanged = async {
            let (published, unpacked, top_held, manifest_held) = tokio::try_join!(
                is_published(&self.containerd, admission, top, id, pinned),
                self.is_unpacked(image),
                self.containerd.holds(top),
                self.containerd.holds(manifest),
            )?;
            Ok::<_, HandoffError>(published && unpacked && top_held && manifest_held)
        };
        unchanged.await.unwrap_or(false).then(|| ImageId(id.to_string()))
    }

    /// Whether containerd holds the configuration of the image and the snapshot that it leads to.
    async fn is_unpacked(&self, image: &Image) -> Result<bool, HandoffError> {
        let config = image.content.config();
        let body = self.containerd.content(&config.digest, limits::CONFIG_BYTES).await?;
        let Some(chain_id) = body.and_then(|body| top_chain(image, &config.digest, &body)) else {
            return Ok(false);
        };
        let snapshotter = self.containerd.snapshotter().await?;
        snapshot::is_kept(&self.containerd, &snapshotter, &config.digest, &chain_id).await
    }
}

/// The chain ID of the uppermost layer.
fn top_chain(image: &Image, config: &Digest, body: &[u8]) -> Option<Digest> {
    drop(Verifier::verify(config, body).ok()?);
    let layers = image.content.layers(&ImageConfig::parse(body).ok()?).ok()?;
    layers.last().map(|top| top.chain_id.clone())
}
