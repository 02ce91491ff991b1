//! registries.d: where the signatures of a repository are stored (containers-registries.d(5)).

use crate::digest::Digest;
use crate::reference::Reference;

/// The merged configuration of one directory search.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lookaside {
    // by the author of lookaside
}

impl Lookaside {
    /// Parses and merges files, given as (path for messages, content), in the order read.
    ///
    /// # Errors
    /// [`LookasideError`] names the file, the key and the expected form.
    pub fn parse<'a>(
        _files: impl IntoIterator<Item = (&'a str, &'a [u8])>,
    ) -> Result<Self, LookasideError> {
        todo!()
    }

    /// Where the signatures of `physical` (the endpoint that served it) are read from.
    ///
    /// # Errors
    /// [`LookasideError`] if the configured base is not a URL with a scheme we read.
    pub fn store(&self, _physical: &Reference) -> Result<Store, LookasideError> {
        todo!()
    }
}

/// The place that holds the signatures of one repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Store {
    // by the author of lookaside
}

impl Store {
    /// The location of signature `number` (from 1) of the manifest `digest`.
    #[must_use]
    pub fn location(&self, _digest: &Digest, _number: usize) -> Location {
        todo!()
    }
}

/// The location of one stored signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// A local file.
    File(std::path::PathBuf),
    /// An `http` or `https` URL.
    Url(String),
}

/// What is wrong with registries.d.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LookasideError {}
