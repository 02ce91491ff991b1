//! Reason codes. They are a contract with operators: renaming one breaks alerts.

use crate::signature::simple::SignatureFault;

/// Why the policy did not accept an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Code {
    /// `signedBaseLayer` is never satisfied.
    BaseLayerUnsupported,
    /// The signature is for another manifest.
    DigestMismatch,
    /// The signature names another image.
    IdentityMismatch,
    /// A key file cannot be read.
    KeyFileUnreadable,
    /// A key type other than `GPGKeys`.
    KeyTypeUnsupported,
    /// The key files hold no usable key.
    KeyUnusable,
    /// What was signed is not a simple-signing payload.
    PayloadInvalid,
    /// The policy says `reject`.
    PolicyReject,
    /// The signature does not verify with any key of the policy.
    SignatureInvalid,
    /// There is no signature.
    SignatureMissing,
    /// `sigstoreSigned` is not evaluated yet.
    SigstoreUnsupported,
}

impl Code {
    /// Every code.
    pub const ALL: [Self; 11] = [
        Self::BaseLayerUnsupported,
        Self::DigestMismatch,
        Self::IdentityMismatch,
        Self::KeyFileUnreadable,
        Self::KeyTypeUnsupported,
        Self::KeyUnusable,
        Self::PayloadInvalid,
        Self::PolicyReject,
        Self::SignatureInvalid,
        Self::SignatureMissing,
        Self::SigstoreUnsupported,
    ];

    /// The code as it stands in the journal.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BaseLayerUnsupported => "BASE_LAYER_UNSUPPORTED",
            Self::DigestMismatch => "DIGEST_MISMATCH",
            Self::IdentityMismatch => "IDENTITY_MISMATCH",
            Self::KeyFileUnreadable => "KEY_FILE_UNREADABLE",
            Self::KeyTypeUnsupported => "KEY_TYPE_UNSUPPORTED",
            Self::KeyUnusable => "KEY_UNUSABLE",
            Self::PayloadInvalid => "PAYLOAD_INVALID",
            Self::PolicyReject => "POLICY_REJECT",
            Self::SignatureInvalid => "SIGNATURE_INVALID",
            Self::SignatureMissing => "SIGNATURE_MISSING",
            Self::SigstoreUnsupported => "SIGSTORE_UNSUPPORTED",
        }
    }

    pub(super) const fn of(fault: &SignatureFault) -> Self {
        match fault {
            SignatureFault::Digest { .. } => Self::DigestMismatch,
            SignatureFault::Identity { .. } => Self::IdentityMismatch,
            SignatureFault::OpenPgp(_) => Self::SignatureInvalid,
            SignatureFault::Payload(_) => Self::PayloadInvalid,
        }
    }

    /// How far a signature with this fault got: the checks in their order.
    pub(super) const fn closeness(self) -> u8 {
        match self {
            Self::IdentityMismatch => 4,
            Self::DigestMismatch => 3,
            Self::PayloadInvalid => 2,
            Self::SignatureInvalid => 1,
            Self::BaseLayerUnsupported
            | Self::KeyFileUnreadable
            | Self::KeyTypeUnsupported
            | Self::KeyUnusable
            | Self::PolicyReject
            | Self::SignatureMissing
            | Self::SigstoreUnsupported => 0,
        }
    }
}
