//! Where in a document a value stands, for messages.

use std::fmt;

/// Longest part of a foreign text that a message repeats, in characters.
const EXCERPT: usize = 80;

/// The place of a value in a document: `transports.docker."a/b"[0].keyPath`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeyPath(Vec<Step<String>>);

impl KeyPath {
    /// The place of the member `key` of this object.
    #[must_use]
    pub fn key(&self, key: &str) -> Self {
        self.with(Step::Key(key.to_owned()))
    }

    /// The place of the item `index` of this list.
    #[must_use]
    pub fn index(&self, index: usize) -> Self {
        self.with(Step::Index(index))
    }

    fn with(&self, step: Step<String>) -> Self {
        Self(self.0.iter().cloned().chain([step]).collect())
    }

    /// The path without the quotes of a message; empty for the document itself.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        for step in &self.0 {
            match step {
                Step::Index(index) => text += &format!("[{index}]"),
                Step::Key(key) => {
                    if !text.is_empty() {
                        text.push('.');
                    }
                    if !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
                        text.push_str(&excerpt(key));
                    } else {
                        text += &format!("{:?}", excerpt(key));
                    }
                }
            }
        }
        text
    }

    pub(super) fn steps(&self) -> &[Step<String>] {
        &self.0
    }
}

impl fmt::Display for KeyPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() { f.write_str("top level") } else { write!(f, "`{}`", self.text()) }
    }
}

/// A [`KeyPath`] while the document is walked: a chain of borrowed steps, so that only an error pays
/// for the text.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Trail<'a> {
    last: Option<(&'a Self, Step<&'a str>)>,
}

/// One step down: into a list or into an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step<K> {
    Index(usize),
    Key(K),
}

impl<'a> Trail<'a> {
    pub(super) const fn index(&'a self, index: usize) -> Self {
        Self { last: Some((self, Step::Index(index))) }
    }

    pub(super) const fn key(&'a self, key: &'a str) -> Self {
        Self { last: Some((self, Step::Key(key))) }
    }

    pub(super) fn to_path(self) -> KeyPath {
        let mut steps = Vec::new();
        let mut trail = self;
        while let Some((parent, step)) = trail.last {
            steps.push(match step {
                Step::Index(index) => Step::Index(index),
                Step::Key(key) => Step::Key(key.to_owned()),
            });
            trail = *parent;
        }
        steps.reverse();
        KeyPath(steps)
    }
}

/// The beginning of a foreign text, short enough for a message.
pub(crate) fn excerpt(text: &str) -> String {
    match text.char_indices().nth(EXCERPT) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}
