//! Foreign text made fit for a journal and a terminal.

use std::borrow::Cow;
use std::error::Error;

/// The most bytes of one foreign value in a record: room for the longest reference and for a chain
/// of causes, and far below journald's own bounds.
const LIMIT: usize = 2048;

/// `text` with control characters escaped and, past 2048 bytes, cut. Text that directs a terminal
/// without being a control character, such as an override of the writing direction, is escaped too.
#[must_use]
pub fn printable(text: &str) -> Cow<'_, str> {
    if text.len() <= LIMIT && !text.chars().any(is_unfit) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len().min(LIMIT));
    for character in text.chars() {
        if out.len() >= LIMIT {
            out.push('…');
            break;
        }
        if is_unfit(character) {
            out.extend(character.escape_default());
        } else {
            out.push(character);
        }
    }
    Cow::Owned(out)
}

/// An error and its causes on one line, outermost first. A cause that the text before it ends with
/// already is not said twice: some libraries put it into their own message.
#[must_use]
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = error.to_string();
        if !text.ends_with(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        cause = error.source();
    }
    text
}

fn is_unfit(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::{chain, printable};

    #[derive(Debug, thiserror::Error)]
    #[error("{0}")]
    struct Outer(&'static str, #[source] io::Error);

    #[test]
    fn causes_are_said_once() {
        let rows = [("outside", "outside: inside"), ("outside: inside", "outside: inside")];
        for (outside, expected) in rows {
            assert_eq!(chain(&Outer(outside, io::Error::other("inside"))), expected);
        }
    }

    #[test]
    fn control_characters_are_escaped() {
        let rows = [
            ("plain", "registry.example/app:1", "registry.example/app:1"),
            ("other scripts", "署名がない", "署名がない"),
            ("newline", "a\nMESSAGE=b", "a\\nMESSAGE=b"),
            ("escape sequence", "\u{1b}[2J", "\\u{1b}[2J"),
            ("C1 control", "a\u{9b}2J", "a\\u{9b}2J"),
            ("direction override", "a\u{202e}b", "a\\u{202e}b"),
            ("nul", "a\0b", "a\\u{0}b"),
        ];
        for (name, text, expected) in rows {
            assert_eq!(printable(text), expected, "{name}");
        }
    }

    #[test]
    fn long_text_is_cut_between_characters() {
        let long = "é".repeat(5000);
        let cut = printable(&long);
        assert_eq!(cut.chars().count(), 1025, "1024 characters of two bytes and the ellipsis");
        assert!(cut.ends_with('…'));
    }
}
