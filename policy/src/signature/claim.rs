//! What a signature has to confirm, and how it can fail to.

use super::openpgp::OpenPgpError;
use super::payload::{Payload, PayloadError};
use super::sigstore::SigstoreError;
use crate::digest::Digest;
use crate::identity::SignedIdentity;
use crate::reference::Reference;
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

impl<R: AsRef<Reference>> Claim<'_, R> {
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
    /// The OpenPGP signature is not accepted.
    #[error(transparent)]
    OpenPgp(#[from] OpenPgpError),
    /// What was signed is no payload.
    #[error(transparent)]
    Payload(#[from] PayloadError),
    /// The sigstore signature is not accepted.
    #[error(transparent)]
    Sigstore(#[from] SigstoreError),
}
