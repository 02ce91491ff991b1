//! Reading a [`Json`] value, with the key path at hand.

use std::collections::BTreeMap;

use ::base64::Engine as _;
use ::base64::engine::general_purpose::STANDARD;

use super::json::{Json, JsonError, Number};
use super::path::{KeyPath, Trail, excerpt};

/// A value and its place in the document.
#[derive(Debug, Clone, Copy)]
pub struct Node<'a> {
    trail: Trail<'a>,
    value: &'a Json,
}

impl<'a> Node<'a> {
    pub(super) fn root(value: &'a Json) -> Self {
        Self { trail: Trail::default(), value }
    }

    /// The value itself.
    #[must_use]
    pub const fn value(&self) -> &'a Json {
        self.value
    }

    /// Where it stands.
    #[must_use]
    pub fn path(&self) -> KeyPath {
        self.trail.to_path()
    }

    /// Whether it is `null`.
    #[must_use]
    pub fn is_null(&self) -> bool {
        *self.value == Json::Null
    }

    /// The members of an object.
    ///
    /// # Errors
    /// [`JsonError::Unexpected`] for any other value.
    pub fn object(self) -> Result<Object<'a>, JsonError> {
        let Json::Object(members) = self.value else { return Err(self.unexpected("an object")) };
        Ok(Object { trail: self.trail, members })
    }

    /// The items of a list.
    ///
    /// # Errors
    /// [`JsonError::Unexpected`] for any other value.
    pub fn list(&'a self) -> Result<impl ExactSizeIterator<Item = Self>, JsonError> {
        let Json::Array(items) = self.value else { return Err(self.unexpected("a list")) };
        let places = items.iter().enumerate();
        Ok(places.map(|(index, value)| Self { trail: self.trail.index(index), value }))
    }

    /// A string.
    ///
    /// # Errors
    /// [`JsonError::Unexpected`] for any other value, `null` included.
    pub fn string(&self) -> Result<&'a str, JsonError> {
        let Json::String(text) = self.value else { return Err(self.unexpected("a string")) };
        Ok(text)
    }

    /// Bytes, as a string in [`base64()`].
    ///
    /// # Errors
    /// [`JsonError::Unexpected`] for any other value.
    pub fn bytes(&self) -> Result<Vec<u8>, JsonError> {
        const EXPECTED: &str = "a string in standard base64 with padding";
        let Json::String(text) = self.value else { return Err(self.unexpected(EXPECTED)) };
        base64(text).map_err(|error| JsonError::Unexpected {
            path: self.path(),
            expected: EXPECTED,
            found: format!("{} ({error})", self.value.describe()),
        })
    }

    /// A number.
    ///
    /// # Errors
    /// [`JsonError::Unexpected`] for any other value.
    pub fn number(&self) -> Result<Number, JsonError> {
        let Json::Number(number) = self.value else { return Err(self.unexpected("a number")) };
        Ok(*number)
    }

    /// An integer that is written as one and fits.
    ///
    /// # Errors
    /// [`JsonError::Unexpected`] for any other value, `1.0` and `1e3` included.
    pub fn integer(&self) -> Result<i64, JsonError> {
        let integer = match self.number() {
            Ok(Number::Positive(value)) => i64::try_from(value).ok(),
            Ok(Number::Negative(value)) => Some(value),
            Ok(Number::Float(_)) | Err(_) => None,
        };
        integer.ok_or_else(|| self.unexpected("an integer"))
    }

    /// The error for a value that is not what belongs here.
    #[must_use]
    pub fn unexpected(&self, expected: &'static str) -> JsonError {
        JsonError::Unexpected { path: self.path(), expected, found: self.value.describe() }
    }
}

/// The members of an object.
#[derive(Debug, Clone, Copy)]
pub struct Object<'a> {
    trail: Trail<'a>,
    members: &'a BTreeMap<String, Json>,
}

impl<'a> Object<'a> {
    /// Where the object stands.
    #[must_use]
    pub fn path(&self) -> KeyPath {
        self.trail.to_path()
    }

    /// Refuses every key but those of `known`. This is the rule of policy.json and of signed
    /// payloads (policy-semantics.md 1.2).
    ///
    /// # Errors
    /// [`JsonError::UnknownKey`] names the first one.
    pub fn only(self, known: &'static [&'static str]) -> Result<Self, JsonError> {
        match self.members.keys().find(|key| !known.contains(&key.as_str())) {
            None => Ok(self),
            Some(key) => {
                Err(JsonError::UnknownKey { path: self.path(), found: excerpt(key), known })
            }
        }
    }

    /// Refuses keys that equal one of `known` only if case is ignored, as Go's `encoding/json`
    /// ignores it: `Layers` would be a layer list to containerd and nothing to us. This is the rule
    /// of registry documents; other unknown keys are allowed in them.
    ///
    /// # Errors
    /// [`JsonError::CaseVariant`] names the first one.
    pub fn no_variants(self, known: &[&'static str]) -> Result<Self, JsonError> {
        for key in self.members.keys() {
            let folded = fold(key);
            if let Some(known) = known.iter().find(|known| key != **known && folded == fold(known))
            {
                let found = excerpt(key);
                return Err(JsonError::CaseVariant { path: self.path(), found, known });
            }
        }
        Ok(self)
    }

    /// The member `key`, if the object has it.
    #[must_use]
    pub fn get(&'a self, key: &'a str) -> Option<Node<'a>> {
        let value = self.members.get(key)?;
        Some(Node { trail: self.trail.key(key), value })
    }

    /// The member `key`.
    ///
    /// # Errors
    /// [`JsonError::Missing`] if the object does not have it.
    pub fn require(&'a self, key: &'static str) -> Result<Node<'a>, JsonError> {
        self.get(key).ok_or_else(|| JsonError::Missing { path: self.path(), key })
    }

    /// All members, sorted by key.
    pub fn iter(&'a self) -> impl ExactSizeIterator<Item = (&'a str, Node<'a>)> {
        self.members
            .iter()
            .map(|(key, value)| (key.as_str(), Node { trail: self.trail.key(key), value }))
    }
}

/// Decodes base64 as Go's `encoding/base64.StdEncoding` does: standard alphabet, padding required,
/// line breaks ignored (policy-semantics.md 1.3 and 4).
///
/// # Errors
/// [`base64::DecodeError`](::base64::DecodeError) for anything else.
pub fn base64(text: &str) -> Result<Vec<u8>, ::base64::DecodeError> {
    let joined: Vec<u8> = text.bytes().filter(|byte| !matches!(byte, b'\r' | b'\n')).collect();
    STANDARD.decode(joined)
}

/// Case folding at least as coarse as Go's: besides the ASCII letters it maps `ſ` to `s` and the
/// Kelvin sign to `k`.
fn fold(key: &str) -> String {
    key.chars().flat_map(char::to_uppercase).flat_map(char::to_lowercase).collect()
}
