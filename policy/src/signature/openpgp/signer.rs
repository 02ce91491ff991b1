//! Who made a signature, and whether that key may still be believed.

use std::time::{Duration, SystemTime};

use sequoia_openpgp::cert::amalgamation::ValidAmalgamation as _;
use sequoia_openpgp::cert::amalgamation::ValidateAmalgamation as _;
use sequoia_openpgp::packet::Signature;
use sequoia_openpgp::parse::stream::{VerificationError, VerificationResult};
use sequoia_openpgp::policy::StandardPolicy;
use sequoia_openpgp::types::RevocationStatus;
use sequoia_openpgp::{Cert, KeyHandle};

use super::{OpenPgpError, Signer};
use crate::strict::excerpt;

/// What a signature is judged by.
#[derive(Clone, Copy)]
pub(super) struct Judge<'a> {
    /// The keys that count.
    pub(super) certs: &'a [Cert],
    /// What is sound.
    pub(super) policy: &'a StandardPolicy<'a>,
    /// The time.
    pub(super) now: SystemTime,
}

impl Judge<'_> {
    /// The certificates with one of these keys.
    pub(super) fn named(&self, ids: &[KeyHandle]) -> Vec<Cert> {
        let named = |cert: &&Cert| {
            ids.is_empty()
                || cert.keys().any(|key| ids.iter().any(|id| id.aliases(key.key().key_handle())))
        };
        self.certs.iter().filter(named).cloned().collect()
    }

    /// Whose the signature is, if it verified and its key is valid now.
    pub(super) fn signer(&self, result: VerificationResult<'_>) -> Result<Signer, OpenPgpError> {
        let good = result.map_err(|error| self.fault(&error))?;
        let cert = good.ka.valid_cert().cert();
        still_valid(cert, &good.ka.key().key_handle(), self.policy, self.now)?;
        Ok(Signer::of(cert, self.policy, self.now))
    }

    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "the enum is not ours and is not exhaustive"
    )]
    fn fault(&self, error: &VerificationError<'_>) -> OpenPgpError {
        match error {
            VerificationError::MissingKey { sig } => {
                let issuer = sig.get_issuers().first().map(KeyHandle::to_hex);
                OpenPgpError::UnknownKey { issuer: issuer.unwrap_or_else(|| "unnamed".to_owned()) }
            }
            VerificationError::UnboundKey { cert, error, .. } => OpenPgpError::KeyUnusable {
                fingerprint: cert.fingerprint().to_hex(),
                reason: excerpt(&error.to_string()),
            },
            VerificationError::BadKey { ka, error, .. } => {
                let cert = ka.valid_cert().cert();
                let key = ka.key().key_handle();
                let precise = still_valid(cert, &key, self.policy, self.now);
                precise.err().unwrap_or_else(|| OpenPgpError::KeyUnusable {
                    fingerprint: cert.fingerprint().to_hex(),
                    reason: excerpt(&error.to_string()),
                })
            }
            VerificationError::BadSignature { sig, error, .. } => {
                self.out_of_time(sig).unwrap_or_else(|| OpenPgpError::BadSignature {
                    reason: excerpt(&error.to_string()),
                })
            }
            other => OpenPgpError::BadSignature { reason: excerpt(&other.to_string()) },
        }
    }

    fn out_of_time(&self, signature: &Signature) -> Option<OpenPgpError> {
        if let Some(end) = signature.signature_expiration_time().filter(|end| *end <= self.now) {
            return Some(OpenPgpError::SignatureExpired { date: date(end) });
        }
        let made = signature.signature_creation_time()?;
        (made > self.now + CLOCK_SKEW).then(|| OpenPgpError::FromTheFuture { date: date(made) })
    }
}

/// sequoia asks whether the key was valid when the signature was made; GnuPG, and so
/// containers/image, whether it is valid now.
pub(super) fn still_valid(
    cert: &Cert,
    key: &KeyHandle,
    policy: &StandardPolicy<'_>,
    now: SystemTime,
) -> Result<(), OpenPgpError> {
    let fingerprint = || cert.fingerprint().to_hex();
    let unusable = |error: sequoia_openpgp::anyhow::Error| OpenPgpError::KeyUnusable {
        fingerprint: fingerprint(),
        reason: excerpt(&error.to_string()),
    };
    let valid = cert.with_policy(policy, now).map_err(unusable)?;
    let signing = cert
        .keys()
        .find(|candidate| candidate.key().key_handle() == *key)
        .ok_or_else(|| OpenPgpError::UnknownKey { issuer: key.to_hex() })?
        .with_policy(policy, now)
        .map_err(unusable)?;
    let revoked =
        |status: RevocationStatus<'_>| !matches!(status, RevocationStatus::NotAsFarAsWeKnow);
    if revoked(valid.revocation_status()) || revoked(signing.revocation_status()) {
        return Err(OpenPgpError::KeyRevoked { fingerprint: fingerprint() });
    }
    let primary = valid.primary_key();
    for end in [primary.key_expiration_time(), signing.key_expiration_time()].into_iter().flatten()
    {
        if end <= now {
            return Err(OpenPgpError::KeyExpired { fingerprint: fingerprint(), date: date(end) });
        }
    }
    valid.alive().map_err(unusable)?;
    signing.alive().map_err(unusable)
}

/// How far a signer's clock may be ahead of ours: sequoia's own tolerance.
const CLOCK_SKEW: Duration = Duration::from_secs(30 * 60);

fn date(time: SystemTime) -> String {
    humantime::format_rfc3339_seconds(time).to_string()
}
