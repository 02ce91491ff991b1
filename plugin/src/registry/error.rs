//! Why a registry did not give what was asked for.

use std::fmt;

use pullgate_policy::digest::BlobMismatch;
use pullgate_policy::reference::ReferenceError;
use pullgate_policy::strict::JsonError;
use reqwest::StatusCode;

use super::hosts::HostsError;
use crate::audit::chain;

/// Why a manifest or blob could not be had. The text is the same for the same cause: kubelet compares
/// the answers of several credentials.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// Every endpoint failed.
    #[error("{what}: {failures}")]
    Endpoints {
        /// What was asked for.
        what: String,
        /// Each endpoint with its cause, in the order tried.
        failures: Failures,
    },
    /// The configuration of the registry's hosts is invalid.
    #[error(transparent)]
    Hosts(#[from] HostsError),
    /// hosts.toml leaves no endpoint for this.
    #[error("{what}: hosts.toml names no host with the capability `{capability}`")]
    NoEndpoint {
        /// What was asked for.
        what: String,
        /// The capability that it takes.
        capability: String,
    },
    /// A blob that is read into memory declares too many bytes.
    #[error("{what}: {size} bytes, the limit is {limit}")]
    TooLarge {
        /// The blob.
        what: String,
        /// Its declared size.
        size: u64,
        /// The limit.
        limit: usize,
    },
}

impl RegistryError {
    /// Whether another attempt may succeed without anyone changing anything.
    #[must_use]
    pub fn unavailable(&self) -> bool {
        matches!(
            self.decisive(),
            Some(
                Failure::NoProgress | Failure::Status(_) | Failure::Transport(_) | Failure::Broken
            )
        )
    }

    /// Whether the registry says that it does not exist.
    #[must_use]
    pub fn not_found(&self) -> bool {
        matches!(self.decisive(), Some(Failure::NotFound))
    }

    /// Whether the credentials do not suffice.
    #[must_use]
    pub fn denied(&self) -> bool {
        matches!(self.decisive(), Some(Failure::Denied(_) | Failure::Token(_)))
    }

    /// The endpoint tried last is the registry itself: what it says counts.
    fn decisive(&self) -> Option<&Failure> {
        match self {
            Self::Endpoints { failures, .. } => failures.0.last().map(|(_, failure)| failure),
            Self::Hosts(_) | Self::NoEndpoint { .. } | Self::TooLarge { .. } => None,
        }
    }
}

/// The endpoints that failed, with the cause of each.
#[derive(Debug)]
pub struct Failures(pub(super) Vec<(String, Failure)>);

impl fmt::Display for Failures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (endpoint, failure)) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            write!(f, "{separator}{endpoint} {}", chain(failure))?;
        }
        Ok(())
    }
}

/// Why one endpoint did not give what was asked for.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The connection broke more often than it is worth reopening.
    #[error("broke off the transfer again and again")]
    Broken,
    /// 401 or 403, with or without credentials.
    #[error("denied access ({0})")]
    Denied(StatusCode),
    /// The body is not what the digest names.
    #[error("served other bytes")]
    Mismatch(#[source] BlobMismatch),
    /// An answer without `Content-Type`.
    #[error("answered without a Content-Type")]
    NoContentType,
    /// Nothing came in time.
    #[error("made no progress in time")]
    NoProgress,
    /// 404.
    #[error("does not have it (404)")]
    NotFound,
    /// The endpoint's name does not make a reference.
    #[error("has no name that registries.d can be looked up by")]
    Physical(#[source] ReferenceError),
    /// An answer to a range request that starts elsewhere.
    #[error("answered another range than asked for")]
    Range,
    /// Any other status.
    #[error("answered {0}")]
    Status(StatusCode),
    /// The answer to the question for tags is no list of them.
    #[error("answered no list of tags")]
    Tags(#[source] JsonError),
    /// No token could be had.
    #[error("token server: {0}")]
    Token(#[from] TokenError),
    /// A manifest larger than any real one.
    #[error("sent more than {limit} bytes")]
    TooLarge {
        /// The limit.
        limit: usize,
    },
    /// A list of more pages than any real one has.
    #[error("has a list of more than {limit} pages")]
    TooManyPages {
        /// The limit.
        limit: usize,
    },
    /// The request did not get through.
    #[error("is not reachable")]
    Transport(#[source] reqwest::Error),
}

/// Answers besides 404 and redirections with which registries say that they have no such API.
const NOT_OFFERED: [StatusCode; 6] = [
    StatusCode::BAD_REQUEST,
    StatusCode::METHOD_NOT_ALLOWED,
    StatusCode::NOT_ACCEPTABLE,
    StatusCode::GONE,
    StatusCode::TOO_MANY_REQUESTS,
    StatusCode::NOT_IMPLEMENTED,
];

impl Failure {
    /// Whether it says that the registry does not have an API which it need not have: what registries
    /// answer instead of 404, such as 303 to a web page or 429.
    pub(super) fn not_offered(&self) -> bool {
        match self {
            Self::NotFound => true,
            Self::Status(status) => status.is_redirection() || NOT_OFFERED.contains(status),
            Self::Broken
            | Self::Denied(_)
            | Self::Mismatch(_)
            | Self::NoContentType
            | Self::NoProgress
            | Self::Physical(_)
            | Self::Range
            | Self::Tags(_)
            | Self::Token(_)
            | Self::TooLarge { .. }
            | Self::TooManyPages { .. }
            | Self::Transport(_) => false,
        }
    }

    /// A transport failure, without the URL: a redirected one may carry a signature.
    pub(super) fn transport(error: reqwest::Error) -> Self {
        Self::Transport(error.without_url())
    }
}

/// Why no token could be had. Credentials and tokens never appear in the text.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The answer is not a token.
    #[error("the answer is not a token")]
    Answer(#[source] serde_json::Error),
    /// The registry's challenge cannot be followed.
    #[error("the registry's WWW-Authenticate cannot be followed")]
    Challenge,
    /// The answer is too large.
    #[error("the answer is larger than {limit} bytes")]
    TooLarge {
        /// The limit.
        limit: usize,
    },
    /// Credentials for this registry must not be sent there.
    #[error("the realm `{realm}` must not be sent credentials for {endpoint}")]
    Realm {
        /// The realm of the challenge.
        realm: String,
        /// The registry.
        endpoint: String,
    },
    /// The token server refused.
    #[error("answered {0}")]
    Status(StatusCode),
    /// The token server was not reached.
    #[error("not reachable")]
    Transport(#[source] reqwest::Error),
}
