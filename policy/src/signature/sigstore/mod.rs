//! sigstore signatures as cosign attaches them: a payload, a signature in an annotation, and what leads
//! back to a key or certificate that the policy trusts (policy-semantics.md 4). [`bundle`] reads what cosign
//! 3 makes instead.

mod attachment;
pub mod bundle;
mod certificate;
mod inclusion;
mod key;
pub mod log;
mod pem;
mod referrer;
mod subject;
mod trusted_root;
mod window;
mod witness;

pub use attachment::{Attached, attached, attachment_tag};
pub use bundle::{BundleError, StatementError};
pub(super) use certificate::describe_all as describe_certificates;
pub use certificate::{Authorities, CertificateError, SignerCertificate, leaf};
pub use inclusion::InclusionError;
pub use key::{KeyError, PublicKey};
use log::{Entry, Kind, LogError};
pub use pem::PemError;
pub(super) use pem::label;
pub use referrer::{attached_bundles, fallback_tag, referrers};
pub use subject::{Subject, issuer};
pub use trusted_root::{TrustedRoot, TrustedRootError};
pub use window::Window;
pub use witness::{Clock, Log, TimestampError, Witnesses};

use std::time::SystemTime;

use super::payload::{Format, Payload};
use super::{Claim, SignatureFault, Signer, UntrustedAttachment};
use crate::digest::Digest;
use crate::limits;
use crate::reference::Reference;
use crate::strict::base64;

/// The payload's media type. An attachment of another type is no signature and is passed over.
pub const MEDIA_TYPE: &str = "application/vnd.dev.cosign.simplesigning.v1+json";

/// The annotation with the signature, in base64.
pub const SIGNATURE: &str = "dev.cosignproject.cosign/signature";
const CERTIFICATE: &str = "dev.sigstore.cosign/certificate";
const CHAIN: &str = "dev.sigstore.cosign/chain";
const SET: &str = "dev.sigstore.cosign/bundle";

/// What a signature must lead back to, ready to verify with.
#[derive(Debug)]
pub enum Root {
    /// Any of these keys.
    Keys(Vec<PublicKey>),
    /// Any of these keys, of a signature that one of these witnesses has seen.
    LoggedKeys {
        /// The keys.
        keys: Vec<PublicKey>,
        /// The witnesses.
        witnesses: Witnesses,
    },
    /// A certificate that one of these authorities issued to this identity, valid when one of these
    /// witnesses saw the signature.
    Fulcio {
        /// The authorities.
        authorities: Vec<Authorities>,
        /// Whom the certificate must name.
        subject: Subject,
        /// The witnesses.
        witnesses: Witnesses,
    },
    /// A certificate that these authorities issued to this identity, valid now.
    Pki {
        /// The authorities.
        authorities: Authorities,
        /// Whom the certificate must name.
        subject: Subject,
    },
}

impl Root {
    /// How many keys one signature may make us try.
    #[must_use]
    pub const fn trials(&self) -> usize {
        match self {
            Self::Keys(keys) => keys.len(),
            Self::LoggedKeys { keys, witnesses } => keys.len() * (witnesses.len() + 1),
            Self::Fulcio { authorities, witnesses, .. } => {
                witnesses.len() + authorities.len() * limits::CHAIN
            }
            Self::Pki { .. } => limits::CHAIN,
        }
    }
}

/// Checks one signature: by a key that the root leads to, over a payload for this manifest and this
/// name. The first check that fails is the fault.
///
/// # Errors
/// [`SignatureFault`].
pub fn verify<R: AsRef<Reference>>(
    attachment: &UntrustedAttachment,
    root: &Root,
    claim: &Claim<'_, R>,
    now: SystemTime,
) -> Result<Signer, SignatureFault> {
    let signer = signer(attachment, root, now)?;
    claim.confirm(&Payload::parse(&attachment.payload, Format::Cosign)?)?;
    Ok(signer)
}

/// Who signed the payload.
fn signer(
    attachment: &UntrustedAttachment,
    root: &Root,
    now: SystemTime,
) -> Result<Signer, SigstoreError> {
    let signature = annotation(attachment, SIGNATURE)?;
    let signature = base64(signature).map_err(SigstoreError::Encoding)?;
    let payload = &Digest::sha256(&attachment.payload);
    let logged = |material: &[u8], witnesses: &Witnesses| {
        let kind = Kind::HashedRekord;
        let entry = Entry { kind, material, signature: &signature, payload };
        let set = annotation(attachment, SET)?.as_bytes();
        entry.logged(set, &witnesses.logs, now).map_err(SigstoreError::from)
    };
    let signed = |key: &PublicKey, name| {
        let by = Signer { name, ..Signer::of_key(key) };
        key.verify(&attachment.payload, &signature).then_some(by).ok_or(SigstoreError::Signature)
    };
    match root {
        Root::Keys(keys) => {
            keys.iter().find_map(|key| signed(key, None).ok()).ok_or(SigstoreError::Signature)
        }
        Root::LoggedKeys { keys, witnesses } => {
            let mut fault = SigstoreError::Signature;
            for key in keys {
                // The first key that the log's entry names decides.
                match logged(&key.pem(), witnesses) {
                    Ok(_time) => return signed(key, None),
                    Err(error) => fault = error,
                }
            }
            Err(fault)
        }
        Root::Fulcio { authorities, subject, witnesses } => {
            annotation(attachment, SET)?;
            let text = annotation(attachment, CERTIFICATE)?.as_bytes();
            let time = logged(text, witnesses)?;
            let signer = SignerCertificate::parse(text, chain(attachment))?;
            let key = Authorities::key_by_any(authorities, &signer, subject, time)?;
            signed(&key, Some(subject.to_string()))
        }
        Root::Pki { authorities, subject } => {
            let text = annotation(attachment, CERTIFICATE)?.as_bytes();
            let signer = SignerCertificate::parse(text, chain(attachment))?;
            let key = authorities.key(&signer, subject, now)?;
            signed(&key, Some(subject.to_string()))
        }
    }
}

fn annotation<'a>(
    attachment: &'a UntrustedAttachment,
    key: &'static str,
) -> Result<&'a str, SigstoreError> {
    let text = attachment.annotations.get(key);
    text.map(String::as_str).ok_or(SigstoreError::Annotation { key })
}

fn chain(attachment: &UntrustedAttachment) -> Option<&[u8]> {
    attachment.annotations.get(CHAIN).map(String::as_bytes).filter(|chain| !chain.is_empty())
}

/// What is wrong with one sigstore signature.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SigstoreError {
    /// Something that the policy requires is not attached.
    #[error("has no annotation `{key}`, which the policy's requirement needs")]
    Annotation {
        /// The annotation.
        key: &'static str,
    },
    /// The bundle cannot be read.
    #[error("the bundle")]
    Bundle(#[from] BundleError),
    /// The certificate is not accepted.
    #[error("the signer's certificate")]
    Certificate(#[from] CertificateError),
    /// A signature over a digest where the policy has Ed25519 keys only.
    #[error(
        "is a signature of a digest, and Ed25519 keys sign whole messages: sign with an envelope, as \
         cosign 3 does"
    )]
    DigestOnly,
    /// The signature is no base64.
    #[error("the annotation `{SIGNATURE}` is not standard base64")]
    Encoding(#[source] ::base64::DecodeError),
    /// The log's entry is not accepted.
    #[error("the transparency log's entry")]
    Log(#[from] LogError),
    /// The bundle is by a key, the policy wants a certificate.
    #[error("has no certificate, which the policy's requirement needs")]
    NoCertificate,
    /// No key that the policy trusts made the signature.
    #[error("was made by none of the policy's keys over this payload")]
    Signature,
    /// The bundle's statement does not sign for an image.
    #[error(transparent)]
    Statement(#[from] StatementError),
    /// Nobody says when the signature was made.
    #[error("the timestamp")]
    Timestamp(#[from] TimestampError),
}

#[cfg(test)]
mod tests;
