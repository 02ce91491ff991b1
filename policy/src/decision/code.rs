//! Reason codes. They are a contract with operators: renaming one breaks alerts.

use crate::signature::SignatureFault;
use crate::signature::openpgp::OpenPgpError;
use crate::signature::sigstore::{CertificateError, SigstoreError};

/// Why the policy did not accept an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Code {
    /// `signedBaseLayer` is never satisfied.
    BaseLayerUnsupported,
    /// The only signatures are bundles, which the policy does not accept.
    BundleNotEnabled,
    /// The signer's certificate is not vouched for, or malformed.
    CertificateInvalid,
    /// The signature is for another manifest.
    DigestMismatch,
    /// The signature names another image.
    IdentityMismatch,
    /// The signature is for the index, not for this platform's manifest.
    IndexOnlySigned,
    /// A key file cannot be read.
    KeyFileUnreadable,
    /// The signing key is past its end.
    KeyExpired,
    /// The signing key was revoked.
    KeyRevoked,
    /// A key type other than `GPGKeys`.
    KeyTypeUnsupported,
    /// The key files hold no usable key.
    KeyUnusable,
    /// No key of the policy made the signature.
    KeyUnknown,
    /// The transparency log did not record the signature.
    LogEntryInvalid,
    /// What was signed is not a payload.
    PayloadInvalid,
    /// The policy says `reject`.
    PolicyReject,
    /// The signature is past its end, or from the future.
    SignatureExpired,
    /// The signature does not verify.
    SignatureInvalid,
    /// There is no signature.
    SignatureMissing,
    /// The signer's certificate names somebody else.
    SignerMismatch,
    /// Nobody whom the policy believes says when the signature was made.
    TimestampInvalid,
}

impl Code {
    /// Every code.
    pub const ALL: [Self; 20] = [
        Self::BaseLayerUnsupported,
        Self::BundleNotEnabled,
        Self::CertificateInvalid,
        Self::DigestMismatch,
        Self::IdentityMismatch,
        Self::IndexOnlySigned,
        Self::KeyFileUnreadable,
        Self::KeyExpired,
        Self::KeyRevoked,
        Self::KeyTypeUnsupported,
        Self::KeyUnknown,
        Self::KeyUnusable,
        Self::LogEntryInvalid,
        Self::PayloadInvalid,
        Self::PolicyReject,
        Self::SignatureExpired,
        Self::SignatureInvalid,
        Self::SignatureMissing,
        Self::SignerMismatch,
        Self::TimestampInvalid,
    ];

    /// The code as it stands in the journal.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BaseLayerUnsupported => "BASE_LAYER_UNSUPPORTED",
            Self::BundleNotEnabled => "BUNDLE_NOT_ENABLED",
            Self::CertificateInvalid => "CERTIFICATE_INVALID",
            Self::DigestMismatch => "DIGEST_MISMATCH",
            Self::IdentityMismatch => "IDENTITY_MISMATCH",
            Self::IndexOnlySigned => "INDEX_ONLY_SIGNED",
            Self::KeyFileUnreadable => "KEY_FILE_UNREADABLE",
            Self::KeyExpired => "KEY_EXPIRED",
            Self::KeyRevoked => "KEY_REVOKED",
            Self::KeyTypeUnsupported => "KEY_TYPE_UNSUPPORTED",
            Self::KeyUnknown => "KEY_UNKNOWN",
            Self::KeyUnusable => "KEY_UNUSABLE",
            Self::LogEntryInvalid => "LOG_ENTRY_INVALID",
            Self::PayloadInvalid => "PAYLOAD_INVALID",
            Self::PolicyReject => "POLICY_REJECT",
            Self::SignatureExpired => "SIGNATURE_EXPIRED",
            Self::SignatureInvalid => "SIGNATURE_INVALID",
            Self::SignatureMissing => "SIGNATURE_MISSING",
            Self::SignerMismatch => "SIGNER_MISMATCH",
            Self::TimestampInvalid => "TIMESTAMP_INVALID",
        }
    }

    /// The code of a fault of one signature.
    #[must_use]
    pub const fn of(fault: &SignatureFault) -> Self {
        match fault {
            SignatureFault::Digest { .. } | SignatureFault::OtherManifests { .. } => {
                Self::DigestMismatch
            }
            SignatureFault::Identity { .. } | SignatureFault::Place { .. } => {
                Self::IdentityMismatch
            }
            SignatureFault::NotExamined => Self::SignatureInvalid,
            SignatureFault::OpenPgp(error) => match error {
                OpenPgpError::Armored
                | OpenPgpError::BadSignature { .. }
                | OpenPgpError::Structure { .. }
                | OpenPgpError::TooLarge => Self::SignatureInvalid,
                OpenPgpError::FromTheFuture { .. } | OpenPgpError::SignatureExpired { .. } => {
                    Self::SignatureExpired
                }
                OpenPgpError::KeyExpired { .. } => Self::KeyExpired,
                OpenPgpError::KeyRevoked { .. } => Self::KeyRevoked,
                OpenPgpError::KeyUnusable { .. } => Self::KeyUnusable,
                OpenPgpError::UnknownKey { .. } => Self::KeyUnknown,
            },
            SignatureFault::Payload(_) => Self::PayloadInvalid,
            SignatureFault::Sigstore(error) => match error {
                SigstoreError::Annotation { .. }
                | SigstoreError::Bundle(_)
                | SigstoreError::DigestOnly
                | SigstoreError::Encoding(_)
                | SigstoreError::NoCertificate
                | SigstoreError::Signature => Self::SignatureInvalid,
                SigstoreError::Certificate(
                    CertificateError::Issuer { .. } | CertificateError::Subject { .. },
                ) => Self::SignerMismatch,
                SigstoreError::Certificate(_) => Self::CertificateInvalid,
                SigstoreError::Log(_) => Self::LogEntryInvalid,
                SigstoreError::Statement(_) => Self::PayloadInvalid,
                SigstoreError::Timestamp(_) => Self::TimestampInvalid,
            },
        }
    }

    /// How far a signature with this fault got: the checks in their order.
    pub(super) const fn closeness(self) -> u8 {
        match self {
            Self::IdentityMismatch => 6,
            Self::DigestMismatch => 5,
            Self::PayloadInvalid => 4,
            Self::KeyExpired
            | Self::KeyRevoked
            | Self::KeyUnusable
            | Self::SignatureExpired
            | Self::SignerMismatch => 3,
            Self::CertificateInvalid
            | Self::LogEntryInvalid
            | Self::SignatureInvalid
            | Self::TimestampInvalid => 2,
            Self::KeyUnknown => 1,
            Self::BaseLayerUnsupported
            | Self::BundleNotEnabled
            | Self::IndexOnlySigned
            | Self::KeyFileUnreadable
            | Self::KeyTypeUnsupported
            | Self::PolicyReject
            | Self::SignatureMissing => 0,
        }
    }
}
