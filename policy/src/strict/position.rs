//! Where in the text of a document a value stands: a second look, only for messages.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::path::{KeyPath, Step};

/// A place in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The line, from 1.
    pub line: usize,
    /// The character in the line, from 1.
    pub column: usize,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// Where the value at `path` stands in the JSON document `text`: at its key, or at its beginning if it
/// has none. Of a path that leads nowhere, the last value that exists. None if `text` is not JSON.
#[must_use]
pub fn position(text: &[u8], path: &KeyPath) -> Option<Position> {
    let text = std::str::from_utf8(text).ok()?;
    let mut value = serde_json::from_str::<&RawValue>(text).ok()?.get();
    let mut found = value.as_ptr().addr();
    for step in path.steps() {
        let Some((place, next)) = enter(value, step) else { break };
        (found, value) = (place, next);
    }
    let before = text.get(..found.checked_sub(text.as_ptr().addr())?)?;
    let line = before.rsplit('\n').next().unwrap_or(before);
    Some(Position {
        line: 1 + before.bytes().filter(|byte| *byte == b'\n').count(),
        column: 1 + line.chars().count(),
    })
}

/// The address of what `step` leads to, and its text.
fn enter<'a>(value: &'a str, step: &Step<String>) -> Option<(usize, &'a str)> {
    match step {
        Step::Index(index) => {
            let items: Vec<&RawValue> = serde_json::from_str(value).ok()?;
            let item = items.get(*index)?.get();
            Some((item.as_ptr().addr(), item))
        }
        Step::Key(key) => {
            let members: BTreeMap<Key<'_>, &RawValue> = serde_json::from_str(value).ok()?;
            let (key, member) = members.get_key_value(&Key(Cow::Borrowed(key)))?;
            let place = match &key.0 {
                // The quote before it belongs to it.
                Cow::Borrowed(key) => key.as_ptr().addr() - 1,
                Cow::Owned(_escaped) => member.get().as_ptr().addr(),
            };
            Some((place, member.get()))
        }
    }
}

/// A key that points into the text where it has no escapes.
#[derive(Deserialize, PartialEq, Eq, PartialOrd, Ord)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

#[cfg(test)]
mod tests {
    use super::position;
    use crate::strict::KeyPath;

    #[test]
    fn values_are_found_in_the_text() {
        let text = "{ \"a\": 1,\n  \"ü\": [ {}, {\"k\\u0065y\": true, \"x\": 2} ] }\n";
        let list = KeyPath::default().key("ü");
        for (path, expected) in [
            (KeyPath::default(), "1:1"),
            (KeyPath::default().key("a"), "1:3"),
            (list.clone(), "2:3"),
            (list.index(0), "2:10"),
            (list.index(1).key("x"), "2:33"),
            (list.index(1).key("key"), "2:27"),
            (list.index(1).key("gone").key("more"), "2:14"),
            (list.index(7), "2:3"),
            (KeyPath::default().key("a").index(0), "1:3"),
        ] {
            let found = position(text.as_bytes(), &path).map(|position| position.to_string());
            assert_eq!(found.as_deref(), Some(expected), "{path}");
        }
        assert_eq!(position(b"{", &KeyPath::default()), None);
    }
}
