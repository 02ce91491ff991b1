//! Image references, parsed and normalised as containers/image and distribution/reference do.

use std::fmt;

use crate::digest::Digest;

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
    pub fn parse(_text: &str) -> Result<Self, ReferenceError> {
        todo!()
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
pub struct PullReference(Reference);

impl PullReference {
    /// Parses what kubelet asks for.
    ///
    /// # Errors
    /// [`ReferenceError`] names what is wrong with the text; a host with upper-case letters is
    /// refused here, because it would slip past the scope written for its lower-case name.
    pub fn parse(_text: &str) -> Result<Self, ReferenceError> {
        todo!()
    }

    /// The reference, with exactly one of tag and digest.
    #[must_use]
    pub const fn reference(&self) -> &Reference {
        &self.0
    }
}

impl fmt::Display for PullReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Why a text is not an image reference.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceError {}
