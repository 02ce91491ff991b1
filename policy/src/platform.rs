//! Which manifest of an index runs on this node, chosen exactly as containerd chooses it.

use crate::manifest::{Descriptor, Index};

/// An operating system and an architecture, normalised as containerd's platforms package does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Platform {
    /// For example `linux`.
    pub os: String,
    /// For example `amd64`.
    pub architecture: String,
    /// For example `v8`; empty for none.
    pub variant: String,
}

impl Platform {
    /// Whether an image for `self` runs on `host`.
    #[must_use]
    pub fn runs_on(&self, _host: &Self) -> bool {
        todo!()
    }
}

/// The manifests of `index` that may run on `host`, best first; those without a platform last (their
/// configuration tells).
#[must_use]
pub fn candidates<'a>(_index: &'a Index, _host: &Platform) -> Vec<&'a Descriptor> {
    todo!()
}
