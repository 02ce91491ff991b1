//! Collects the stored signatures of a manifest. "Could not look" is never "there are none".

use pullgate_policy::digest::Digest;
use pullgate_policy::lookaside::Lookaside;
use pullgate_policy::reference::Reference;
use pullgate_policy::signature::UntrustedSignature;

/// Reads signature stores.
#[derive(Debug)]
pub struct Collector {
    // by the author of evidence
}

impl Collector {
    /// A collector; `no_progress` bounds how long a store may send nothing.
    ///
    /// # Errors
    /// [`EvidenceError`] if the TLS roots cannot be read.
    pub fn new(_no_progress: std::time::Duration) -> Result<Self, EvidenceError> {
        todo!()
    }

    /// Every signature of the manifest `digest` of the repository `physical`, and where they were
    /// looked for.
    ///
    /// # Errors
    /// [`EvidenceError`] if a store cannot be read or holds what is not a signature.
    pub async fn collect(
        &self,
        _lookaside: &Lookaside,
        _physical: &Reference,
        _digest: &Digest,
    ) -> Result<Evidence, EvidenceError> {
        todo!()
    }
}

/// What was found, and where it was looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evidence {
    /// The signatures in the order found.
    pub signatures: Vec<UntrustedSignature>,
    /// The stores that were read, for the record and the rejection's text.
    pub searched: Vec<String>,
}

/// Why signatures could not be collected.
#[derive(Debug, thiserror::Error)]
pub enum EvidenceError {}
