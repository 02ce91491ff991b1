//! What a signature has to confirm, and how it can fail to.

use std::fmt;

use super::openpgp::OpenPgpError;
use super::payload::{Payload, PayloadError};
use super::sigstore::{PublicKey, SigstoreError};
use crate::digest::Digest;
use crate::identity::SignedIdentity;
use crate::limits;
use crate::reference::{Reference, ReferenceError};
use crate::strict::excerpt;

/// What a signature has to confirm.
#[derive(Debug)]
pub struct Claim<'a, R> {
    /// The image's manifest.
    pub manifest: &'a Digest,
    /// Which name it has to carry.
    pub identity: &'a SignedIdentity,
    /// The image's own name; none if it was read from a directory.
    pub image: Option<&'a R>,
}

/// The repository for which a signature speaks that names none: the one that it was found in.
#[derive(Debug, Clone)]
pub struct FoundIn(Reference);

/// Tags and digests mean nothing.
impl PartialEq for FoundIn {
    fn eq(&self, other: &Self) -> bool {
        self.0.domain() == other.0.domain() && self.0.path() == other.0.path()
    }
}

impl Eq for FoundIn {}

impl FoundIn {
    /// Where a signature of `image` was found, that an endpoint with the name `physical` stores.
    ///
    /// The registry itself has the image's own name, and a mirror that serves the very same path stands
    /// for it: `hosts.toml` says so. A mirror that keeps several registries apart by a path of its own, as
    /// a proxy cache does, is another repository, and a signature in it counts for its own name alone.
    #[must_use]
    pub fn new(image: &Reference, physical: &Reference) -> Self {
        Self(if image.path() == physical.path() { image.clone() } else { physical.clone() })
    }

    /// Reads what its text form says.
    pub(super) fn restore(text: &str) -> Result<Self, ReferenceError> {
        Reference::parse_canonical(text).map(Self)
    }
}

impl fmt::Display for FoundIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.repository())
    }
}

impl<R: AsRef<Reference>> Claim<'_, R> {
    /// Whether a signature for these manifests, which names no image, is for this one.
    pub(super) fn confirm_found(
        &self,
        manifests: &[Digest],
        found_in: &FoundIn,
    ) -> Result<(), SignatureFault> {
        if !manifests.contains(self.manifest) {
            let signed = manifests.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            let manifest = self.manifest.clone();
            return Err(SignatureFault::OtherManifests { signed: excerpt(&signed), manifest });
        }
        let found = &found_in.0;
        if !self.identity.matches_repository(self.image, found) {
            let expected = self.identity.describe(self.image.map(AsRef::as_ref));
            return Err(SignatureFault::Place { found: found_in.to_string(), expected });
        }
        Ok(())
    }

    /// Whether the signed text speaks of this manifest, under this name.
    pub(super) fn confirm(&self, payload: &Payload) -> Result<(), SignatureFault> {
        if payload.digest() != self.manifest {
            let (signed, manifest) = (payload.digest().clone(), self.manifest.clone());
            return Err(SignatureFault::Digest { signed, manifest });
        }
        if !self.identity.matches(self.image, payload.reference()) {
            let expected = self.identity.describe(self.image.map(AsRef::as_ref));
            let signed = excerpt(payload.reference());
            return Err(SignatureFault::Identity { signed, expected });
        }
        Ok(())
    }
}

/// Who signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signer {
    /// Of an OpenPGP certificate the primary key's fingerprint, of another key the SHA-256 digest of
    /// its SubjectPublicKeyInfo; in upper-case hexadecimal digits.
    pub fingerprint: String,
    /// The primary user ID of an OpenPGP certificate, or the subject of an X.509 certificate; escaped
    /// and cut.
    pub name: Option<String>,
}

impl Signer {
    /// Whoever has this key.
    pub(super) fn of_key(key: &PublicKey) -> Self {
        Self { fingerprint: key.fingerprint(), name: None }
    }
}

/// What is wrong with one signature.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignatureFault {
    /// It is for another manifest.
    #[error("signs {signed}, the image's manifest is {manifest}")]
    Digest {
        /// What was signed.
        signed: Digest,
        /// The image's manifest.
        manifest: Digest,
    },
    /// It names another image.
    #[error("names `{signed}`, the policy expects {expected}")]
    Identity {
        /// The name that was signed, escaped and cut.
        signed: String,
        /// What the policy expects.
        expected: String,
    },
    /// It was not looked at.
    #[error(
        "was not looked at: with this many keys in the policy and signatures of the image, more than \
         {} keys would be tried",
        limits::KEY_TRIALS
    )]
    NotExamined,
    /// The OpenPGP signature is not accepted.
    #[error(transparent)]
    OpenPgp(#[from] OpenPgpError),
    /// It is for other manifests.
    #[error("signs {signed}, the image's manifest is {manifest}")]
    OtherManifests {
        /// What was signed, cut.
        signed: String,
        /// The image's manifest.
        manifest: Digest,
    },
    /// What was signed is no payload.
    #[error(transparent)]
    Payload(#[from] PayloadError),
    /// It names no image, and was found elsewhere than the policy accepts it.
    #[error("names no image and was found in `{found}`, the policy expects {expected}")]
    Place {
        /// The repository.
        found: String,
        /// What the policy expects.
        expected: String,
    },
    /// The sigstore signature is not accepted.
    #[error(transparent)]
    Sigstore(#[from] SigstoreError),
}
