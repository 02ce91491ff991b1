//! Exit codes: a contract with scripts.

use std::process::ExitCode;

use pullgate_policy::decision::Code;

use crate::pull::{Class, PullError};

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// 0: accepted, or done.
    Accepted,
    /// 1: rejected by the policy, or something that was looked for is wrong.
    Rejected,
    /// 2: the command line or a configuration file is not valid.
    Usage,
    /// 3: containerd, a registry, a signature store or the disk did not do its part.
    Infrastructure,
    /// 4: rejected, and the signer is nobody the policy knows.
    UnknownSigner,
}

impl Exit {
    /// The exit code that tells of a pull that was refused or failed.
    pub(super) fn of(error: &PullError) -> Self {
        if let PullError::Rejected(rejection) = error {
            return Self::of_code(rejection.code());
        }
        if let PullError::Trust(_) = error {
            return Self::Usage;
        }
        match error.class() {
            Class::Malformed | Class::Rejected => Self::Rejected,
            Class::BadRequest | Class::Internal => Self::Usage,
            Class::Denied | Class::NotFound | Class::Runtime | Class::Unavailable => {
                Self::Infrastructure
            }
        }
    }

    /// The exit code that tells of a refusal by the policy.
    pub(super) const fn of_code(code: Code) -> Self {
        match code {
            Code::KeyUnknown | Code::SignerMismatch => Self::UnknownSigner,
            Code::BaseLayerUnsupported
            | Code::BundleNotEnabled
            | Code::CertificateInvalid
            | Code::DigestMismatch
            | Code::IdentityMismatch
            | Code::IndexOnlySigned
            | Code::KeyExpired
            | Code::KeyFileUnreadable
            | Code::KeyRevoked
            | Code::KeyTypeUnsupported
            | Code::KeyUnusable
            | Code::LogEntryInvalid
            | Code::PayloadInvalid
            | Code::PolicyReject
            | Code::SignatureExpired
            | Code::SignatureInvalid
            | Code::SignatureMissing
            | Code::TimestampInvalid => Self::Rejected,
        }
    }

    /// The one that matters most: a question without an answer before a refusal, a refusal before an
    /// acceptance.
    pub(super) fn worst(exits: impl IntoIterator<Item = Self>) -> Self {
        const fn weight(exit: Exit) -> u8 {
            match exit {
                Exit::Accepted => 0,
                Exit::UnknownSigner => 1,
                Exit::Rejected => 2,
                Exit::Infrastructure => 3,
                Exit::Usage => 4,
            }
        }
        exits.into_iter().max_by_key(|exit| weight(*exit)).unwrap_or(Self::Accepted)
    }

    const fn code(self) -> u8 {
        match self {
            Self::Accepted => 0,
            Self::Rejected => 1,
            Self::Usage => 2,
            Self::Infrastructure => 3,
            Self::UnknownSigner => 4,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}
