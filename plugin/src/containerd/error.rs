//! What can go wrong between pullgate and containerd.

use std::error::Error as _;
use std::io;
use std::path::{Path, PathBuf};

use pullgate_policy::digest::Digest;
use tonic::{Code, Status};

/// Why containerd did not take over an image.
#[derive(Debug, thiserror::Error)]
pub enum HandoffError {
    /// The unpacked layer is not the one that the image configuration names.
    #[error("layer {layer} unpacks to {found}, the image configuration says {expected}")]
    DiffId {
        /// The layer's digest.
        layer: Digest,
        /// The diffID of the configuration.
        expected: Digest,
        /// What containerd hashed while unpacking.
        found: String,
    },
    /// A file of containerd's content store cannot be written or read.
    #[error(
        "{}: look at the disk, or set [containerd] place_layers = false in /etc/pullgate/config.toml",
        path.display()
    )]
    Disk {
        /// The file, or its folder as long as it has no name.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// containerd's disk is full.
    #[error("no space left on containerd's disk ({call})")]
    DiskFull {
        /// The call that failed.
        call: &'static str,
    },
    /// Another client has been writing the same content without progress.
    #[error("content {digest} is being written by another client that makes no progress")]
    Locked {
        /// The content.
        digest: Digest,
    },
    /// The policy admitted another manifest: nothing may be published for this one.
    #[error("manifest {manifest} is not the admitted {admitted}")]
    NotAdmitted {
        /// The manifest that was about to be published.
        manifest: Digest,
        /// The manifest that the policy accepted.
        admitted: Digest,
    },
    /// A parent snapshot went away while its child was being prepared.
    #[error("the parent of snapshot {chain_id} is gone")]
    ParentMissing {
        /// The snapshot that was prepared.
        chain_id: Digest,
    },
    /// containerd answered with an error.
    #[error("containerd refused {call}: {} ({:?})", status.message(), status.code())]
    Refused {
        /// The call.
        call: &'static str,
        /// The answer.
        status: Box<Status>,
    },
    /// Images of this snapshotter cannot be unpacked by a client.
    #[error("snapshotter `{name}` is not supported: use one of {}", super::node::SNAPSHOTTERS.join(", "))]
    Snapshotter {
        /// Its name.
        name: String,
    },
    /// The image was written but CRI does not show it.
    #[error("containerd's CRI store does not show {name} as {image_id}")]
    Stale {
        /// The image name.
        name: String,
        /// The expected image ID.
        image_id: String,
    },
    /// No answer in time.
    #[error("containerd did not answer {call} in time")]
    Timeout {
        /// The call.
        call: &'static str,
    },
    /// containerd does not listen or went away.
    #[error("containerd is not reachable ({call})")]
    Unavailable {
        /// The call.
        call: &'static str,
        /// What the transport says.
        #[source]
        status: Box<Status>,
    },
    /// containerd answered what its API does not allow.
    #[error("containerd answered {call} with {what}")]
    Unexpected {
        /// The call.
        call: &'static str,
        /// What is wrong with the answer.
        what: &'static str,
    },
}

impl HandoffError {
    /// Turns what the disk said about `path` into its cause.
    pub(super) fn from_disk(path: &Path, source: io::Error) -> Self {
        if source.kind() == io::ErrorKind::StorageFull {
            return Self::DiskFull { call: "write" };
        }
        Self::Disk { path: path.to_owned(), source }
    }

    /// Turns the status of `call` into its cause.
    pub(super) fn from_status(call: &'static str, status: Status) -> Self {
        // containerd passes ENOSPC on as text only, under several codes.
        if status.message().contains("no space left on device") {
            return Self::DiskFull { call };
        }
        // A status with a cause was made on this side: tonic's own deadline, or a broken connection.
        let ours = status.source().is_some();
        if status.code() == Code::DeadlineExceeded || (ours && status.code() == Code::Cancelled) {
            return Self::Timeout { call };
        }
        let status = Box::new(status);
        if ours || status.code() == Code::Unavailable {
            return Self::Unavailable { call, status };
        }
        Self::Refused { call, status }
    }
}

/// Names the call in an error.
pub(super) fn of(call: &'static str) -> impl FnOnce(Status) -> HandoffError {
    move |status| HandoffError::from_status(call, status)
}

#[cfg(test)]
mod tests {
    use tonic::{Code, Status};

    use super::HandoffError;

    #[test]
    fn a_status_becomes_its_cause() {
        let broken = || Status::from_error(Box::new(std::io::Error::other("connection reset")));
        for (status, expected) in [
            (Status::unavailable("gone"), "containerd is not reachable (x)"),
            (broken(), "containerd is not reachable (x)"),
            (Status::deadline_exceeded("late"), "containerd did not answer x in time"),
            (
                Status::unknown("write /a: no space left on device"),
                "no space left on containerd's disk (x)",
            ),
            (
                Status::new(Code::FailedPrecondition, "odd"),
                "containerd refused x: odd (FailedPrecondition)",
            ),
        ] {
            assert_eq!(HandoffError::from_status("x", status).to_string(), expected);
        }
    }
}
