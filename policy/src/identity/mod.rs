//! `signedIdentity`: does the name inside a signature speak for the image that was asked for?
//!
//! The rules are those of containers-policy.json(5), "signedIdentity", and policy-semantics.md 1.7.

use crate::reference::{Reference, ReferenceError, grammar};

/// A `signedIdentity` object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SignedIdentity {
    /// `exactReference`.
    ExactReference(Reference),
    /// `exactRepository`.
    ExactRepository(Reference),
    /// `matchExact`.
    MatchExact,
    /// `matchRepoDigestOrExact`, the default.
    MatchRepoDigestOrExact,
    /// `matchRepository`.
    MatchRepository,
    /// `remapIdentity`.
    RemapIdentity(Remap),
}

impl SignedIdentity {
    /// Parses the `dockerReference` of an `exactReference`.
    ///
    /// # Errors
    /// [`IdentityError`] for a text that is no reference, or one without tag and digest.
    pub fn exact_reference(text: &str) -> Result<Self, IdentityError> {
        let reference = Reference::parse(text)?;
        if !reference.has_tag_or_digest() {
            return Err(IdentityError::NoTagOrDigest { text: text.to_owned() });
        }
        Ok(Self::ExactReference(reference))
    }

    /// Parses the `dockerRepository` of an `exactRepository`. A tag or digest is tolerated and means
    /// nothing, as in containers/image.
    ///
    /// # Errors
    /// [`IdentityError`] for a text that is no reference.
    pub fn exact_repository(text: &str) -> Result<Self, IdentityError> {
        Ok(Self::ExactRepository(Reference::parse(text)?))
    }

    /// Does a signature that names `signed` speak for `image`? `None` is an image without a docker
    /// reference, as read from a directory.
    #[must_use]
    pub fn matches<R: AsRef<Reference>>(&self, image: Option<&R>, signed: &str) -> bool {
        let Ok(signed) = Reference::parse(signed) else { return false };
        let image = image.map(AsRef::as_ref);
        match self {
            Self::ExactReference(expected) => same_reference(expected, &signed),
            Self::ExactRepository(expected) => same_repository(expected, &signed),
            Self::MatchExact => image.is_some_and(|image| same_reference(image, &signed)),
            Self::MatchRepoDigestOrExact => {
                image.is_some_and(|image| same_repository_by_digest_or_exact(image, &signed))
            }
            Self::MatchRepository => image.is_some_and(|image| same_repository(image, &signed)),
            Self::RemapIdentity(remap) => image
                .and_then(|image| remap.apply(image).ok())
                .is_some_and(|image| same_repository_by_digest_or_exact(&image, &signed)),
        }
    }
}

impl SignedIdentity {
    /// Its type, as it is written in policy.json.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::ExactReference(_) => "exactReference",
            Self::ExactRepository(_) => "exactRepository",
            Self::MatchExact => "matchExact",
            Self::MatchRepoDigestOrExact => "matchRepoDigestOrExact",
            Self::MatchRepository => "matchRepository",
            Self::RemapIdentity(_) => "remapIdentity",
        }
    }

    /// Whether a signature that names a repository and no image in it can be accepted at all.
    #[must_use]
    pub const fn is_of_repository(&self) -> bool {
        match self {
            Self::ExactRepository(_) | Self::MatchRepository => true,
            Self::ExactReference(_)
            | Self::MatchExact
            | Self::MatchRepoDigestOrExact
            | Self::RemapIdentity(_) => false,
        }
    }

    /// Does a signature that speaks for the whole repository `signed` speak for `image`?
    pub(crate) fn matches_repository<R: AsRef<Reference>>(
        &self,
        image: Option<&R>,
        signed: &Reference,
    ) -> bool {
        match self {
            Self::ExactRepository(expected) => same_repository(expected, signed),
            Self::MatchRepository => {
                image.is_some_and(|image| same_repository(image.as_ref(), signed))
            }
            Self::ExactReference(_)
            | Self::MatchExact
            | Self::MatchRepoDigestOrExact
            | Self::RemapIdentity(_) => false,
        }
    }

    /// What a signature of `image` must name, in words.
    #[must_use]
    pub fn describe(&self, image: Option<&Reference>) -> String {
        let name = |image: &Reference| format!("`{image}`");
        let of_image = image.map_or_else(|| "an image with a name".to_owned(), name);
        match self {
            Self::ExactReference(reference) => name(reference),
            Self::ExactRepository(repository) => format!("`{}`", repository.repository()),
            Self::MatchExact | Self::MatchRepoDigestOrExact => of_image,
            Self::MatchRepository => {
                image.map_or(of_image, |image| format!("`{}`", image.repository()))
            }
            Self::RemapIdentity(remap) => image
                .and_then(|image| remap.apply(image).ok())
                .map_or(of_image, |image| name(&image)),
        }
    }
}

/// Equal, and more than a repository: no tag is added to either side.
fn same_reference(image: &Reference, signed: &Reference) -> bool {
    image.has_tag_or_digest() && image == signed
}

fn same_repository(image: &Reference, signed: &Reference) -> bool {
    image.domain() == signed.domain() && image.path() == signed.path()
}

/// An image asked for by tag must be signed under that tag, one asked for by digest alone under any
/// tag of its repository: the digest already says which image is meant.
fn same_repository_by_digest_or_exact(image: &Reference, signed: &Reference) -> bool {
    match (image.tag(), image.digest()) {
        (None, Some(_)) => signed.has_tag_or_digest() && same_repository(image, signed),
        (Some(_), _) | (None, None) => same_reference(image, signed),
    }
}

/// The two prefixes of `remapIdentity`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remap {
    prefix: String,
    signed_prefix: String,
}

impl Remap {
    /// Parses `prefix` and `signedPrefix`: each is `host[:port]`, or that and a path.
    ///
    /// # Errors
    /// [`IdentityError::Prefix`] names the one that is neither.
    pub fn parse(prefix: &str, signed_prefix: &str) -> Result<Self, IdentityError> {
        for text in [prefix, signed_prefix] {
            let (domain, path) = match text.split_once('/') {
                Some((domain, path)) => (domain, Some(path)),
                None => (text, None),
            };
            if !grammar::is_domain(domain) || path.is_some_and(|path| !grammar::is_path(path)) {
                return Err(IdentityError::Prefix { text: text.to_owned() });
            }
        }
        Ok(Self { prefix: prefix.to_owned(), signed_prefix: signed_prefix.to_owned() })
    }

    /// What names the image in the place it was mirrored to.
    #[must_use]
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// What named it in the place where it was signed.
    #[must_use]
    pub fn signed_prefix(&self) -> &str {
        &self.signed_prefix
    }

    /// Whether the prefix stands at the beginning of `image` and ends at the end of a component.
    #[must_use]
    pub fn applies_to(&self, image: &Reference) -> bool {
        image
            .repository()
            .strip_prefix(&self.prefix)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// The name under which `image` was signed; `image` itself where the prefix does not apply.
    ///
    /// # Errors
    /// [`ReferenceError`] if the result is no full name, for example because the signed prefix is a
    /// bare host and nothing follows it.
    pub fn apply(&self, image: &Reference) -> Result<Reference, ReferenceError> {
        if !self.applies_to(image) {
            return Ok(image.clone());
        }
        let name = image.to_string();
        let rest = name.strip_prefix(&self.prefix).unwrap_or_default();
        Reference::parse_canonical(&format!("{}{rest}", self.signed_prefix))
    }
}

/// What is wrong with a `signedIdentity`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// An `exactReference` names a whole repository.
    #[error("{text:?} has neither tag nor digest")]
    NoTagOrDigest {
        /// The reference.
        text: String,
    },
    /// A prefix of `remapIdentity` is none.
    #[error("{text:?} is neither host[:port] nor host[:port]/path")]
    Prefix {
        /// The text.
        text: String,
    },
    /// The name is no reference.
    #[error("not an image name")]
    Reference(#[from] ReferenceError),
}

#[cfg(test)]
mod tests;
