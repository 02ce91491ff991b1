//! Rekor's promise to have recorded a signature: the signed entry timestamp (SET), verified offline.

use std::time::{Duration, SystemTime};

use ::base64::Engine as _;
use ::base64::engine::general_purpose::STANDARD;
use serde::Serialize;

use super::bundle::certificate;
use super::inclusion::InclusionError;
use super::pem::{self, PemError};
use super::witness::Log;
use crate::digest::Digest;
use crate::strict::{Json, JsonError, Node, Object, excerpt, json};

/// How far a log's clock may be ahead of ours.
pub(super) const SKEW: Duration = Duration::from_secs(5 * 60);

/// Largest integer that every reader of JSON takes for the same number (RFC 8785, 3.2.2.3).
const EXACT: i64 = 1 << 53;

/// What the log must have recorded.
#[derive(Debug, Clone, Copy)]
pub struct Entry<'a> {
    /// The form of the record.
    pub kind: Kind,
    /// The signer's key or certificate, as PEM.
    pub material: &'a [u8],
    /// The signature.
    pub signature: &'a [u8],
    /// The digest of what was signed.
    pub payload: &'a Digest,
}

/// The form in which Rekor records a signature. One cannot stand in for the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `dsse` 0.0.1: a signed envelope.
    Dsse,
    /// `hashedrekord` 0.0.1: a signature over a digest.
    HashedRekord,
    /// `hashedrekord` 0.0.2: a signature over a digest, also that of an envelope, in a log of Rekor 2.
    HashedRekord2,
}

impl Kind {
    /// Its name and version.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Dsse => "dsse 0.0.1",
            Self::HashedRekord => "hashedrekord 0.0.1",
            Self::HashedRekord2 => "hashedrekord 0.0.2",
        }
    }
}

impl Entry<'_> {
    /// When one of the logs recorded this entry, as its signed timestamp says.
    ///
    /// # Errors
    /// [`LogError`].
    pub fn logged(
        &self,
        set: &[u8],
        logs: &[Log],
        now: SystemTime,
    ) -> Result<SystemTime, LogError> {
        let set = SignedEntryTimestamp::parse(set)?;
        self.promised(&Payload::parse(set.payload.root())?, &set.signature, logs, now)
    }

    /// When one of the logs promised to record this entry.
    pub(super) fn promised(
        &self,
        payload: &Payload,
        promise: &[u8],
        logs: &[Log],
        now: SystemTime,
    ) -> Result<SystemTime, LogError> {
        let canonical = payload.canonical()?;
        let log = logs.iter().find(|log| log.key().verify(&canonical, promise));
        let log = log.ok_or(LogError::Signature)?;
        // What was signed is read, not what was sent.
        let payload = Payload::parse(json(&canonical)?.root())?;
        self.recorded(&payload.body)?;
        let seconds = u64::try_from(payload.integrated_time);
        let seconds = seconds.map_err(|_negative| LogError::Time)?;
        let time = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds));
        let time = time.ok_or(LogError::Time)?;
        if time > now + SKEW {
            return Err(LogError::Time);
        }
        log.in_use(time)?;
        Ok(time)
    }

    /// Whether `body` is the record of this entry.
    pub(super) fn recorded(&self, body: &[u8]) -> Result<(), LogError> {
        let document = json(body)?;
        let record = document.root().object()?.only(&["apiVersion", "kind", "spec"])?;
        let kind = record.require("kind")?.string()?;
        let version = record.require("apiVersion")?.string()?;
        let found = format!("{kind} {version}");
        if found != self.kind.name() {
            return Err(LogError::kind(&found, self.kind));
        }
        let spec = record.require("spec")?.object()?;
        match self.kind {
            Kind::Dsse => self.recorded_envelope(&spec),
            Kind::HashedRekord => self.recorded_hash(&spec),
            Kind::HashedRekord2 => self.recorded_hash_2(&spec),
        }
    }

    /// The log also hashes the whole envelope, in a spelling that nobody keeps. Type and payload are
    /// what the signature is over.
    fn recorded_envelope(&self, spec: &Object<'_>) -> Result<(), LogError> {
        let signatures = spec.require("signatures")?;
        let mut signatures = signatures.list()?;
        let (Some(one), None) = (signatures.next(), signatures.next()) else {
            return Err(LogError::Differs { what: "number of signatures" });
        };
        let one = one.object()?;
        let (verifier, signature) = (one.require("verifier")?, one.require("signature")?);
        self.same(&verifier.bytes()?, &signature.bytes()?, spec.require("payloadHash")?)
    }

    fn recorded_hash(&self, spec: &Object<'_>) -> Result<(), LogError> {
        let signature = spec.require("signature")?.object()?;
        let key = signature.require("publicKey")?.object()?.require("content")?.bytes()?;
        let data = spec.require("data")?.object()?;
        self.same(&key, &signature.require("content")?.bytes()?, data.require("hash")?)
    }

    /// Nothing but what the signature is over is in such a record.
    fn recorded_hash_2(&self, spec: &Object<'_>) -> Result<(), LogError> {
        let spec = spec.only(&["hashedRekordV002"])?;
        let record = spec.require("hashedRekordV002")?.object()?.only(&["data", "signature"])?;
        let signature = record.require("signature")?.object()?.only(&["content", "verifier"])?;
        let verifier = signature.require("verifier")?.object()?;
        let verifier = verifier.only(&["keyDetails", "publicKey", "x509Certificate"])?;
        let material = match (verifier.get("publicKey"), verifier.get("x509Certificate")) {
            (Some(one), None) | (None, Some(one)) => certificate(one)?,
            (Some(_), Some(_)) | (None, None) => {
                return Err(LogError::Differs { what: "number of keys" });
            }
        };
        let content = signature.require("content")?.bytes()?;
        let data = record.require("data")?.object()?.only(&["algorithm", "digest"])?;
        let digest = hex::encode(data.require("digest")?.bytes()?);
        let algorithm = data.require("algorithm")?.string()?;
        self.same_der(&material, &content, (algorithm, "SHA2_256"), &digest)
    }

    fn same(&self, material: &[u8], signature: &[u8], hash: Node<'_>) -> Result<(), LogError> {
        let hash = hash.object()?;
        let algorithm = hash.require("algorithm")?.string()?;
        let algorithms = (algorithm, self.payload.algorithm().name());
        self.same_der(
            &pem::only(material)?,
            signature,
            algorithms,
            hash.require("value")?.string()?,
        )
    }

    fn same_der(
        &self,
        material: &[u8],
        signature: &[u8],
        (algorithm, expected): (&str, &str),
        digest: &str,
    ) -> Result<(), LogError> {
        let differs = |what| Err(LogError::Differs { what });
        if material != pem::only(self.material)? {
            return differs("key or certificate");
        }
        if signature != self.signature {
            return differs("signature");
        }
        if algorithm != expected {
            return differs("hash algorithm");
        }
        if digest != self.payload.hex() {
            return differs("payload");
        }
        Ok(())
    }
}

/// The annotation's document.
#[derive(Debug)]
pub struct SignedEntryTimestamp {
    signature: Vec<u8>,
    payload: Json,
}

impl SignedEntryTimestamp {
    /// Parses it: exactly the members that Rekor writes.
    ///
    /// # Errors
    /// [`JsonError`].
    pub fn parse(text: &[u8]) -> Result<Self, JsonError> {
        let document = json(text)?;
        let object = document.root().object()?.only(&["Payload", "SignedEntryTimestamp"])?;
        let signature = object.require("SignedEntryTimestamp")?.bytes()?;
        Ok(Self { signature, payload: object.require("Payload")?.value().clone() })
    }
}

/// What the log signs.
#[derive(Debug)]
pub struct Payload {
    body_text: String,
    body: Vec<u8>,
    integrated_time: i64,
    log_index: i64,
    log_id: String,
}

impl Payload {
    /// What the log signs for `body`: the time and the index at which it recorded it, and its name.
    pub(super) fn new(body: &[u8], (time, index): (i64, i64), log_id: String) -> Self {
        let (body_text, body) = (STANDARD.encode(body), body.to_vec());
        Self { body_text, body, integrated_time: time, log_index: index, log_id }
    }

    /// Parses it: exactly the members that Rekor writes.
    ///
    /// # Errors
    /// [`JsonError`].
    pub fn parse(node: Node<'_>) -> Result<Self, JsonError> {
        let object = node.object()?.only(&["body", "integratedTime", "logID", "logIndex"])?;
        let exact = |key| {
            let node = object.require(key)?;
            let value = node.integer()?;
            if (-EXACT..=EXACT).contains(&value) {
                return Ok(value);
            }
            Err(node.unexpected("an integer of at most 53 bits"))
        };
        let body = object.require("body")?;
        Ok(Self {
            body_text: body.string()?.to_owned(),
            body: body.bytes()?,
            integrated_time: exact("integratedTime")?,
            log_index: exact("logIndex")?,
            log_id: object.require("logID")?.string()?.to_owned(),
        })
    }

    /// The bytes that the log signed (RFC 8785).
    fn canonical(&self) -> Result<Vec<u8>, LogError> {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Canonical<'a> {
            body: &'a str,
            integrated_time: i64,
            log_index: i64,
            #[serde(rename = "logID")]
            log_id: &'a str,
        }
        let canonical = Canonical {
            body: &self.body_text,
            integrated_time: self.integrated_time,
            log_index: self.log_index,
            log_id: &self.log_id,
        };
        serde_json_canonicalizer::to_vec(&canonical)
            .map_err(|error| LogError::Canonical(error.to_string()))
    }
}

/// Why the log's promise does not count.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LogError {
    /// The entry has no canonical form.
    #[error("has no canonical form: {0}")]
    Canonical(String),
    /// The entry records something else.
    #[error("records another {what}")]
    Differs {
        /// What differs.
        what: &'static str,
    },
    /// The proof that the log has the entry does not hold.
    #[error("the inclusion proof")]
    Inclusion(#[from] InclusionError),
    /// Not the JSON that Rekor writes.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// A record of another type.
    #[error("is of the type `{found}`, expected {expected}")]
    Kind {
        /// Its type.
        found: String,
        /// The type that belongs to the signature.
        expected: &'static str,
    },
    /// There is no entry.
    #[error("is missing")]
    Missing,
    /// Anybody could have written it.
    #[error("has neither a signed entry timestamp nor an inclusion proof")]
    NoProof,
    /// The log's key was not in use.
    #[error("is of {time}, but the policy's log was in use {window}")]
    OutOfUse {
        /// When it was recorded.
        time: String,
        /// When the log was in use.
        window: String,
    },
    /// The recorded key, or ours, is not PEM.
    #[error(transparent)]
    Pem(#[from] PemError),
    /// No log that the policy trusts signed it.
    #[error("is signed by none of the policy's Rekor keys")]
    Signature,
    /// A log of Rekor 2 does not say when it recorded something.
    #[error(
        "has no time, as all of Rekor 2, and no timestamp of the policy's authorities tells it"
    )]
    Untimed,
    /// Recorded before 1970 or in the future.
    #[error("has a time that is negative or in the future: compare the node's clock")]
    Time,
}

impl LogError {
    pub(super) fn kind(found: &str, expected: Kind) -> Self {
        Self::Kind { found: excerpt(found), expected: expected.name() }
    }
}
