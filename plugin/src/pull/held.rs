//! An image as containerd holds it: its documents, hashed again.

use pullgate_policy::digest::{Digest, Verifier};
use pullgate_policy::limits;
use pullgate_policy::manifest::{Descriptor, Document, Index, checkpoint};
use pullgate_policy::platform;
use pullgate_policy::reference::PullReference;

use super::findings::Resolution;
use super::image::Part;
use super::{Gate, PullError};
use crate::containerd::present::{Present, Target};

/// An image that containerd holds, as far as decisions go.
pub(super) struct Held {
    pub(super) index: Option<(Part, Index)>,
    pub(super) manifest: Part,
    config: Digest,
}

impl Held {
    /// What the name stands for: the index, or the manifest itself.
    pub(super) fn top(&self) -> &Digest {
        let top = self.index.as_ref().map_or(&self.manifest, |(index, _)| index);
        &top.descriptor.digest
    }

    /// The image by its digests.
    pub(super) fn resolution(&self, name: &PullReference) -> Resolution {
        Resolution {
            index: self.index.as_ref().map(|(part, _)| part.descriptor.digest.clone()),
            platforms: Vec::new(),
            manifest: self.manifest.descriptor.digest.clone(),
            config: self.config.clone(),
            physical: name.reference().clone(),
        }
    }
}

impl Gate {
    /// The documents of an image as containerd holds them, verified; none if they are not all there.
    pub(super) async fn held(
        &self,
        name: &PullReference,
        present: &Present,
    ) -> Result<Option<Held>, PullError> {
        for record in [name.to_string(), present.id.to_string()] {
            let Some(target) = self.containerd.target(&record).await? else { continue };
            let Some(held) = self.held_at(&target, present).await? else { continue };
            if checkpoint(&held.manifest.body)
                || held.index.as_ref().is_some_and(|(index, _)| checkpoint(&index.body))
            {
                return Err(PullError::Checkpoint { image: name.to_string() });
            }
            return Ok(Some(held));
        }
        Ok(None)
    }

    async fn held_at(&self, target: &Target, present: &Present) -> Result<Option<Held>, PullError> {
        let Some((top, document)) = self.document(&target.digest, &target.media_type).await? else {
            return Ok(None);
        };
        let index = match document {
            Document::Image(image) => {
                let same = image.config.digest == present.id;
                let config = image.config.digest;
                return Ok(same.then_some(Held { index: None, manifest: top, config }));
            }
            Document::Index(index) => index,
        };
        for child in platform::candidates(&index, &self.platform) {
            let found = self.document(&child.digest, &child.media_type).await?;
            let Some((manifest, Document::Image(image))) = found else { continue };
            if image.config.digest == present.id {
                let config = image.config.digest;
                return Ok(Some(Held { index: Some((top, index)), manifest, config }));
            }
        }
        Ok(None)
    }

    /// A document that containerd holds; none if it does not, or it is not what its digest says.
    async fn document(
        &self,
        digest: &Digest,
        media_type: &str,
    ) -> Result<Option<(Part, Document)>, PullError> {
        let Some(body) = self.containerd.content(digest, limits::MANIFEST_BYTES).await? else {
            return Ok(None);
        };
        let Ok(proof) = Verifier::verify(digest, &body) else { return Ok(None) };
        let malformed = |source| PullError::Manifest { image: digest.to_string(), source };
        let document = Document::parse(&body, media_type).map_err(malformed)?;
        let (media_type, digest, size) = (media_type.to_owned(), digest.clone(), proof.size());
        let descriptor = Descriptor { media_type, digest, size, platform: None };
        Ok(Some((Part { descriptor, body, proof }, document)))
    }
}
