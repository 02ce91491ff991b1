//! Simple signing: the JSON payload of an OpenPGP-signed message (containers-signature(5)).

use std::time::SystemTime;

use super::openpgp::{Keyring, OpenPgpError, Signer};
use crate::digest::{Digest, DigestError};
use crate::identity::SignedIdentity;
use crate::reference::Reference;
use crate::strict::{JsonError, Node, Number, Object, excerpt, json};

const TYPE: &str = "atomic container signature";

/// 2^63: the first integer that Go's `int64` cannot hold.
const INT64_END: f64 = 9_223_372_036_854_775_808.0;

/// Checks one signature: who signed, that it is a payload, for this manifest, for this name. The first
/// check that fails is the fault (policy-semantics.md 3).
///
/// # Errors
/// [`SignatureFault`].
pub fn verify<R: AsRef<Reference>>(
    message: &[u8],
    keyring: &Keyring,
    claim: &Claim<'_, R>,
    now: SystemTime,
) -> Result<Signer, SignatureFault> {
    let signed = keyring.verify(message, now)?;
    let payload = Payload::parse(&signed.payload)?;
    if payload.digest != *claim.manifest {
        let manifest = claim.manifest.clone();
        return Err(SignatureFault::Digest { signed: payload.digest, manifest });
    }
    if !claim.identity.matches(claim.image, &payload.reference) {
        let expected = claim.identity.describe(claim.image.map(AsRef::as_ref));
        return Err(SignatureFault::Identity { signed: excerpt(&payload.reference), expected });
    }
    Ok(signed.signer)
}

/// What a signature has to confirm.
#[derive(Debug)]
pub struct Claim<'a, R> {
    /// The image's manifest.
    pub manifest: &'a Digest,
    /// Which name it has to carry.
    pub identity: &'a SignedIdentity,
    /// The image's own name; none if it was read from a directory.
    pub image: Option<&'a R>,
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
    /// Parses the signed JSON: every member is known, none stands twice (policy-semantics.md 3.3).
    ///
    /// # Errors
    /// [`PayloadError`] names the member and the expected form.
    pub fn parse(text: &[u8]) -> Result<Self, PayloadError> {
        let document = json(text)?;
        let object = document.root().object()?.only(&["critical", "optional"])?;

        let critical =
            object.require("critical")?.object()?.only(&["identity", "image", "type"])?;
        let kind = critical.require("type")?.string()?;
        if kind != TYPE {
            return Err(PayloadError::Type { found: excerpt(kind) });
        }
        let image = critical.require("image")?.object()?.only(&["docker-manifest-digest"])?;
        let digest = image.require("docker-manifest-digest")?.string()?;
        let identity = critical.require("identity")?.object()?.only(&["docker-reference"])?;
        let reference = identity.require("docker-reference")?.string()?;

        let optional = object.require("optional")?.object()?;
        Ok(Self {
            digest: digest.parse().map_err(PayloadError::Digest)?,
            reference: reference.to_owned(),
            creator: creator(&optional)?,
            timestamp: timestamp(&optional)?,
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

/// Why a signed text is not a simple-signing payload.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PayloadError {
    /// The manifest's digest is not one.
    #[error("the payload's docker-manifest-digest")]
    Digest(#[source] DigestError),
    /// Not JSON of the right shape.
    #[error("the payload")]
    Json(#[from] JsonError),
    /// A payload of another format.
    #[error("the payload has the type `{found}`, expected `{TYPE}`")]
    Type {
        /// The type it names.
        found: String,
    },
}

/// What is wrong with one signature.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignatureFault {
    /// It is for another manifest.
    #[error("signs {signed}, the image's manifest is {manifest}")]
    Digest {
        /// What was signed.
        signed: Digest,
        /// The image's manifest.
        manifest: Digest,
    },
    /// It names another image.
    #[error("names `{signed}`, the policy expects {expected}")]
    Identity {
        /// The name that was signed, escaped and cut.
        signed: String,
        /// What the policy expects.
        expected: String,
    },
    /// The OpenPGP signature is not accepted.
    #[error(transparent)]
    OpenPgp(#[from] OpenPgpError),
    /// What was signed is no payload.
    #[error(transparent)]
    Payload(#[from] PayloadError),
}
