//! Why a command gave no answer.

use std::io;
use std::path::PathBuf;

use super::Exit;
use crate::config::ConfigError;
use crate::containerd::HandoffError;
use crate::ledger::LedgerError;
use crate::trust::TrustError;

/// Why a command gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum CtlError {
    /// The configuration is not valid.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// containerd did not answer.
    #[error(transparent)]
    Containerd(#[from] HandoffError),
    /// A file cannot be used.
    #[error("{}: cannot be read or written", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The ledger cannot be read.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The operating system did not do its part.
    #[error("this node cannot be looked at")]
    Node(#[source] io::Error),
    /// The answer cannot be printed.
    #[error("the answer cannot be printed")]
    Output(#[from] io::Error),
    /// `--root` cannot be entered.
    #[error("--root {}: cannot be entered, which takes root's rights and a directory", root.display())]
    Root {
        /// The directory.
        root: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// There is no usable policy.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// No reason has this code.
    #[error("there is no reason `{code}`: pullgate explain lists all")]
    UnknownReason {
        /// What was asked for.
        code: String,
    },
}

impl CtlError {
    /// The exit code that tells of it.
    #[must_use]
    pub const fn exit(&self) -> Exit {
        match self {
            Self::Config(_) | Self::Root { .. } | Self::Trust(_) | Self::UnknownReason { .. } => {
                Exit::Usage
            }
            Self::Containerd(_)
            | Self::File { .. }
            | Self::Ledger(_)
            | Self::Node(_)
            | Self::Output(_) => Exit::Infrastructure,
        }
    }
}
