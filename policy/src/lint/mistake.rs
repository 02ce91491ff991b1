//! What can be wrong with a policy that somebody meant to be right.

use crate::document::PolicyError;
use crate::lookaside::{UnknownKey, UrlError};

/// How bad a mistake is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// Every pull is refused.
    Error,
    /// It does something else than it seems to.
    Warning,
}

/// A mistake. Its text says what follows from it, and what to write instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Mistake {
    /// Stricter scopes beside a default that accepts everything.
    #[error(
        "accepts every image that no other scope is for: one that is asked for by another name, such \
         as another port or registry, passes the stricter scopes by; `reject` is the safe default"
    )]
    AcceptsTheRest,
    /// Signatures are required that are never looked for.
    #[error(
        "requires `sigstoreSigned`, but registries.d does not say `use-sigstore-attachments: true` \
         for it, so cosign's signatures are never looked for: write `docker:`, `  {section}:`, \
         `    use-sigstore-attachments: true` in /etc/containers/registries.d/NAME.yaml"
    )]
    AttachmentsOff {
        /// The section of registries.d to write.
        section: String,
    },
    /// A requirement that nothing satisfies.
    #[error("`signedBaseLayer` never accepts an image")]
    BaseLayer,
    /// An identity that cosign's signatures never match.
    #[error(
        "`{identity}` never matches a signature of cosign, which names the repository without a tag: \
         write `\"signedIdentity\": {{\"type\": \"matchRepository\"}}`, unless podman or skopeo signs"
    )]
    CosignIdentity {
        /// The identity's type.
        identity: &'static str,
    },
    /// A trust anchor is about to end.
    #[error("{file}: key {fingerprint} ends in {days} days: get its successor from its owner")]
    Ending {
        /// The file.
        file: String,
        /// The key.
        fingerprint: String,
        /// The whole days that are left.
        days: u64,
    },
    /// The policy does not parse.
    #[error("{}", chain(.0))]
    Invalid(PolicyError),
    /// A requirement of a kind of key that verifies nothing.
    #[error("keyType `{found}` never accepts an image: write `GPGKeys`")]
    KeyType {
        /// The kind.
        found: &'static str,
    },
    /// A base of registries.d that signatures cannot be read from.
    #[error("`{section}`: lookaside {base:?}: {why}: every image of it is refused")]
    Lookaside {
        /// The section.
        section: String,
        /// The base.
        base: String,
        /// What is wrong with it.
        why: UrlError,
    },
    /// A section of registries.d that is never looked up.
    #[error("`{section}` is never looked up: {why}")]
    LookasideUnreachable {
        /// The section.
        section: String,
        /// Why.
        why: String,
    },
    /// A path that means another file for every working directory.
    #[error("the path `{path}` is relative, write it from the root: every pull is refused")]
    RelativePath {
        /// The path.
        path: String,
    },
    /// A key that is ignored.
    #[error("{}unknown key {:?}: it is ignored", within(.0), .0.key)]
    UnknownKey(UnknownKey),
    /// A scope that decides about no image.
    #[error("the scope `{scope}` is never looked up: {why}")]
    Unreachable {
        /// The scope.
        scope: String,
        /// Why.
        why: String,
    },
    /// A file that cannot be read.
    #[error("{why}: every image of this scope is refused")]
    Unreadable {
        /// The reason, with the file.
        why: String,
    },
    /// A key or certificate that cannot be used.
    #[error("{file}: {why}")]
    Unusable {
        /// The file.
        file: String,
        /// Why.
        why: String,
    },
}

impl Mistake {
    /// How bad it is.
    #[must_use]
    pub const fn severity(&self) -> Severity {
        match self {
            Self::Invalid(_) | Self::RelativePath { .. } => Severity::Error,
            Self::AcceptsTheRest
            | Self::AttachmentsOff { .. }
            | Self::BaseLayer
            | Self::CosignIdentity { .. }
            | Self::Ending { .. }
            | Self::KeyType { .. }
            | Self::Lookaside { .. }
            | Self::LookasideUnreachable { .. }
            | Self::UnknownKey(_)
            | Self::Unreachable { .. }
            | Self::Unreadable { .. }
            | Self::Unusable { .. } => Severity::Warning,
        }
    }

    /// A stable name, for programs.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::AcceptsTheRest => "accepts-the-rest",
            Self::AttachmentsOff { .. } => "attachments-off",
            Self::BaseLayer => "base-layer",
            Self::CosignIdentity { .. } => "cosign-identity",
            Self::Ending { .. } => "ending",
            Self::Invalid(_) => "invalid",
            Self::KeyType { .. } => "key-type",
            Self::Lookaside { .. } => "lookaside",
            Self::LookasideUnreachable { .. } => "lookaside-unreachable",
            Self::RelativePath { .. } => "relative-path",
            Self::UnknownKey(_) => "unknown-key",
            Self::Unreachable { .. } => "unreachable",
            Self::Unreadable { .. } => "unreadable",
            Self::Unusable { .. } => "unusable",
        }
    }
}

/// The section, if the key stands in one.
fn within(key: &UnknownKey) -> String {
    key.section.as_ref().map(|section| format!("`{section}`: ")).unwrap_or_default()
}

fn chain(error: &PolicyError) -> String {
    let cause = std::error::Error::source(error);
    let cause = cause.map(|cause| format!(": {cause}")).unwrap_or_default();
    format!("{error}{cause}")
}
