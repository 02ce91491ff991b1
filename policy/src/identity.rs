//! `signedIdentity`: does the name inside a signature speak for the image that was asked for?

use crate::reference::{PullReference, Reference};

/// A `signedIdentity` object (containers-policy.json(5), "signedIdentity").
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SignedIdentity {
    /// `exactReference`.
    ExactReference(Reference),
    /// `exactRepository`.
    ExactRepository(Reference),
    /// `matchExact`.
    MatchExact,
    /// `matchRepoDigestOrExact`, the default.
    MatchRepoDigestOrExact,
    /// `matchRepository`.
    MatchRepository,
    /// `remapIdentity`.
    RemapIdentity(Remap),
}

/// The two prefixes of `remapIdentity`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remap {
    prefix: String,
    signed_prefix: String,
}

impl SignedIdentity {
    /// Does a signature that names `signed` speak for `image`? `None` is an image without a docker
    /// reference, as read from a directory.
    #[must_use]
    pub fn matches(&self, _image: Option<&PullReference>, _signed: &str) -> bool {
        todo!()
    }
}
