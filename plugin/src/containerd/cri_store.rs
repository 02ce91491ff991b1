//! Waits until CRI shows what was published. Its store follows containerd's events, so an answer
//! given before could name an image that kubelet cannot see yet, or the one the tag named before.

use std::time::Duration;

use futures_util::future::try_join_all;
use pullgate_policy::digest::Digest;
use pullgate_proto::{ImageSpec, ImageStatusRequest};
use tokio::time::{Instant, sleep};

use super::error::of;
use super::{Containerd, HandoffError, request};

/// Longest wait. Measured: 11 ms at most in 300 pulls; a failed event is repeated after 1 s.
pub const PATIENCE: Duration = Duration::from_secs(15);

/// Returns once CRI resolves every name to `image_id`.
///
/// # Errors
/// [`HandoffError::Stale`] names the first name that does not within `patience`.
pub async fn wait(
    containerd: &Containerd,
    image_id: &Digest,
    names: &[String],
    patience: Duration,
) -> Result<(), HandoffError> {
    let end = Instant::now() + patience;
    let all = names.iter().map(|name| async move {
        let mut pause = Duration::from_millis(1);
        while !shows(containerd, image_id, name).await? {
            if Instant::now() > end {
                return Err(HandoffError::Stale {
                    name: name.clone(),
                    image_id: image_id.to_string(),
                });
            }
            sleep(pause).await;
            pause = (pause * 2).min(Duration::from_millis(100));
        }
        Ok(())
    });
    try_join_all(all).await.map(drop)
}

/// Whether CRI resolves `name` to `image_id`.
pub(super) async fn shows(
    containerd: &Containerd,
    image_id: &Digest,
    name: &str,
) -> Result<bool, HandoffError> {
    let image = ImageSpec { image: name.to_owned(), ..ImageSpec::default() };
    let message = ImageStatusRequest { image: Some(image), verbose: false };
    let answer = containerd.cri_images().image_status(request(message)).await;
    let status = answer.map_err(of("ImageStatus"))?.into_inner();
    Ok(status.image.is_some_and(|image| image.id == image_id.to_string()))
}
