//! JSON text into a [`Json`] value.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fmt;

use serde::de::{DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor};

use super::node::Node;
use super::path::{KeyPath, Trail, excerpt};
use super::position::{Position, position};
use crate::limits::DOCUMENT_DEPTH;

/// Parses a JSON document (RFC 8259): UTF-8 without byte order mark, nothing after the value, no
/// key twice in an object once escapes are resolved, nesting at most
/// [`DOCUMENT_DEPTH`](crate::limits::DOCUMENT_DEPTH) deep (policy-semantics.md 1.2).
///
/// # Errors
/// [`JsonError::Duplicate`], [`JsonError::Syntax`] or [`JsonError::TooDeep`], each with the position.
pub fn json(text: &[u8]) -> Result<Json, JsonError> {
    let fault = Cell::new(None);
    let mut reader = serde_json::Deserializer::from_slice(text);
    let seed = Seed { trail: Trail::default(), depth: 0, fault: &fault };
    seed.deserialize(&mut reader)
        .and_then(|value| reader.end().map(|()| value))
        .map_err(|error| JsonError::from_reader(&error, fault.take()))
}

/// A JSON value in which every object has each key once.
#[derive(Debug, Clone, PartialEq)]
pub enum Json {
    /// `[…]`.
    Array(Vec<Self>),
    /// `true` or `false`.
    Bool(bool),
    /// `null`.
    Null,
    /// A number.
    Number(Number),
    /// `{…}`.
    Object(BTreeMap<String, Self>),
    /// A string, with escapes resolved.
    String(String),
}

impl Json {
    /// The value as the root of its document.
    #[must_use]
    pub fn root(&self) -> Node<'_> {
        Node::root(self)
    }

    /// The value in the words of a message.
    pub(super) fn describe(&self) -> String {
        match self {
            Self::Array(_) => "a list".to_owned(),
            Self::Bool(value) => value.to_string(),
            Self::Null => "null".to_owned(),
            Self::Number(Number::Float(value)) => format!("the number {value}"),
            Self::Number(Number::Negative(value)) => format!("the number {value}"),
            Self::Number(Number::Positive(value)) => format!("the number {value}"),
            Self::Object(_) => "an object".to_owned(),
            Self::String(value) => format!("the text {:?}", excerpt(value)),
        }
    }
}

/// A JSON number as it was written: `1.0` and `1e3` are no integers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Number {
    /// Written with a fraction or an exponent, or too large for 64 bits.
    Float(f64),
    /// Written as a plain integer below zero.
    Negative(i64),
    /// Written as a plain integer from zero on.
    Positive(u64),
}

/// What is wrong with a JSON document, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// A key that a case-insensitive reader takes for another.
    #[error("{path}: key {found:?}, expected {known:?} in exactly this spelling")]
    CaseVariant {
        /// The object.
        path: KeyPath,
        /// The key as written.
        found: String,
        /// The key it resembles.
        known: &'static str,
    },
    /// A key stands twice in one object.
    #[error("{path}: key stands twice in its object, at line {line} column {column}")]
    Duplicate {
        /// The key.
        path: KeyPath,
        /// Line of the second one, from 1.
        line: usize,
        /// Column of the second one, from 1.
        column: usize,
    },
    /// A member that must be there is not.
    #[error("{path}: `{key}` is missing")]
    Missing {
        /// The object.
        path: KeyPath,
        /// The missing key.
        key: &'static str,
    },
    /// The text is not JSON; the message holds line and column.
    #[error("not JSON: {reason}")]
    Syntax {
        /// What the reader found.
        reason: String,
        /// Where.
        position: Position,
    },
    /// Lists and objects are nested too deeply.
    #[error(
        "nested deeper than {} levels, at line {line} column {column}",
        crate::limits::DOCUMENT_DEPTH
    )]
    TooDeep {
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
    },
    /// A value of another kind than expected.
    #[error("{path}: expected {expected}, found {found}")]
    Unexpected {
        /// The value.
        path: KeyPath,
        /// What belongs there.
        expected: &'static str,
        /// What stands there.
        found: String,
    },
    /// A key that the object does not have.
    #[error("{path}: unknown key {found:?}, expected one of {}", known.join(", "))]
    UnknownKey {
        /// The object.
        path: KeyPath,
        /// The key as written.
        found: String,
        /// The keys that the object may have.
        known: &'static [&'static str],
    },
}

impl JsonError {
    fn from_reader(error: &serde_json::Error, fault: Option<Fault>) -> Self {
        let (line, column) = (error.line(), error.column());
        match fault {
            Some(Fault::Duplicate(path)) => Self::Duplicate { path, line, column },
            Some(Fault::TooDeep) => Self::TooDeep { line, column },
            None => Self::Syntax { reason: error.to_string(), position: Position { line, column } },
        }
    }

    /// Where in `text`, the document, the error is.
    #[must_use]
    pub fn position(&self, text: &[u8]) -> Option<Position> {
        match self {
            Self::CaseVariant { path, .. }
            | Self::Missing { path, .. }
            | Self::Unexpected { path, .. } => position(text, path),
            Self::Duplicate { line, column, .. } | Self::TooDeep { line, column } => {
                Some(Position { line: *line, column: *column })
            }
            Self::Syntax { position, .. } => Some(*position),
            Self::UnknownKey { path, found, .. } => position(text, &path.key(found)),
        }
    }
}

/// What the visitor refuses; it travels beside serde's error, which can only carry text.
enum Fault {
    Duplicate(KeyPath),
    TooDeep,
}

#[derive(Clone, Copy)]
struct Seed<'a> {
    trail: Trail<'a>,
    depth: usize,
    fault: &'a Cell<Option<Fault>>,
}

impl<'a> Seed<'a> {
    fn within<E: serde::de::Error>(&self, trail: Trail<'a>) -> Result<Self, E> {
        if self.depth == DOCUMENT_DEPTH {
            self.fault.set(Some(Fault::TooDeep));
            return Err(E::custom("nested too deeply"));
        }
        Ok(Self { trail, depth: self.depth + 1, fault: self.fault })
    }
}

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Json;

    fn deserialize<D: serde::Deserializer<'de>>(self, reader: D) -> Result<Json, D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json, E> {
        Ok(Json::Number(Number::Positive(value)))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json, E> {
        Ok(Json::Number(Number::Negative(value)))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Json, E> {
        Ok(Json::Number(Number::Float(value)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Json, E> {
        Ok(Json::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Json, E> {
        Ok(Json::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Json, A::Error> {
        let mut items = Vec::new();
        while let Some(item) =
            list.next_element_seed(self.within(self.trail.index(items.len()))?)?
        {
            items.push(item);
        }
        Ok(Json::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Json, A::Error> {
        let mut members = BTreeMap::new();
        while let Some(key) = map.next_key::<String>()? {
            let trail = self.trail.key(&key);
            if members.contains_key(&key) {
                self.fault.set(Some(Fault::Duplicate(trail.to_path())));
                return Err(A::Error::custom("duplicate key"));
            }
            let value = map.next_value_seed(self.within(trail)?)?;
            members.insert(key, value);
        }
        Ok(Json::Object(members))
    }
}
