//! Sigstore bundles of version 0.3, which cosign 3 makes unless it is told otherwise.
//!
//! A bundle is signed for a digest and names no image, so it says less than the other signatures: it
//! counts only where the policy accepts that, and only for the repository in which it was found. What the
//! bundle brings to be verified with is never trusted: keys, authorities and logs are those of the policy.
//! Entries of Rekor 2 say no time, so they count beside a timestamp only.

mod parse;
mod statement;

use std::time::SystemTime;

pub use statement::StatementError;

pub(super) use parse::certificate;
pub(super) use statement::SIGNATURE;

use super::certificate::{Authorities, SignerCertificate};
use super::inclusion::Proof;
use super::key::PublicKey;
use super::log::{Entry, Kind, LogError, Payload};
use super::witness::{Log, TimestampError, Witnesses};
use super::{Root, SigstoreError};
use crate::digest::Digest;
use crate::reference::Reference;
use crate::signature::{Claim, SignatureFault, Signer, UntrustedBundle};
use crate::strict::JsonError;

/// Whether `media_type` is that of a bundle which this module reads.
#[must_use]
pub fn is_bundle(media_type: &str) -> bool {
    parse::MEDIA_TYPES.contains(&media_type)
}

/// Checks one bundle: by a key that the root leads to, for this manifest, found where the policy accepts
/// it. The first check that fails is the fault.
///
/// # Errors
/// [`SignatureFault`].
pub fn verify<R: AsRef<Reference>>(
    bundle: &UntrustedBundle,
    root: &Root,
    claim: &Claim<'_, R>,
    now: SystemTime,
) -> Result<Signer, SignatureFault> {
    let parsed = Bundle::parse(&bundle.text).map_err(SigstoreError::Bundle)?;
    let signer = parsed.signer(root, now)?;
    let subjects = parsed.content.subjects().map_err(SigstoreError::Statement)?;
    claim.confirm_found(&subjects, &bundle.found_in)?;
    Ok(signer)
}

/// A parsed bundle. Nothing in it has been checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bundle {
    content: Content,
    material: Material,
    entries: Vec<LoggedEntry>,
    timestamps: Vec<Vec<u8>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Content {
    /// A digest and a signature over what has it.
    Message { digest: Digest, signature: Vec<u8> },
    /// An envelope (DSSE): `signed` is the payload with its type, as the signature is over it.
    Statement { payload: Vec<u8>, signed: Vec<u8>, signature: Vec<u8> },
}

/// What the signer says to verify with.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Material {
    /// DER certificates, the signer's first.
    Certificates(Vec<Vec<u8>>),
    /// A key of which only a hint is told.
    PublicKey,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct LoggedEntry {
    kind: String,
    log_id: Vec<u8>,
    body: Vec<u8>,
    promise: Option<Promise>,
    proof: Option<Proof>,
}

/// The log's promise, with what only the promise is over.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Promise {
    signature: Vec<u8>,
    integrated_time: i64,
    log_index: i64,
}

impl Bundle {
    /// Who signed.
    fn signer(&self, root: &Root, now: SystemTime) -> Result<Signer, SigstoreError> {
        match root {
            Root::Keys(keys) => Ok(Signer::of_key(self.content.signing_key(keys)?)),
            Root::LoggedKeys { keys, witnesses } => {
                let key = self.content.signing_key(keys)?;
                self.witnessed(&key.pem(), witnesses, now)?;
                Ok(Signer::of_key(key))
            }
            Root::Fulcio { authorities, subject, witnesses } => {
                let certificate = self.certificate()?;
                let times = self.witnessed(certificate.pem()?.as_bytes(), witnesses, now)?;
                let mut vouched = Err(SigstoreError::Timestamp(TimestampError::Missing));
                // A certificate must have been valid whenever the signature was seen.
                for time in times {
                    vouched =
                        Ok(Authorities::key_by_any(authorities, &certificate, subject, time)?);
                }
                self.content.signer(&vouched?, subject.to_string())
            }
            Root::Pki { authorities, subject } => {
                let key = authorities.key(&self.certificate()?, subject, now)?;
                self.content.signer(&key, subject.to_string())
            }
        }
    }

    fn certificate(&self) -> Result<SignerCertificate, SigstoreError> {
        match &self.material {
            Material::Certificates(chain) => Ok(SignerCertificate::of_chain(chain)?),
            Material::PublicKey => Err(SigstoreError::NoCertificate),
        }
    }

    /// When the witnesses saw the signature: some of them have, and the times that they vouch for, if any,
    /// are all returned. `material` is the signer's key or certificate in PEM.
    fn witnessed(
        &self,
        material: &[u8],
        witnesses: &Witnesses,
        now: SystemTime,
    ) -> Result<Vec<SystemTime>, SigstoreError> {
        let signature = self.content.signature();
        let mut times = Vec::new();
        let mut fault = TimestampError::Missing;
        for (token, clock) in self
            .timestamps
            .iter()
            .flat_map(|token| witnesses.clocks.iter().map(move |clock| (token, clock)))
        {
            match clock.time(token, signature, now) {
                Ok(time) => times.push(time),
                Err(error) => fault = error,
            }
        }
        if witnesses.logs.is_empty() {
            return if times.is_empty() { Err(fault.into()) } else { Ok(times) };
        }
        let mut outcome = Err(LogError::Missing);
        for logged in &self.entries {
            let (kind, payload) = self.content.recorded_as(&logged.kind);
            let entry = Entry { kind, material, signature, payload: &payload };
            outcome = logged.verify(&entry, &witnesses.logs, times.first().copied(), now);
            if outcome.is_ok() {
                break;
            }
        }
        times.extend(outcome?);
        Ok(times)
    }
}

impl LoggedEntry {
    /// Whether one of the logs recorded `entry`, and when if it says so. Whatever the entry brings, a
    /// promise, a proof or both, must hold. `seen` is a time that another witness vouches for.
    fn verify(
        &self,
        entry: &Entry<'_>,
        logs: &[Log],
        seen: Option<SystemTime>,
        now: SystemTime,
    ) -> Result<Option<SystemTime>, LogError> {
        if self.kind != entry.kind.name() {
            return Err(LogError::kind(&self.kind, entry.kind));
        }
        let log = logs.iter().find(|log| log.id()[..] == self.log_id[..]);
        let log = log.ok_or(LogError::Signature)?;
        let timeless = entry.kind == Kind::HashedRekord2;
        if self.proof.is_none() && (timeless || self.promise.is_none()) {
            return Err(LogError::NoProof);
        }
        entry.recorded(&self.body)?;
        if let Some(proof) = &self.proof {
            proof.verify(&self.body, log)?;
        }
        if timeless && seen.is_none() {
            return Err(LogError::Untimed);
        }
        let Some(promise) = &self.promise else {
            log.in_use(seen.unwrap_or(now))?;
            return Ok(None);
        };
        let payload = Payload::new(
            &self.body,
            (promise.integrated_time, promise.log_index),
            hex::encode(&self.log_id),
        );
        let promised = entry.promised(&payload, &promise.signature, std::slice::from_ref(log), now);
        promised.map(Some)
    }
}

impl Content {
    fn signature(&self) -> &[u8] {
        match self {
            Self::Message { signature, .. } | Self::Statement { signature, .. } => signature,
        }
    }

    fn signed_by(&self, key: &PublicKey) -> bool {
        match self {
            Self::Message { digest, signature } => key.verify_digest(digest, signature),
            Self::Statement { signed, signature, .. } => key.verify_native(signed, signature),
        }
    }

    fn signer(&self, key: &PublicKey, name: String) -> Result<Signer, SigstoreError> {
        let key = self.signing_key(std::slice::from_ref(key))?;
        Ok(Signer { name: Some(name), ..Signer::of_key(key) })
    }

    /// The one of `keys` that signed.
    fn signing_key<'a>(&self, keys: &'a [PublicKey]) -> Result<&'a PublicKey, SigstoreError> {
        let message = matches!(self, Self::Message { .. });
        let none = if message && !keys.iter().any(PublicKey::signs_digests) {
            SigstoreError::DigestOnly
        } else {
            SigstoreError::Signature
        };
        keys.iter().find(|key| self.signed_by(key)).ok_or(none)
    }

    /// The form in which a log records it that names the form `kind`, and the digest that it records.
    fn recorded_as(&self, kind: &str) -> (Kind, Digest) {
        let by_rekor_2 = kind == Kind::HashedRekord2.name();
        match self {
            Self::Message { digest, .. } if by_rekor_2 => (Kind::HashedRekord2, digest.clone()),
            Self::Message { digest, .. } => (Kind::HashedRekord, digest.clone()),
            Self::Statement { signed, .. } if by_rekor_2 => {
                (Kind::HashedRekord2, Digest::sha256(signed))
            }
            Self::Statement { payload, .. } => (Kind::Dsse, Digest::sha256(payload)),
        }
    }

    /// The manifests that it is for.
    fn subjects(&self) -> Result<Vec<Digest>, StatementError> {
        match self {
            Self::Message { digest, .. } => Ok(vec![digest.clone()]),
            Self::Statement { payload, .. } => statement::subjects(payload),
        }
    }
}

/// Why a text is no bundle that can be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BundleError {
    /// A digest of another algorithm.
    #[error("is over a digest of the algorithm `{found}`, expected SHA2_256")]
    Algorithm {
        /// Its algorithm.
        found: String,
    },
    /// Neither an envelope nor a message signature, or both.
    #[error("has not exactly one of `dsseEnvelope` and `messageSignature`")]
    Content,
    /// Not JSON of the right shape.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// Neither a certificate nor a key, or both.
    #[error("has not exactly one of `certificate`, `publicKey` and `x509CertificateChain`")]
    Material,
    /// Another version, or no bundle.
    #[error("is of the type `{found}`, expected a bundle of version 0.3")]
    MediaType {
        /// Its type.
        found: String,
    },
    /// None, or several: which of them counts?
    #[error("has an envelope without signature or with several")]
    NotOneSignature,
    /// An envelope around something else than a statement.
    #[error("has an envelope of the type `{found}`, expected an in-toto statement")]
    PayloadType {
        /// Its type.
        found: String,
    },
    /// More of something than any real bundle has.
    #[error("is too large: {what}")]
    TooMuch {
        /// Of what.
        what: &'static str,
    },
}

#[cfg(test)]
mod tests;
