//! Why a pull failed: by stage for us, by class for kubelet.

use pullgate_policy::Rejection;
use pullgate_policy::digest::{BlobMismatch, Digest};
use pullgate_policy::manifest::ManifestError;
use pullgate_policy::namespace::NamespaceError;
use pullgate_policy::platform::Platform;
use pullgate_policy::reference::ReferenceError;

use crate::audit::Reason;
use crate::containerd::HandoffError;
use crate::containerd::content::IngestError;
use crate::evidence::EvidenceError;
use crate::hash::HashingError;
use crate::registry::{CredentialsError, RegistryError};
use crate::trust::TrustError;

/// Why a pull failed.
#[derive(Debug, thiserror::Error)]
pub enum PullError {
    /// A blob is not what its descriptor says.
    #[error("blob {digest}")]
    Blob {
        /// The blob.
        digest: Digest,
        /// How it differs.
        source: BlobMismatch,
    },
    /// A container's checkpoint: what it restores was never looked at.
    #[error(
        "{image} is a checkpoint, and what it restores cannot be verified: start the pod from its image"
    )]
    Checkpoint {
        /// What was asked for.
        image: String,
    },
    /// The request's credentials cannot be used.
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
    /// Signatures could not be collected.
    #[error("cannot read the image's signatures")]
    Evidence(#[from] EvidenceError),
    /// containerd did not take the image.
    #[error(transparent)]
    Handoff(#[from] HandoffError),
    /// Content could not be verified.
    #[error("the image's content could not be hashed")]
    Hashing(#[source] HashingError),
    /// The image is not one that can be run.
    #[error("{image}")]
    Manifest {
        /// The reference or digest of the document.
        image: String,
        /// What is wrong with it.
        source: ManifestError,
    },
    /// The request's pod is in no possible namespace.
    #[error("invalid pod")]
    Namespace(#[from] NamespaceError),
    /// A verdict that changes nothing was not reached.
    #[error("there is no verdict: {why}")]
    NoVerdict {
        /// Why not.
        why: &'static str,
    },
    /// An index without an image for this node.
    #[error("{image}: no image for {platform} in the index: not found")]
    NoPlatform {
        /// The reference.
        image: String,
        /// What this node runs.
        platform: Platform,
    },
    /// The request names no image.
    #[error("invalid image reference")]
    Reference(#[from] ReferenceError),
    /// The registry did not give what was asked for.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The policy does not accept the image.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// containerd's sandbox image is not known, and would not be verified.
    #[error(
        "which image containerd makes sandboxes of cannot be told: set [containerd] sandbox_image in \
         /etc/pullgate/config.toml"
    )]
    SandboxUnknown,
    /// There is no usable policy.
    #[error("no usable policy, pulls are refused until it is mended")]
    Trust(#[from] TrustError),
    /// The image is on the node, nobody has verified it, and that cannot be made up for.
    #[error(
        "{image} is on this node but was not verified: remove it (crictl rmi) so that kubelet pulls it \
         again, or make its registry reachable"
    )]
    Unverified {
        /// The image.
        image: String,
        /// Why the registry did not help, if it was asked.
        source: Option<Box<Self>>,
    },
}

impl From<IngestError<RegistryError>> for PullError {
    fn from(error: IngestError<RegistryError>) -> Self {
        match error {
            IngestError::Handoff(error) => Self::Handoff(error),
            IngestError::Hashing(error) => Self::Hashing(error),
            IngestError::Mismatch { digest, source } => Self::Blob { digest, source },
            IngestError::Source(error) => Self::Registry(error),
        }
    }
}

impl PullError {
    pub(super) fn unverified(image: &impl ToString, source: Option<Self>) -> Self {
        Self::Unverified { image: image.to_string(), source: source.map(Box::new) }
    }

    /// Whether the image must not be used, rather than that there is no verdict.
    #[must_use]
    pub fn is_rejection(&self) -> bool {
        self.class() == Class::Rejected
    }

    /// What kind of failure it is.
    #[must_use]
    pub fn class(&self) -> Class {
        match self {
            Self::Blob { .. } | Self::Manifest { .. } => Class::Malformed,
            Self::Credentials(_) | Self::Namespace(_) | Self::Reference(_) => Class::BadRequest,
            Self::Evidence(error) if error.unavailable() => Class::Unavailable,
            Self::Checkpoint { .. }
            | Self::Evidence(_)
            | Self::Rejected(_)
            | Self::Trust(_)
            | Self::Unverified { .. } => Class::Rejected,
            Self::Hashing(_) | Self::SandboxUnknown => Class::Internal,
            Self::Handoff(HandoffError::DiffId { .. }) => Class::Malformed,
            Self::Handoff(_) => Class::Runtime,
            Self::NoPlatform { .. } => Class::NotFound,
            Self::NoVerdict { .. } => Class::Unavailable,
            Self::Registry(error) if error.unavailable() => Class::Unavailable,
            Self::Registry(error) if error.not_found() => Class::NotFound,
            Self::Registry(error) if error.denied() => Class::Denied,
            Self::Registry(RegistryError::Hosts(_) | RegistryError::NoEndpoint { .. }) => {
                Class::Internal
            }
            Self::Registry(RegistryError::Endpoints { .. } | RegistryError::TooLarge { .. }) => {
                Class::Malformed
            }
        }
    }

    /// Whether an exemption may overrule it: the policy refuses, or nothing can be said. What is wrong
    /// with the image itself or with its registry stays wrong.
    #[must_use]
    pub const fn may_be_overruled(&self) -> bool {
        match self {
            Self::Evidence(_) | Self::Rejected(_) | Self::Trust(_) | Self::Unverified { .. } => {
                true
            }
            Self::Blob { .. }
            | Self::Checkpoint { .. }
            | Self::Credentials(_)
            | Self::Handoff(_)
            | Self::Hashing(_)
            | Self::Manifest { .. }
            | Self::Namespace(_)
            | Self::NoPlatform { .. }
            | Self::NoVerdict { .. }
            | Self::Reference(_)
            | Self::Registry(_)
            | Self::SandboxUnknown => false,
        }
    }

    /// The stable reason of the record.
    #[must_use]
    pub fn reason(&self) -> Reason {
        match self {
            Self::Blob { .. } => Reason::ContentMismatch,
            Self::Checkpoint { .. } => Reason::CheckpointRefused,
            Self::Credentials(_) => Reason::CredentialsInvalid,
            Self::Evidence(error) if error.unavailable() => Reason::SignaturesUnavailable,
            Self::Evidence(_) => Reason::SignaturesUnreadable,
            Self::Handoff(HandoffError::DiffId { .. }) => Reason::DiffIdMismatch,
            Self::Handoff(HandoffError::DiskFull { .. }) => Reason::DiskFull,
            Self::Handoff(_) => Reason::ContainerdFailed,
            Self::Hashing(_) => Reason::HashingStopped,
            Self::Manifest { .. } => Reason::ManifestInvalid,
            Self::Namespace(_) => Reason::NamespaceInvalid,
            Self::NoPlatform { .. } => Reason::PlatformMissing,
            Self::NoVerdict { .. } => Reason::NoVerdict,
            Self::Reference(_) => Reason::ReferenceInvalid,
            Self::Registry(_) => match self.class() {
                Class::Unavailable => Reason::RegistryUnavailable,
                Class::NotFound => Reason::ImageNotFound,
                Class::Denied => Reason::RegistryDenied,
                Class::BadRequest
                | Class::Internal
                | Class::Malformed
                | Class::Rejected
                | Class::Runtime => Reason::RegistryInvalid,
            },
            Self::Rejected(rejection) => Reason::Policy(rejection.code()),
            Self::SandboxUnknown => Reason::SandboxUnknown,
            Self::Trust(_) => Reason::PolicyUnusable,
            Self::Unverified { .. } => Reason::NotVerified,
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
    /// pullgate itself or its configuration is at fault.
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
