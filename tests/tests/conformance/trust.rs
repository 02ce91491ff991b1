//! Kinds about manifests, signatures and decisions.

use crate::corpus::Runner;

/// The kinds that this module runs.
pub(crate) const KINDS: &[(&str, Runner)] = &[];
