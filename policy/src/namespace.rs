//! The namespace of a pod: it becomes a file name, so nothing else may pass for one.

use std::fmt;

use crate::strict::excerpt;

/// Longest name, in bytes (RFC 1123).
const LONGEST: usize = 63;

/// The name of a Kubernetes namespace: a label of RFC 1123, and so a safe part of a path.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Namespace(String);

impl Namespace {
    /// Parses a name.
    ///
    /// # Errors
    /// [`NamespaceError`] for anything but a label of RFC 1123, the empty text included.
    pub fn parse(text: &str) -> Result<Self, NamespaceError> {
        let inner = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-');
        let label = !text.is_empty()
            && text.len() <= LONGEST
            && text.bytes().all(inner)
            && !text.starts_with('-')
            && !text.ends_with('-');
        if label { Ok(Self(text.to_owned())) } else { Err(NamespaceError { found: excerpt(text) }) }
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A text that names no namespace.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{found}` is no name of a namespace: expected 1 to {LONGEST} of `a` to `z`, `0` to `9` and `-`, \
     without `-` at either end"
)]
pub struct NamespaceError {
    found: String,
}

#[cfg(test)]
mod tests {
    use super::Namespace;

    #[test]
    fn only_labels_are_names() {
        let (longest, longer) = ("n".repeat(63), "n".repeat(64));
        for name in ["default", "kube-system", "a", "7", "team-1", "a--b", &longest] {
            assert_eq!(Namespace::parse(name).unwrap().as_str(), name);
        }
        for text in [
            "", ".", "..", "../x", "a/b", "/etc", "a.b", "a_b", "A", "-a", "a-", "a b", "a\0",
            "a\n", "é", &longer,
        ] {
            let error = Namespace::parse(text).unwrap_err();
            assert!(error.to_string().contains("no name of a namespace"), "{text:?}");
        }
    }
}
