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
    /// The runtime handler that the image is for; none is the default one.
    pub runtime_handler: Option<String>,
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
#[derive(Debug, Default)]
pub struct Gate {}

impl Gate {
    /// Pulls one image. Dropping the future ends the pull and cleans up.
    ///
    /// # Errors
    /// [`PullError`] names the stage that failed.
    pub async fn pull(&self, request: PullRequest) -> Result<ImageId, PullError> {
        let attempt = crate::audit::Attempt::begin(&request);
        attempt.failed("unfinished", "this daemon pulls nothing yet");
        Err(PullError::Unfinished)
    }
}

/// The image ID that `PullImage` answers: the digest of the image configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageId(pub String);

/// Why a pull failed, by stage.
#[derive(Debug, thiserror::Error)]
pub enum PullError {
    /// The gate is not there yet.
    #[error("this daemon pulls nothing yet")]
    Unfinished,
}

impl PullError {
    /// What kind of failure it is.
    #[must_use]
    pub const fn class(&self) -> Class {
        match self {
            Self::Unfinished => Class::Internal,
        }
    }
}

/// What kind of failure ended a pull, as far as kubelet is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// The request itself is wrong, such as a reference that cannot be parsed.
    BadRequest,
    /// The registry refuses the credentials.
    Denied,
    /// pullgate itself, its configuration or its policy file is at fault.
    Internal,
    /// The image, or what the registry served for it, breaks a rule that any image must keep.
    Malformed,
    /// The registry has no such image, or none for this node's platform.
    NotFound,
    /// The policy does not accept the image.
    Rejected,
    /// containerd did not do its part.
    Runtime,
    /// A registry or a signature store could not be reached, or broke off.
    Unavailable,
}
