//! What containerd on this node is: its version, and the snapshotter that CRI uses.

use pullgate_proto::runtime_service_client::RuntimeServiceClient;
use pullgate_proto::{ImageFsInfoRequest, VersionRequest};
use tonic::Code;

use super::error::of;
use super::{Containerd, HandoffError, request};

/// Snapshotters into which a client can unpack (containerd-handoff.md 2, recommendation). Lazy and
/// remote ones would read bytes that were never verified.
pub const SNAPSHOTTERS: [&str; 7] =
    ["blockfile", "btrfs", "devmapper", "erofs", "native", "overlayfs", "zfs"];

/// The last part of an image file system's mount point names its snapshotter.
const MOUNT_POINT: &str = "io.containerd.snapshotter.v1.";

const NO_CRI: &str = "no CRI service: is `cri` in disabled_plugins of its configuration?";

/// What a running containerd says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// containerd's version.
    pub version: String,
    /// The default snapshotter of CRI.
    pub snapshotter: String,
}

impl Containerd {
    /// Asks both CRI services who they are.
    ///
    /// # Errors
    /// [`HandoffError`] if containerd does not answer, runs without its CRI plugin, or uses a
    /// snapshotter that a client cannot unpack into.
    pub async fn node(&self) -> Result<Node, HandoffError> {
        Ok(Node { version: self.version().await?, snapshotter: self.snapshotter().await? })
    }

    /// The version that CRI answers.
    ///
    /// # Errors
    /// [`HandoffError`] if nobody answers, or containerd runs without its CRI plugin.
    pub async fn version(&self) -> Result<String, HandoffError> {
        let answer = RuntimeServiceClient::new(self.channel.clone())
            .version(request(VersionRequest::default()))
            .await
            .map_err(|status| {
                if status.code() == Code::Unimplemented {
                    return HandoffError::Unexpected { call: "Version", what: NO_CRI };
                }
                HandoffError::from_status("Version", status)
            })?;
        Ok(answer.into_inner().runtime_version)
    }

    /// The snapshotter that CRI unpacks images into by default.
    ///
    /// # Errors
    /// [`HandoffError`] if containerd does not tell, or it is none of [`SNAPSHOTTERS`].
    pub async fn snapshotter(&self) -> Result<String, HandoffError> {
        const CALL: &str = "ImageFsInfo";
        let answer = self.cri_images().image_fs_info(request(ImageFsInfoRequest {})).await;
        let file_systems = answer.map_err(of(CALL))?.into_inner().image_filesystems;
        let name = file_systems
            .iter()
            .filter_map(|usage| usage.fs_id.as_ref())
            .find_map(|id| id.mountpoint.rsplit_once(MOUNT_POINT))
            .map(|(_, name)| name.to_owned())
            .ok_or(HandoffError::Unexpected { call: CALL, what: "no snapshotter" })?;
        if SNAPSHOTTERS.contains(&name.as_str()) {
            return Ok(name);
        }
        Err(HandoffError::Snapshotter { name })
    }
}
