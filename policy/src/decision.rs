//! The verdict. [`decide`] is pure, total and the only maker of an [`Admission`].

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::SystemTime;

use crate::digest::{Digest, VerifiedBlob};
use crate::document::Applicable;
use crate::reference::PullReference;
use crate::signature::UntrustedSignature;

/// What is decided about.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// What kubelet asked for.
    pub reference: &'a PullReference,
    /// The manifest of the image that will run: of an index, the child chosen for this node.
    pub manifest: &'a VerifiedBlob,
    /// Its signatures, in the order found.
    pub signatures: &'a [UntrustedSignature],
}

/// Key and certificate files by path, as read for this decision; an unreadable one carries the
/// reason.
pub type TrustMaterial = BTreeMap<PathBuf, Result<Vec<u8>, String>>;

/// Decides whether the image may enter the node.
#[must_use]
pub fn decide(
    _policy: Applicable<'_>,
    _subject: Subject<'_>,
    _material: &TrustMaterial,
    _now: SystemTime,
) -> Decision {
    todo!()
}

/// A verdict with the whole reasoning.
#[derive(Debug)]
pub struct Decision {
    /// How the verdict came about.
    pub trace: Trace,
    /// The verdict.
    pub verdict: Result<Admission, Rejection>,
}

/// The reasoning: scope, requirements, signatures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trace {
    // by the author of decision
}

/// Proof that the policy accepts this manifest for this reference. Made only by [`decide`].
#[must_use]
#[derive(Debug)]
pub struct Admission {
    reference: PullReference,
    manifest: Digest,
}

impl Admission {
    /// The reference that was accepted.
    #[must_use]
    pub const fn reference(&self) -> &PullReference {
        &self.reference
    }

    /// The manifest that was accepted.
    #[must_use]
    pub const fn manifest(&self) -> &Digest {
        &self.manifest
    }
}

/// The policy does not accept the image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    // by the author of decision
}
