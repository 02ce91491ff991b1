//! YAML text into a typed value.

use serde::de::DeserializeOwned;
use serde_saphyr::{DuplicateKeyPolicy, UserMessageFormatter, budget, options};

use crate::limits::DOCUMENT_DEPTH;

/// Parses a YAML document into `T`. A key that stands twice is an error at every depth, also inside
/// what `T` ignores, and so is a second document. Merge keys (`<<`), anchors, a byte order mark and
/// JSON are understood (policy-semantics.md 2.2).
///
/// # Errors
/// [`YamlError`] with line and column.
pub fn yaml<T: DeserializeOwned>(text: &[u8]) -> Result<T, YamlError> {
    let options = options! {
        budget: budget! { max_depth: DOCUMENT_DEPTH },
        duplicate_keys: DuplicateKeyPolicy::Error,
        strict_booleans: true,
        with_snippet: false,
    };
    serde_saphyr::from_slice_with_options(text, options)
        .map_err(|error| YamlError { reason: error.render_with_formatter(&UserMessageFormatter) })
}

/// What is wrong with a YAML document; the reason holds line and column.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct YamlError {
    reason: String,
}
