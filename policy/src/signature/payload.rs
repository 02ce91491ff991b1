//! What is signed: a JSON document that names a manifest and an image (containers-signature(5)).

use crate::digest::{Digest, DigestError};
use crate::strict::{JsonError, Node, Number, Object, excerpt, json};

/// 2^63: the first integer that Go's `int64` cannot hold.
const INT64_END: f64 = 9_223_372_036_854_775_808.0;

/// Whose payload it is. One cannot stand in for the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Simple signing.
    Atomic,
    /// cosign.
    Cosign,
}

impl Format {
    const fn type_name(self) -> &'static str {
        match self {
            Self::Atomic => "atomic container signature",
            Self::Cosign => "cosign container image signature",
        }
    }
}

/// What a signer said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payload {
    digest: Digest,
    reference: String,
    creator: Option<String>,
    timestamp: Option<i64>,
}

impl Payload {
    /// Parses the signed JSON: every member is known, none stands twice (policy-semantics.md 3.3 and
    /// 4).
    ///
    /// # Errors
    /// [`PayloadError`] names the member and the expected form.
    pub fn parse(text: &[u8], format: Format) -> Result<Self, PayloadError> {
        let document = json(text)?;
        let object = document.root().object()?.only(&["critical", "optional"])?;

        let critical =
            object.require("critical")?.object()?.only(&["identity", "image", "type"])?;
        let kind = critical.require("type")?.string()?;
        if kind != format.type_name() {
            let expected = format.type_name();
            return Err(PayloadError::Type { found: excerpt(kind), expected });
        }
        let image = critical.require("image")?.object()?.only(&["docker-manifest-digest"])?;
        let digest = image.require("docker-manifest-digest")?.string()?;
        let identity = critical.require("identity")?.object()?.only(&["docker-reference"])?;
        let reference = identity.require("docker-reference")?.string()?;

        let optional = object.require("optional")?;
        let (creator, timestamp) = match format {
            // cosign writes null.
            Format::Cosign if optional.is_null() => (None, None),
            Format::Atomic | Format::Cosign => {
                let optional = optional.object()?;
                (creator(&optional)?, timestamp(&optional)?)
            }
        };
        Ok(Self {
            digest: digest.parse().map_err(PayloadError::Digest)?,
            reference: reference.to_owned(),
            creator,
            timestamp,
        })
    }

    /// The manifest that was signed.
    #[must_use]
    pub const fn digest(&self) -> &Digest {
        &self.digest
    }

    /// The name under which it was signed: any text at all.
    #[must_use]
    pub fn reference(&self) -> &str {
        &self.reference
    }

    /// The program that signed, if it says so.
    #[must_use]
    pub fn creator(&self) -> Option<&str> {
        self.creator.as_deref()
    }

    /// When it was signed, in Unix seconds, if the signer says so.
    #[must_use]
    pub const fn timestamp(&self) -> Option<i64> {
        self.timestamp
    }
}

fn creator(optional: &Object<'_>) -> Result<Option<String>, JsonError> {
    match optional.get("creator") {
        Some(node) if node.is_null() => Ok(Some(String::new())),
        Some(node) => Ok(Some(node.string()?.to_owned())),
        None => Ok(None),
    }
}

/// containers/image reads the number as a double and wants it whole and within `int64`.
fn timestamp(optional: &Object<'_>) -> Result<Option<i64>, JsonError> {
    match optional.get("timestamp") {
        Some(node) if node.is_null() => Ok(Some(0)),
        Some(node) => whole(&node).map(Some),
        None => Ok(None),
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the value is whole and within i64")]
fn whole(node: &Node<'_>) -> Result<i64, JsonError> {
    let value = match node.number()? {
        Number::Positive(value) => value as f64,
        Number::Negative(value) => value as f64,
        Number::Float(value) => value,
    };
    if value.fract() == 0.0 && (-INT64_END..INT64_END).contains(&value) {
        return Ok(value as i64);
    }
    Err(node.unexpected("a whole number of seconds"))
}

/// Why a signed text is not a payload.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PayloadError {
    /// The manifest's digest is not one.
    #[error("the payload's docker-manifest-digest")]
    Digest(#[source] DigestError),
    /// Not JSON of the right shape.
    #[error("the payload")]
    Json(#[from] JsonError),
    /// A payload of another format.
    #[error("the payload has the type `{found}`, expected `{expected}`")]
    Type {
        /// The type it names.
        found: String,
        /// The type of this format.
        expected: &'static str,
    },
}
