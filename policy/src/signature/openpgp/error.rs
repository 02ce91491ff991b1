//! Why a keyring or a signature cannot be used.

use crate::limits;

/// Why key files are no keyring.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyringError {
    /// GnuPG's own database.
    #[error("a GnuPG keybox, which only GnuPG reads: export the keys with `gpg --export`")]
    Keybox,
}

/// Why an OpenPGP message does not count as signed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpenPgpError {
    /// Text armour or a cleartext signature.
    #[error("not a binary OpenPGP message: armored and cleartext-signed ones are not allowed")]
    Armored,
    /// The signature does not verify.
    #[error("bad signature: {reason}")]
    BadSignature {
        /// What the OpenPGP library says.
        reason: String,
    },
    /// The signature says that it was made later than now.
    #[error("the signature was made in the future, on {date}: compare the node's clock")]
    FromTheFuture {
        /// What it says.
        date: String,
    },
    /// The key is past its end.
    #[error("key {fingerprint} expired on {date}")]
    KeyExpired {
        /// The certificate.
        fingerprint: String,
        /// The end.
        date: String,
    },
    /// The key or its certificate was revoked.
    #[error("key {fingerprint} was revoked")]
    KeyRevoked {
        /// The certificate.
        fingerprint: String,
    },
    /// The key may not sign, or is too weak.
    #[error("key {fingerprint} cannot be used: {reason}")]
    KeyUnusable {
        /// The certificate.
        fingerprint: String,
        /// What the OpenPGP library says.
        reason: String,
    },
    /// The signature is past its end.
    #[error("the signature expired on {date}")]
    SignatureExpired {
        /// The end.
        date: String,
    },
    /// Something other than one signature over one text.
    #[error("not exactly one signature over one text: {found}")]
    Structure {
        /// What does not belong there, or is missing.
        found: &'static str,
    },
    /// The signed text is larger than any real payload.
    #[error("the signed text is larger than {} bytes", limits::PAYLOAD_BYTES)]
    TooLarge,
    /// No key of the policy made the signature.
    #[error("signed by key {issuer}, which is none of the policy's keys")]
    UnknownKey {
        /// The fingerprint or key ID that the signature names.
        issuer: String,
    },
}
