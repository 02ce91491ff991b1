//! What can be wrong with registries.d.

use super::url::UrlError;
use crate::strict::YamlError;

/// What is wrong with registries.d.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LookasideError {
    /// A configured base cannot be read from.
    #[error("lookaside {base:?} cannot be read from")]
    Base {
        /// The base as configured, without name and password.
        base: String,
        /// What is wrong with it.
        source: UrlError,
    },
    /// Two files have a `default-docker` section.
    #[error("`default-docker` stands in {first} and in {second}, expected once")]
    DefaultTwice {
        /// The file read first.
        first: String,
        /// The other file.
        second: String,
    },
    /// Two files have a section for the same namespace.
    #[error("`docker.{namespace:?}` stands in {first} and in {second}, expected once")]
    NamespaceTwice {
        /// The namespace.
        namespace: String,
        /// The file read first.
        first: String,
        /// The other file.
        second: String,
    },
    /// A file is not YAML, or not of the expected form.
    #[error("{file}: not a registries.d file")]
    Yaml {
        /// The file.
        file: String,
        /// What is wrong with it.
        source: YamlError,
    },
}
