//! Rekor's promise to have recorded a signature: the signed entry timestamp (SET), verified offline.

use std::time::{Duration, SystemTime};

use serde::Serialize;

use super::key::PublicKey;
use super::pem::{self, PemError};
use crate::digest::Digest;
use crate::strict::{Json, JsonError, Node, excerpt, json};

/// How far a log's clock may be ahead of ours.
const SKEW: Duration = Duration::from_secs(5 * 60);

/// Largest integer that every reader of JSON takes for the same number (RFC 8785, 3.2.2.3).
const EXACT: i64 = 1 << 53;

/// What the log must have recorded.
#[derive(Debug, Clone, Copy)]
pub struct Entry<'a> {
    /// The signer's key or certificate, as PEM.
    pub material: &'a [u8],
    /// The signature.
    pub signature: &'a [u8],
    /// What was signed.
    pub payload: &'a [u8],
}

impl Entry<'_> {
    /// When one of the logs recorded this entry, as its signed timestamp says.
    ///
    /// # Errors
    /// [`LogError`].
    pub fn logged(
        &self,
        set: &[u8],
        log: &[PublicKey],
        now: SystemTime,
    ) -> Result<SystemTime, LogError> {
        let set = SignedEntryTimestamp::parse(set)?;
        let canonical = Payload::parse(set.payload.root())?.canonical()?;
        if !log.iter().any(|key| key.verify(&canonical, &set.signature)) {
            return Err(LogError::Signature);
        }
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
        Ok(time)
    }

    /// Whether `body` is the record of this entry (hashedrekord 0.0.1).
    fn recorded(&self, body: &[u8]) -> Result<(), LogError> {
        let document = json(body)?;
        let record = document.root().object()?.only(&["apiVersion", "kind", "spec"])?;
        let kind = record.require("kind")?.string()?;
        let version = record.require("apiVersion")?.string()?;
        if (kind, version) != ("hashedrekord", "0.0.1") {
            return Err(LogError::Kind { found: excerpt(&format!("{kind} {version}")) });
        }
        let spec = record.require("spec")?.object()?;
        let signature = spec.require("signature")?.object()?;
        let key = signature.require("publicKey")?.object()?.require("content")?.bytes()?;
        if pem::only(&key)? != pem::only(self.material)? {
            return Err(LogError::Differs { what: "key or certificate" });
        }
        if signature.require("content")?.bytes()? != self.signature {
            return Err(LogError::Differs { what: "signature" });
        }
        let data = spec.require("data")?.object()?;
        let hash = data.require("hash")?.object()?;
        if hash.require("algorithm")?.string()? != "sha256" {
            return Err(LogError::Differs { what: "hash algorithm" });
        }
        if hash.require("value")?.string()? != Digest::sha256(self.payload).hex() {
            return Err(LogError::Differs { what: "payload" });
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
    /// Not the JSON that Rekor writes.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// A record of another type.
    #[error("is of the type `{found}`, expected hashedrekord 0.0.1")]
    Kind {
        /// Its type.
        found: String,
    },
    /// The recorded key, or ours, is not PEM.
    #[error(transparent)]
    Pem(#[from] PemError),
    /// No log that the policy trusts signed it.
    #[error("is signed by none of the policy's Rekor keys")]
    Signature,
    /// Recorded before 1970 or in the future.
    #[error("has a time that is negative or in the future: compare the node's clock")]
    Time,
}
