//! Images as kubelet asks for them, by CRI: of containerd, or of pullgate in front of it.

use pullgate_proto::{ImageSpec, PullImageRequest, RemoveImageRequest};

use super::error::of;
use super::{Containerd, HandoffError, request, stream};

impl Containerd {
    /// `PullImage`, without credentials and without a pod.
    ///
    /// # Errors
    /// [`HandoffError`] with the answer.
    pub async fn cri_pull(&self, image: &str) -> Result<(), HandoffError> {
        let message = PullImageRequest { image: Some(named(image)), ..PullImageRequest::default() };
        self.cri_images().pull_image(stream(message)).await.map_err(of("PullImage"))?;
        Ok(())
    }

    /// `RemoveImage`, which is no error where there is no such image.
    ///
    /// # Errors
    /// [`HandoffError`] with the answer.
    pub async fn cri_remove(&self, image: &str) -> Result<(), HandoffError> {
        let message = RemoveImageRequest { image: Some(named(image)) };
        self.cri_images().remove_image(request(message)).await.map_err(of("RemoveImage"))?;
        Ok(())
    }
}

fn named(image: &str) -> ImageSpec {
    ImageSpec { image: image.to_owned(), ..ImageSpec::default() }
}
