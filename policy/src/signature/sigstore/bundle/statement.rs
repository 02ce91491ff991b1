//! What the envelope of a bundle says: an in-toto statement about the digests of images.

use crate::digest::{Digest, DigestError};
use crate::limits;
use crate::strict::{JsonError, excerpt, json};

const STATEMENT: &str = "https://in-toto.io/Statement/v1";

/// What cosign says by signing an image. Every other predicate tells something about the image, a
/// vulnerability report for example: it says nothing for it.
pub(in super::super) const SIGNATURE: &str = "https://sigstore.dev/cosign/sign/v1";

/// The digests that a statement signs for; there is at least one.
pub(super) fn subjects(payload: &[u8]) -> Result<Vec<Digest>, StatementError> {
    let document = json(payload)?;
    let object = document.root().object()?;
    let kind = object.require("_type")?.string()?;
    if kind != STATEMENT {
        return Err(StatementError::Type { found: excerpt(kind) });
    }
    let predicate = object.require("predicateType")?.string()?;
    if predicate != SIGNATURE {
        return Err(StatementError::Attestation { predicate: excerpt(predicate) });
    }
    let subjects = object.require("subject")?;
    let subjects = subjects.list()?;
    if subjects.len() > limits::SUBJECTS {
        return Err(StatementError::TooManySubjects { found: subjects.len() });
    }
    let mut digests = Vec::new();
    for subject in subjects {
        let subject = subject.object()?;
        let algorithms = subject.require("digest")?.object()?;
        if let Some(hex) = algorithms.get("sha256") {
            let digest = format!("sha256:{}", hex.string()?);
            digests.push(digest.parse().map_err(StatementError::Digest)?);
        }
    }
    if digests.is_empty() {
        return Err(StatementError::NoSubject);
    }
    Ok(digests)
}

/// Why a statement does not sign for an image.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StatementError {
    /// It tells something about the image.
    #[error("is an attestation of the type `{predicate}`, not a signature")]
    Attestation {
        /// Its predicate type.
        predicate: String,
    },
    /// A digest is not one.
    #[error("the statement's sha256")]
    Digest(#[source] DigestError),
    /// Not JSON of the right shape.
    #[error("the statement")]
    Json(#[from] JsonError),
    /// It names no digest that could be compared.
    #[error("names no subject by its SHA-256 digest")]
    NoSubject,
    /// More subjects than any real statement has.
    #[error("has {found} subjects, the limit is {}", limits::SUBJECTS)]
    TooManySubjects {
        /// How many.
        found: usize,
    },
    /// Another kind of document.
    #[error("is of the type `{found}`, expected `{STATEMENT}`")]
    Type {
        /// Its type.
        found: String,
    },
}
