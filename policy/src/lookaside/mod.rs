//! registries.d: where the signatures of a repository are stored (containers-registries.d(5),
//! policy-semantics.md 2).

mod error;
mod file;
mod search;
mod url;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

pub use error::LookasideError;
pub use search::{DIRECTORIES, search_order};
pub use url::{BaseUrl, UrlError, without_userinfo};

use crate::digest::Digest;
use crate::reference::Reference;
use crate::scope;
use file::File;

/// Where signatures are without any configuration, on behalf of root.
const BUILT_IN_BASE: &str = "file:///var/lib/containers/sigstore";

/// The merged configuration of one directory search.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lookaside {
    default_docker: Option<Placed>,
    docker: BTreeMap<String, Placed>,
    unknown_keys: Vec<UnknownKey>,
}

/// A section and the file it stands in.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Placed {
    file: String,
    section: Section,
}

/// `default-docker`, or what one namespace of `docker` configures.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Section {
    /// `lookaside`: where signatures are read from.
    pub lookaside: Option<String>,
    /// `lookaside-staging`: where a signing tool writes them to.
    pub lookaside_staging: Option<String>,
    /// `sigstore`, the former name of `lookaside`.
    pub sigstore: Option<String>,
    /// `sigstore-staging`, the former name of `lookaside-staging`.
    pub sigstore_staging: Option<String>,
    /// `use-sigstore-attachments`: whether signatures are also in the registry.
    pub use_sigstore_attachments: Option<bool>,
}

impl Section {
    fn base(&self) -> Option<&str> {
        let set = [&self.lookaside, &self.sigstore].into_iter().flatten();
        set.map(String::as_str).find(|base| !base.is_empty())
    }
}

/// A key that is ignored, because another version of the format may know it. A misspelt `lookaside`
/// leaves the built-in directory in force, so whoever reads the configuration reports these.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownKey {
    /// The file.
    pub file: String,
    /// The namespace or `default-docker`; `None` at the top level.
    pub section: Option<String>,
    /// The key.
    pub key: String,
}

impl fmt::Display for UnknownKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.section {
            Some(section) => write!(f, "{}: {section:?}: unknown key {:?}", self.file, self.key),
            None => write!(f, "{}: unknown key {:?}", self.file, self.key),
        }
    }
}

impl Lookaside {
    /// Parses and merges files, given as (path for messages, content), in the order of
    /// [`search_order`].
    ///
    /// # Errors
    /// [`LookasideError`] names the file, the key and the expected form. A section that stands in two
    /// files is an error, even if both say the same.
    pub fn parse<'a>(
        files: impl IntoIterator<Item = (&'a str, &'a [u8])>,
    ) -> Result<Self, LookasideError> {
        let mut merged = Self::default();
        for (name, text) in files {
            merged.add(name, File::parse(name, text)?)?;
        }
        Ok(merged)
    }

    fn add(&mut self, name: &str, file: File) -> Result<(), LookasideError> {
        let place = |section| Placed { file: name.to_owned(), section };
        self.unknown_keys.extend(file.unknown_keys);
        if let Some(section) = file.default_docker
            && let Some(first) = self.default_docker.replace(place(section))
        {
            let second = name.to_owned();
            return Err(LookasideError::DefaultTwice { first: first.file, second });
        }
        for (namespace, section) in file.docker {
            if let Some(first) = self.docker.insert(namespace.clone(), place(section)) {
                let second = name.to_owned();
                return Err(LookasideError::NamespaceTwice {
                    namespace,
                    first: first.file,
                    second,
                });
            }
        }
        Ok(())
    }

    /// The `default-docker` section.
    #[must_use]
    pub fn default_docker(&self) -> Option<&Section> {
        self.default_docker.as_ref().map(|placed| &placed.section)
    }

    /// Every namespace of `docker`, sorted by name.
    pub fn namespaces(&self) -> impl Iterator<Item = (&str, &Section)> {
        self.docker.iter().map(|(name, placed)| (name.as_str(), &placed.section))
    }

    /// The keys that were ignored.
    #[must_use]
    pub fn unknown_keys(&self) -> &[UnknownKey] {
        &self.unknown_keys
    }

    /// The configured base of the store of `physical`, before it is parsed. Where a section leaves
    /// it out or empty, the next less specific one is asked, which containers-registries.d(5) denies
    /// and containers/image does.
    #[must_use]
    pub fn base(&self, physical: &Reference) -> Option<&str> {
        self.first(physical, Section::base)
    }

    /// Where the signatures of `physical` (the endpoint that served it) are read from.
    ///
    /// # Errors
    /// [`LookasideError::Base`] if the configured base is not a URL that we read.
    pub fn store(&self, physical: &Reference) -> Result<Store, LookasideError> {
        let base = self.base(physical).unwrap_or(BUILT_IN_BASE);
        Store::new(base, physical)
            .map_err(|source| LookasideError::Base { base: without_userinfo(base), source })
    }

    /// Whether signatures of `physical` are also attached to the image in its registry.
    #[must_use]
    pub fn use_sigstore_attachments(&self, physical: &Reference) -> bool {
        self.first(physical, |section| section.use_sigstore_attachments).unwrap_or(false)
    }

    /// Whether the attachments of any image are looked at for which policy.json's `scope` decides; the
    /// empty scope stands for every image.
    #[must_use]
    pub fn may_use_sigstore_attachments(&self, scope: &str) -> bool {
        let above = scope::sample(scope)
            .is_some_and(|image| self.use_sigstore_attachments(image.reference()));
        let within = |namespace: &str| match scope.strip_prefix('*') {
            Some(domain) => host(namespace).ends_with(domain),
            None => {
                scope.is_empty()
                    || namespace
                        .strip_prefix(scope)
                        .is_some_and(|rest| rest.starts_with(['/', ':', '@']))
            }
        };
        let used = |section: &Section| section.use_sigstore_attachments == Some(true);
        let default = scope.is_empty() && self.default_docker().is_some_and(used);
        above || default || self.namespaces().any(|(name, section)| used(section) && within(name))
    }

    /// Every base that a section configures, with the section's name and file.
    pub fn bases(&self) -> impl Iterator<Item = Base<'_>> {
        let sections = self.docker.iter().map(|(name, placed)| (name.as_str(), placed));
        let default = self.default_docker.iter().map(|placed| ("default-docker", placed));
        default.chain(sections).filter_map(|(section, Placed { file, section: placed })| {
            Some(Base { file, section, base: placed.base()? })
        })
    }

    /// Every namespace of `docker` and the file it stands in, sorted by name.
    pub fn files(&self) -> impl Iterator<Item = (&str, &str)> {
        self.docker.iter().map(|(name, placed)| (name.as_str(), placed.file.as_str()))
    }

    /// What the most specific section that has the attribute says. Each attribute falls through to
    /// less specific sections on its own.
    fn first<'a, T>(
        &'a self,
        physical: &Reference,
        attribute: impl Fn(&'a Section) -> Option<T>,
    ) -> Option<T> {
        let scopes = scope::candidates(physical);
        let sections = scopes.iter().filter_map(|scope| self.docker.get(scope));
        sections.chain(&self.default_docker).find_map(|placed| attribute(&placed.section))
    }
}

/// The host of a namespace, without a port.
fn host(namespace: &str) -> &str {
    namespace.split(['/', ':']).next().unwrap_or(namespace)
}

/// A configured base.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Base<'a> {
    /// The file.
    pub file: &'a str,
    /// The namespace, or `default-docker`.
    pub section: &'a str,
    /// The base as it is written.
    pub base: &'a str,
}

impl Base<'_> {
    /// The host that signatures are read from; none for files.
    ///
    /// # Errors
    /// [`UrlError`] if signatures cannot be read from it.
    pub fn host(&self) -> Result<Option<String>, UrlError> {
        let url = readable(self.base)?;
        Ok(Some(url.host().to_owned()).filter(|_| url.scheme() != Some("file")))
    }
}

/// A base that signatures can be read from.
fn readable(base: &str) -> Result<BaseUrl, UrlError> {
    let base = BaseUrl::parse(base)?;
    match base.scheme() {
        Some("http" | "https") if base.host().is_empty() => return Err(UrlError::NoHost),
        Some("file" | "http" | "https") => {}
        Some(_) | None => return Err(UrlError::Scheme),
    }
    if base.has_encoded_slash() {
        return Err(UrlError::EncodedSlash);
    }
    Ok(base)
}

/// The place that holds the signatures of one repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Store {
    repository: BaseUrl,
}

impl Store {
    fn new(base: &str, physical: &Reference) -> Result<Self, UrlError> {
        Ok(Self { repository: readable(base)?.append(&format!("/{}", physical.path())) })
    }

    /// The location of signature `number` (from 1) of the manifest `digest`.
    #[must_use]
    pub fn location(&self, digest: &Digest, number: usize) -> Location {
        let url = self.repository.signature(digest, number);
        match url.scheme() {
            Some("file") => Location::File(PathBuf::from(url.path())),
            Some(_) | None => Location::Url(url.to_string()),
        }
    }
}

/// The location of one stored signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// A local file.
    File(PathBuf),
    /// An `http` or `https` URL.
    Url(String),
}

#[cfg(test)]
mod tests;
