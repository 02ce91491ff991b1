//! Where in a document a value stands, for messages.

use std::fmt;

/// Longest part of a foreign text that a message repeats, in characters.
const EXCERPT: usize = 80;

/// The place of a value in a document: `transports.docker."a/b"[0].keyPath`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyPath(String);

impl KeyPath {
    /// The path without the quotes of a message; empty for the document itself.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for KeyPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() { f.write_str("top level") } else { write!(f, "`{}`", self.0) }
    }
}

/// A [`KeyPath`] while the document is walked: a chain of borrowed steps, so that only an error pays
/// for the text.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Trail<'a> {
    last: Option<(&'a Self, Step<'a>)>,
}

#[derive(Debug, Clone, Copy)]
enum Step<'a> {
    Index(usize),
    Key(&'a str),
}

impl<'a> Trail<'a> {
    pub(super) const fn index(&'a self, index: usize) -> Self {
        Self { last: Some((self, Step::Index(index))) }
    }

    pub(super) const fn key(&'a self, key: &'a str) -> Self {
        Self { last: Some((self, Step::Key(key))) }
    }

    pub(super) fn to_path(self) -> KeyPath {
        let mut text = String::new();
        self.write(&mut text);
        KeyPath(text)
    }

    fn write(self, text: &mut String) {
        let Some((parent, step)) = self.last else { return };
        parent.write(text);
        match step {
            Step::Index(index) => *text += &format!("[{index}]"),
            Step::Key(key) => {
                if !text.is_empty() {
                    text.push('.');
                }
                if !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
                    text.push_str(&excerpt(key));
                } else {
                    *text += &format!("{:?}", excerpt(key));
                }
            }
        }
    }
}

/// The beginning of a foreign text, short enough for a message.
pub(crate) fn excerpt(text: &str) -> String {
    match text.char_indices().nth(EXCERPT) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}
