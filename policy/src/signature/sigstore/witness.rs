//! Who says that a signature existed at some time: transparency logs and time-stamping authorities.

use std::time::SystemTime;

use sigstore_types::{DerCertificate, SignatureBytes, TimestampToken, TsaAuthority};
use x509_cert::Certificate;

use super::certificate::{CertificateError, describe_key, from_der, validity};
use super::key::PublicKey;
use super::log::{LogError, SKEW};
use super::window::{Window, shown};
use crate::signature::anchor::Anchor;

/// Everybody whose word about the time of a signature the policy takes. Where it names logs, one of them
/// must have recorded the signature; where it names none, one of the clocks must have seen it.
#[derive(Debug, Clone, Default)]
pub struct Witnesses {
    /// Transparency logs.
    pub logs: Vec<Log>,
    /// Time-stamping authorities.
    pub clocks: Vec<Clock>,
}

impl Witnesses {
    /// How many there are.
    pub(super) const fn len(&self) -> usize {
        self.logs.len() + self.clocks.len()
    }
}

/// A transparency log.
#[derive(Debug, Clone)]
pub struct Log {
    key: PublicKey,
    id: [u8; 32],
    window: Window,
}

impl Log {
    /// A log that signs with `key`, and did so in `window`. Its name is the digest of the key.
    #[must_use]
    pub fn new(key: PublicKey, window: Window) -> Self {
        Self::named(key.id(), key, window)
    }

    /// A log that names itself otherwise, as those of Rekor 2 do.
    pub(super) const fn named(id: [u8; 32], key: PublicKey, window: Window) -> Self {
        Self { key, id, window }
    }

    pub(super) fn describe(&self) -> Anchor {
        let (created, expires) = self.window.ends();
        Anchor { created, expires, ..self.key.describe() }
    }

    /// How its entries and tree heads name it.
    pub(super) const fn id(&self) -> &[u8; 32] {
        &self.id
    }

    /// Its key.
    pub(super) const fn key(&self) -> &PublicKey {
        &self.key
    }

    /// Whether it signed with this key at `time`.
    pub(super) fn in_use(&self, time: SystemTime) -> Result<(), LogError> {
        if self.window.contains(time) {
            return Ok(());
        }
        let (time, window) = (shown(time).to_string(), self.window.to_string());
        Err(LogError::OutOfUse { time, window })
    }
}

/// A time-stamping authority (RFC 3161): its certificate and those that lead to its root.
#[derive(Debug, Clone)]
pub struct Clock {
    authority: TsaAuthority,
    own: Certificate,
    /// When all its certificates are valid.
    valid: Window,
    window: Window,
}

impl Clock {
    /// The authority with this chain of DER certificates, its own first and its root last.
    pub(super) fn new(chain: &[Vec<u8>], window: Window) -> Result<Self, CertificateError> {
        let certificates = from_der(chain)?;
        let valid = certificates.iter().map(validity).fold(Window::ALWAYS, Window::and);
        let own = certificates.into_iter().next();
        let (Some(own), Some(leaf), Some(root)) = (own, chain.first(), chain.last()) else {
            return Err(CertificateError::NoCertificate);
        };
        let certificate = |der: &Vec<u8>| DerCertificate::new(der.clone());
        let between = chain.get(1..chain.len().saturating_sub(1)).unwrap_or_default();
        let between = between.iter().map(certificate).collect();
        let authority = TsaAuthority::new(certificate(leaf), between, certificate(root), None);
        Ok(Self { authority, own, valid, window })
    }

    /// It, until a certificate of it ends or it went out of use.
    pub(super) fn describe(&self) -> Result<Anchor, CertificateError> {
        let (created, expires) = self.valid.and(self.window).ends();
        Ok(Anchor { created, expires, ..describe_key(&self.own)? })
    }

    /// When the authority saw `signature`, as its token says.
    pub(super) fn time(
        &self,
        token: &[u8],
        signature: &[u8],
        now: SystemTime,
    ) -> Result<SystemTime, TimestampError> {
        let time = sigstore_tsa::verify_timestamp_for_authority(
            &TimestampToken::new(token.to_vec()),
            &SignatureBytes::new(signature.to_vec()),
            &self.authority,
        )
        .map_err(|error| self.fault(&error))?;
        let time = SystemTime::from(time);
        if time > now + SKEW {
            return Err(TimestampError::Future { time: shown(time).to_string() });
        }
        // The root is taken for granted by who checked the token.
        if !self.valid.contains(time) {
            let (reason, valid) = (format!("it is of {}", shown(time)), self.valid.to_string());
            return Err(TimestampError::Certificate { reason, valid });
        }
        if self.window.contains(time) {
            return Ok(time);
        }
        let (time, window) = (shown(time).to_string(), self.window.to_string());
        Err(TimestampError::OutOfUse { time, window })
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "the enum is not ours")]
    fn fault(&self, error: &sigstore_tsa::Error) -> TimestampError {
        match error {
            sigstore_tsa::Error::CertificateValidationError(reason) => {
                let (reason, valid) = (reason.clone(), self.valid.to_string());
                TimestampError::Certificate { reason, valid }
            }
            other => TimestampError::Token(other.to_string()),
        }
    }
}

/// Why a timestamp does not count.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TimestampError {
    /// Made by the authority, whose certificates did not allow it.
    #[error("is not by valid certificates; those of the policy's authority are {valid}: {reason}")]
    Certificate {
        /// When they are.
        valid: String,
        /// Why they do not do.
        reason: String,
    },
    /// It is from the future.
    #[error("is of {time}, which is in the future: compare the node's clock")]
    Future {
        /// What it says.
        time: String,
    },
    /// There is none, and nothing else says when the signature was made.
    #[error("is missing, and no log entry of the policy's logs tells the time either")]
    Missing,
    /// The authority was not in use.
    #[error("is of {time}, but the policy's authority was in use {window}")]
    OutOfUse {
        /// What it says.
        time: String,
        /// When the authority was in use.
        window: String,
    },
    /// Not made by the authority over this signature.
    #[error("is by none of the policy's time-stamping authorities over this signature: {0}")]
    Token(String),
}
