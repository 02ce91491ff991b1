//! What can be wrong with a policy.json.

use crate::identity::IdentityError;
use crate::strict::{JsonError, KeyPath, Position, excerpt, position};

/// What is wrong with a policy.json, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// Two members that exclude each other.
    #[error("{path}: `{first}` and `{second}` exclude each other")]
    Conflict {
        /// The object.
        path: KeyPath,
        /// One of them.
        first: &'static str,
        /// The other.
        second: &'static str,
    },
    /// The identity types that look at a tag or a digest can accept no bundle.
    #[error(
        "{path}: `digestBound` needs the signedIdentity `matchRepository` or `exactRepository`"
    )]
    DigestBoundIdentity {
        /// The requirement.
        path: KeyPath,
    },
    /// An empty text or list.
    #[error("{path}: is empty, expected {expected}")]
    Empty {
        /// The value.
        path: KeyPath,
        /// What belongs there.
        expected: &'static str,
    },
    /// A Fulcio certificate lives for minutes; only the log says when it was used.
    #[error("{path}: `fulcio` needs one of the `rekorPublicKey…` members")]
    FulcioWithoutRekor {
        /// The requirement.
        path: KeyPath,
    },
    /// A `signedIdentity` with an invalid name.
    #[error("{path}: not a valid identity")]
    Identity {
        /// The object.
        path: KeyPath,
        /// What is wrong with the name.
        source: IdentityError,
    },
    /// The text is not JSON, or a value is not of the expected kind.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// No key or certificate is given.
    #[error("{path}: expected one of {}", expected.join(", "))]
    NoSource {
        /// The requirement.
        path: KeyPath,
        /// The members that give one.
        expected: Vec<&'static str>,
    },
    /// Any certificate of the PKI would do.
    #[error("{path}: expected `subjectEmail` or `subjectHostname`")]
    NoSubject {
        /// The object.
        path: KeyPath,
    },
    /// The log of a private PKI is not supported by containers/image.
    #[error("{path}: `pki` excludes every `rekorPublicKey…` member")]
    PkiWithRekor {
        /// The requirement.
        path: KeyPath,
    },
    /// A scope that its transport does not have.
    #[error("{path}: not a scope of this transport, expected {expected}")]
    Scope {
        /// The scope.
        path: KeyPath,
        /// The form of a scope.
        expected: &'static str,
    },
    /// A value outside a fixed list.
    #[error("{path}: unknown value {found:?}, expected one of {}", known.join(", "))]
    UnknownValue {
        /// The value.
        path: KeyPath,
        /// What stands there.
        found: String,
        /// What may stand there.
        known: &'static [&'static str],
    },
}

impl PolicyError {
    /// Where in `text`, the policy, the error is.
    #[must_use]
    pub fn position(&self, text: &[u8]) -> Option<Position> {
        match self {
            Self::Json(error) => error.position(text),
            Self::Conflict { path, .. }
            | Self::DigestBoundIdentity { path }
            | Self::Empty { path, .. }
            | Self::FulcioWithoutRekor { path }
            | Self::Identity { path, .. }
            | Self::NoSource { path, .. }
            | Self::NoSubject { path }
            | Self::PkiWithRekor { path }
            | Self::Scope { path, .. }
            | Self::UnknownValue { path, .. } => position(text, path),
        }
    }

    pub(super) fn unknown(path: KeyPath, found: &str, known: &'static [&'static str]) -> Self {
        Self::UnknownValue { path, found: excerpt(found), known }
    }
}
