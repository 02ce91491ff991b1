//! `trusted_root.json`: authorities, logs and time-stamping authorities with the dates of their use, in
//! sigstore's own form. It is read from a file and never fetched.

use std::time::SystemTime;

use super::bundle::certificate;
use super::certificate::{Authorities, CertificateError};
use super::key::{KeyError, PublicKey};
use super::window::Window;
use super::witness::{Clock, Log, Witnesses};
use crate::limits;
use crate::signature::anchor::Anchor;
use crate::strict::{JsonError, KeyPath, Node, Object, excerpt, json};

/// What every version's media type begins with.
const MEDIA_TYPE: &str = "application/vnd.dev.sigstore.trustedroot";

/// Whom a trusted root names. The logs of certificates are read over: containers/image asks for no proof
/// of them either.
#[derive(Debug)]
pub struct TrustedRoot {
    /// The authorities that issue certificates to signers.
    pub authorities: Vec<Authorities>,
    /// The logs and time-stamping authorities.
    pub witnesses: Witnesses,
}

impl TrustedRoot {
    /// Parses a trusted root.
    ///
    /// # Errors
    /// [`TrustedRootError`] names the place and the expected form.
    pub fn parse(text: &[u8]) -> Result<Self, TrustedRootError> {
        let document = json(text)?;
        let object = document.root().object()?.only(&[
            "certificateAuthorities",
            "ctlogs",
            "mediaType",
            "timestampAuthorities",
            "tlogs",
        ])?;
        let media_type = object.require("mediaType")?.string()?;
        if !media_type.starts_with(MEDIA_TYPE) {
            return Err(TrustedRootError::MediaType { found: excerpt(media_type) });
        }
        let authorities = each(&object, "certificateAuthorities", authority)?;
        let logs = each(&object, "tlogs", log)?;
        let clocks = each(&object, "timestampAuthorities", clock)?;
        if logs.is_empty() && clocks.is_empty() {
            return Err(TrustedRootError::NoWitness);
        }
        Ok(Self { authorities, witnesses: Witnesses { logs, clocks } })
    }

    /// Its authorities, logs and time-stamping authorities, as they stand at `now`.
    pub(in crate::signature) fn describe(
        &self,
        now: SystemTime,
    ) -> Result<Vec<Anchor>, CertificateError> {
        let mut anchors = Vec::new();
        for authority in &self.authorities {
            anchors.extend(authority.describe(now)?);
        }
        anchors.extend(self.witnesses.logs.iter().map(Log::describe));
        for clock in &self.witnesses.clocks {
            anchors.push(clock.describe()?);
        }
        Ok(anchors)
    }
}

fn each<T>(
    object: &Object<'_>,
    key: &'static str,
    parse: fn(Node<'_>) -> Result<T, TrustedRootError>,
) -> Result<Vec<T>, TrustedRootError> {
    let Some(node) = object.get(key).filter(|node| !node.is_null()) else { return Ok(Vec::new()) };
    let items = node.list()?;
    if items.len() > limits::CERTIFICATES {
        return Err(TrustedRootError::TooMany { path: node.path(), found: items.len() });
    }
    items.map(parse).collect()
}

fn authority(node: Node<'_>) -> Result<Authorities, TrustedRootError> {
    let (chain, window) = chain(node)?;
    Authorities::of_chain(&chain, window)
        .map_err(|source| TrustedRootError::Certificate { path: node.path(), source })
}

fn clock(node: Node<'_>) -> Result<Clock, TrustedRootError> {
    let (chain, window) = chain(node)?;
    Clock::new(&chain, window)
        .map_err(|source| TrustedRootError::Certificate { path: node.path(), source })
}

/// A chain of DER certificates and the time of its use.
fn chain(node: Node<'_>) -> Result<(Vec<Vec<u8>>, Window), TrustedRootError> {
    let object = node.object()?.only(&["certChain", "operator", "subject", "uri", "validFor"])?;
    let chain = object.require("certChain")?.object()?.only(&["certificates"])?;
    let certificate = |node: Node<'_>| Ok(certificate(node)?);
    Ok((each(&chain, "certificates", certificate)?, Window::parse(&object)?))
}

fn log(node: Node<'_>) -> Result<Log, TrustedRootError> {
    let object = node.object()?.only(&[
        "baseUrl",
        "checkpointKeyId",
        "hashAlgorithm",
        "logId",
        "operator",
        "publicKey",
    ])?;
    let hash = object.require("hashAlgorithm")?;
    if hash.string()? != "SHA2_256" {
        return Err(hash.unexpected("SHA2_256").into());
    }
    let key = object.require("publicKey")?;
    let members = key.object()?.only(&["keyDetails", "rawBytes", "validFor"])?;
    let parsed = PublicKey::from_der(&members.require("rawBytes")?.bytes()?);
    let parsed = parsed.map_err(|source| TrustedRootError::Key { path: key.path(), source })?;
    let window = Window::parse(&members)?;
    let Some(id) = object.get("logId").filter(|node| !node.is_null()) else {
        return Ok(Log::new(parsed, window));
    };
    let id = id.object()?.only(&["keyId"])?;
    let id = id.require("keyId")?;
    let bytes = id.bytes()?.try_into().ok();
    let bytes = bytes.ok_or_else(|| id.unexpected("32 bytes in base64"))?;
    Ok(Log::named(bytes, parsed, window))
}

/// Why a text is no trusted root that can be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TrustedRootError {
    /// A certificate is malformed, or there is none.
    #[error("{path}")]
    Certificate {
        /// The authority.
        path: KeyPath,
        /// What is wrong.
        source: CertificateError,
    },
    /// Not JSON of the right shape.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// The key of a log cannot be used.
    #[error("{path}")]
    Key {
        /// The key.
        path: KeyPath,
        /// What is wrong with it.
        source: KeyError,
    },
    /// Another kind of document.
    #[error("is of the type `{found}`, expected `{MEDIA_TYPE}+json;version=0.1`")]
    MediaType {
        /// Its type.
        found: String,
    },
    /// Nobody in it could say when a signature was made.
    #[error("names neither a log (`tlogs`) nor a time-stamping authority")]
    NoWitness,
    /// More of something than any real trusted root has.
    #[error("{path}: {found} items, the limit is {}", limits::CERTIFICATES)]
    TooMany {
        /// The list.
        path: KeyPath,
        /// How many.
        found: usize,
    },
}
