//! Image references, parsed and normalised as containers/image does (policy-semantics.md 1.8).
//!
//! containerd reads some names that are refused here, such as `UPPER/x` and `[::1]:5000/x`. They
//! have no scope in policy.json, so they are never passed on.

pub(crate) mod grammar;

use std::fmt;
use std::str::FromStr as _;

use crate::digest::{Digest, DigestError};

/// The registry of names without a host.
const DEFAULT_DOMAIN: &str = "docker.io";

/// The former name of [`DEFAULT_DOMAIN`].
const LEGACY_DEFAULT_DOMAIN: &str = "index.docker.io";

/// The namespace of single-component names at [`DEFAULT_DOMAIN`].
const OFFICIAL_NAMESPACE: &str = "library/";

/// The tag of names without tag and digest.
const DEFAULT_TAG: &str = "latest";

/// Longest repository name: `NameTotalLengthMax` of distribution/reference.
const NAME_LENGTH: usize = 255;

/// A normalised image name: `host[:port]/path`, with a tag, a digest, both or neither.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reference {
    domain: String,
    path: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

impl Reference {
    /// Parses a reference as a user writes it: `busybox` is `docker.io/library/busybox`.
    ///
    /// # Errors
    /// [`ReferenceError`] names what is wrong with the text.
    pub fn parse(text: &str) -> Result<Self, ReferenceError> {
        if grammar::is_identifier(text) {
            return Err(ReferenceError::Identifier { text: text.to_owned() });
        }
        let (domain, rest) = split_domain(text);
        let (name, digest) = match rest.split_once('@') {
            Some((name, digest)) => (name, Some(digest)),
            None => (rest, None),
        };
        let (path, tag) = match name.split_once(':') {
            Some((path, tag)) => (path, Some(tag)),
            None => (name, None),
        };
        let path = if domain == DEFAULT_DOMAIN && !path.contains('/') {
            format!("{OFFICIAL_NAMESPACE}{path}")
        } else {
            path.to_owned()
        };
        Self::from_parts(domain, path, tag, digest)
    }

    fn from_parts(
        domain: &str,
        path: String,
        tag: Option<&str>,
        digest: Option<&str>,
    ) -> Result<Self, ReferenceError> {
        if !grammar::is_domain(domain) {
            return Err(ReferenceError::Domain { domain: domain.to_owned() });
        }
        if !grammar::is_path(&path) {
            return Err(ReferenceError::Path { path });
        }
        let length = domain.len() + 1 + path.len();
        if length > NAME_LENGTH {
            return Err(ReferenceError::TooLong { length });
        }
        if let Some(tag) = tag.filter(|tag| !grammar::is_tag(tag)) {
            return Err(ReferenceError::Tag { tag: tag.to_owned() });
        }
        let digest = digest.map(Digest::from_str).transpose()?;
        Ok(Self { domain: domain.to_owned(), path, tag: tag.map(str::to_owned), digest })
    }

    /// Parses a reference that is already in its normalised spelling.
    ///
    /// # Errors
    /// [`ReferenceError::NotCanonical`] for any other spelling, the other variants for a text that
    /// is no reference.
    pub fn parse_canonical(text: &str) -> Result<Self, ReferenceError> {
        let reference = Self::parse(text)?;
        let canonical = reference.to_string();
        if canonical == text {
            Ok(reference)
        } else {
            Err(ReferenceError::NotCanonical { text: text.to_owned(), canonical })
        }
    }

    /// Host and port, for example `registry.example.com:5000`.
    #[must_use]
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// The repository's path at that host, for example `team/app`.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The full repository name, `host[:port]/path`.
    #[must_use]
    pub fn repository(&self) -> String {
        format!("{}/{}", self.domain, self.path)
    }

    /// The tag, if the reference has one.
    #[must_use]
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The digest, if the reference has one.
    #[must_use]
    pub const fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }

    /// Whether the reference names more than a repository.
    #[must_use]
    pub const fn has_tag_or_digest(&self) -> bool {
        self.tag.is_some() || self.digest.is_some()
    }

    /// The manifest `digest` of this repository, `host[:port]/path@digest`.
    #[must_use]
    pub fn at_digest(&self, digest: Digest) -> Self {
        Self {
            domain: self.domain.clone(),
            path: self.path.clone(),
            tag: None,
            digest: Some(digest),
        }
    }

    /// The same image at another registry, such as the mirror that served it.
    ///
    /// # Errors
    /// [`ReferenceError`] if `domain` is not `host[:port]` or the name gets too long.
    pub fn at_domain(&self, domain: &str) -> Result<Self, ReferenceError> {
        let digest = self.digest.as_ref().map(Digest::to_string);
        Self::from_parts(domain, self.path.clone(), self.tag(), digest.as_deref())
    }
}

/// Splits off the host; the first component is one only if it contains a dot or a colon or is
/// `localhost`.
fn split_domain(text: &str) -> (&str, &str) {
    match text.split_once('/') {
        Some((LEGACY_DEFAULT_DOMAIN, rest)) => (DEFAULT_DOMAIN, rest),
        Some((first, rest)) if first.contains(['.', ':']) || first == "localhost" => (first, rest),
        Some(_) | None => (DEFAULT_DOMAIN, text),
    }
}

impl AsRef<Self> for Reference {
    fn as_ref(&self) -> &Self {
        self
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.domain, self.path)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

/// What one pull fetches: a reference with exactly one of tag and digest. `latest` is added where
/// there is neither, the tag is dropped where there are both, as CRI-O and containerd do.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PullReference {
    reference: Reference,
    dropped_tag: Option<String>,
}

impl PullReference {
    /// Parses what kubelet asks for.
    ///
    /// # Errors
    /// [`ReferenceError`] names what is wrong with the text; a host with upper-case letters is
    /// refused here, because it would slip past the scope written for its lower-case name.
    pub fn parse(text: &str) -> Result<Self, ReferenceError> {
        let mut reference = Reference::parse(text)?;
        if reference.domain.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return Err(ReferenceError::UpperCaseDomain { domain: reference.domain });
        }
        let dropped_tag = match reference.digest {
            Some(_) => reference.tag.take(),
            None => {
                reference.tag.get_or_insert_with(|| DEFAULT_TAG.to_owned());
                None
            }
        };
        Ok(Self { reference, dropped_tag })
    }

    /// The reference, with exactly one of tag and digest.
    #[must_use]
    pub const fn reference(&self) -> &Reference {
        &self.reference
    }

    /// The tag that stood beside the digest. It decides nothing; it is there for the log.
    #[must_use]
    pub fn dropped_tag(&self) -> Option<&str> {
        self.dropped_tag.as_deref()
    }
}

impl AsRef<Reference> for PullReference {
    fn as_ref(&self) -> &Reference {
        &self.reference
    }
}

impl fmt::Display for PullReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.reference.fmt(f)
    }
}

/// Why a text is not an image reference.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceError {
    /// What follows the `@` is no digest.
    #[error("the part after @ is no digest")]
    Digest(#[from] DigestError),
    /// The host is not one.
    #[error("{domain:?} is not a host name with an optional port")]
    Domain {
        /// The text in the place of the host.
        domain: String,
    },
    /// The text is an image ID.
    #[error("{text:?} is an image ID, not a name")]
    Identifier {
        /// The text.
        text: String,
    },
    /// A short name or another spelling where the full name is required.
    #[error("{text:?} is not a full name, expected {canonical:?}")]
    NotCanonical {
        /// The text.
        text: String,
        /// Its normalised spelling.
        canonical: String,
    },
    /// The path is not one.
    #[error(
        "{path:?} is not a repository path: lower-case letters and digits, \
         separated by `.`, `_`, `__`, hyphens or `/`"
    )]
    Path {
        /// The text in the place of the path.
        path: String,
    },
    /// The tag is not one.
    #[error("{tag:?} is not a tag: at most 128 letters, digits, `_`, `.` and `-`")]
    Tag {
        /// The text in the place of the tag.
        tag: String,
    },
    /// The name is too long.
    #[error("the name has {length} characters, at most {NAME_LENGTH} are allowed")]
    TooLong {
        /// Its length.
        length: usize,
    },
    /// The host of a pull has upper-case letters.
    #[error("the host {domain:?} has upper-case letters, write it in lower case")]
    UpperCaseDomain {
        /// The host.
        domain: String,
    },
}

#[cfg(test)]
mod tests;
