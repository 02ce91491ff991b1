//! The pull: resolve, collect, decide, ingest, publish, record.

use crate::registry::Credentials;

/// What kubelet asks for. Nothing in it has been checked.
#[derive(Debug)]
pub struct PullRequest {
    /// `image.image` of the request.
    pub image: String,
    /// `auth` of the request.
    pub credentials: Credentials,
    /// Whose pod it is for.
    pub pod: Pod,
}

/// The pod that a pull is for, as far as the request tells.
#[derive(Debug, Clone, Default)]
pub struct Pod {
    /// `sandbox_config.metadata.namespace`.
    pub namespace: String,
    /// `sandbox_config.metadata.name`.
    pub name: String,
    /// `sandbox_config.metadata.uid`.
    pub uid: String,
}

/// The gate: decides and hands over.
#[derive(Debug)]
pub struct Gate {}

impl Gate {
    /// Pulls one image. Dropping the future ends the pull and cleans up.
    ///
    /// # Errors
    /// [`PullError`] names the stage that failed.
    pub async fn pull(&self, _request: PullRequest) -> Result<ImageId, PullError> {
        todo!()
    }
}

/// The image ID that PullImage answers: the digest of the image configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageId(pub String);

/// Why a pull failed, by stage.
#[derive(Debug, thiserror::Error)]
pub enum PullError {}
