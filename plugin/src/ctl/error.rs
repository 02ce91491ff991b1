//! Why a command gave no answer.

use std::io;
use std::path::PathBuf;

use pullgate_policy::identity::IdentityError;
use pullgate_policy::namespace::NamespaceError;

use super::Exit;
use crate::config::ConfigError;
use crate::containerd::HandoffError;
use crate::daemon::AssemblyError;
use crate::ledger::LedgerError;
use crate::pull::PullError;
use crate::registry::RegistryError;
use crate::trust::TrustError;

/// Why a command gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum CtlError {
    /// A part of the gate cannot be made.
    #[error(transparent)]
    Assembly(#[from] AssemblyError),
    /// A file of credentials cannot be used.
    #[error("{}: {why}", file.display())]
    Authfile {
        /// The file.
        file: PathBuf,
        /// Why.
        why: String,
    },
    /// The configuration is not valid.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// containerd did not answer.
    #[error(transparent)]
    Containerd(#[from] HandoffError),
    /// The ledger cannot be read.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The operating system did not do its part.
    #[error("this node cannot be looked at")]
    Node(#[source] io::Error),
    /// A file would be overwritten.
    #[error("{} exists: --force replaces it", file.display())]
    Exists {
        /// The file.
        file: PathBuf,
    },
    /// `--expected-identity` is no name.
    #[error("--expected-identity {text}")]
    Identity {
        /// What was given.
        text: String,
        /// What is wrong with it.
        source: IdentityError,
    },
    /// A key that the policy trusts would be removed.
    #[error("{} is named by the policy: take it out there first, or use --force", file.display())]
    InUse {
        /// The file.
        file: PathBuf,
    },
    /// `--namespace` is no namespace.
    #[error("--namespace")]
    Namespace(#[from] NamespaceError),
    /// No key is called so.
    #[error("there is no key `{key}`: pullgate keys list shows all")]
    NoSuchKey {
        /// What was asked for.
        key: String,
    },
    /// A file holds no key.
    #[error("{}: {why}", file.display())]
    NotAKey {
        /// The file.
        file: PathBuf,
        /// Why.
        why: String,
    },
    /// A file holds no signature.
    #[error("{} is not a signature: {why}", file.display())]
    NotASignature {
        /// The file.
        file: PathBuf,
        /// Why.
        why: String,
    },
    /// The answer cannot be printed.
    #[error("the answer cannot be printed")]
    Output(#[from] io::Error),
    /// The image cannot be looked at.
    #[error(transparent)]
    Pull(#[from] PullError),
    /// A file cannot be read.
    #[error("cannot read {}", file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// hosts.toml is not valid.
    #[error(transparent)]
    Registry(#[from] RegistryError),
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
    /// A file cannot be written.
    #[error("cannot write {}", file.display())]
    Write {
        /// The file.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl CtlError {
    /// The exit code that tells of it.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self {
            Self::Authfile { .. }
            | Self::Config(_)
            | Self::Exists { .. }
            | Self::Identity { .. }
            | Self::InUse { .. }
            | Self::Namespace(_)
            | Self::NoSuchKey { .. }
            | Self::NotAKey { .. }
            | Self::NotASignature { .. }
            | Self::Read { .. }
            | Self::Registry(_)
            | Self::Root { .. }
            | Self::Trust(_)
            | Self::UnknownReason { .. } => Exit::Usage,
            Self::Pull(error) => Exit::of(error),
            Self::Assembly(_)
            | Self::Containerd(_)
            | Self::Ledger(_)
            | Self::Node(_)
            | Self::Output(_)
            | Self::Write { .. } => Exit::Infrastructure,
        }
    }
}
