//! The JSON of a bundle: protobuf's mapping, in the spelling that signers write.

use super::{Bundle, BundleError, Content, LoggedEntry, Material, Promise};
use crate::digest::Digest;
use crate::limits;
use crate::signature::sigstore::inclusion::Proof;
use crate::strict::{JsonError, Node, Object, excerpt, json};

/// The media types of version 0.3.
pub(super) const MEDIA_TYPES: [&str; 2] = [
    "application/vnd.dev.sigstore.bundle.v0.3+json",
    "application/vnd.dev.sigstore.bundle+json;version=0.3",
];

/// The only kind of envelope that speaks of images.
const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";

impl Bundle {
    /// Parses a bundle. Hints at the key are dropped: nothing vouches for them.
    ///
    /// # Errors
    /// [`BundleError`].
    pub fn parse(text: &[u8]) -> Result<Self, BundleError> {
        let document = json(text)?;
        let object = document.root().object()?.only(&[
            "dsseEnvelope",
            "mediaType",
            "messageSignature",
            "verificationMaterial",
        ])?;
        let media_type = object.require("mediaType")?.string()?;
        if !MEDIA_TYPES.contains(&media_type) {
            return Err(BundleError::MediaType { found: excerpt(media_type) });
        }
        let content = match (object.get("dsseEnvelope"), object.get("messageSignature")) {
            (Some(node), None) => envelope(node)?,
            (None, Some(node)) => message(node)?,
            (Some(_), Some(_)) | (None, None) => return Err(BundleError::Content),
        };
        let object = object.require("verificationMaterial")?.object()?.only(&[
            "certificate",
            "publicKey",
            "timestampVerificationData",
            "tlogEntries",
            "x509CertificateChain",
        ])?;
        let entries = match present(&object, "tlogEntries") {
            Some(node) => bounded(&node)?.map(entry).collect::<Result<_, _>>()?,
            None => Vec::new(),
        };
        let timestamps = timestamps(&object)?;
        Ok(Self { content, material: material(&object)?, entries, timestamps })
    }
}

fn envelope(node: Node<'_>) -> Result<Content, BundleError> {
    let object = node.object()?.only(&["payload", "payloadType", "signatures"])?;
    let payload_type = object.require("payloadType")?.string()?;
    if payload_type != PAYLOAD_TYPE {
        return Err(BundleError::PayloadType { found: excerpt(payload_type) });
    }
    let signatures = object.require("signatures")?;
    let mut signatures = signatures.list()?;
    let (Some(one), None) = (signatures.next(), signatures.next()) else {
        return Err(BundleError::NotOneSignature);
    };
    let signature = one.object()?.only(&["keyid", "sig"])?.require("sig")?.bytes()?;
    let payload = object.require("payload")?.bytes()?;
    if payload.len() > limits::PAYLOAD_BYTES {
        return Err(BundleError::TooMuch { what: "payload" });
    }
    let head = format!("DSSEv1 {} {PAYLOAD_TYPE} {} ", PAYLOAD_TYPE.len(), payload.len());
    let signed = [head.as_bytes(), &payload].concat();
    Ok(Content::Statement { payload, signed, signature })
}

fn message(node: Node<'_>) -> Result<Content, BundleError> {
    let object = node.object()?.only(&["messageDigest", "signature"])?;
    let digest = object.require("messageDigest")?.object()?.only(&["algorithm", "digest"])?;
    let algorithm = digest.require("algorithm")?.string()?;
    if algorithm != "SHA2_256" {
        return Err(BundleError::Algorithm { found: excerpt(algorithm) });
    }
    let digest = digest.require("digest")?;
    let bytes = digest.bytes()?;
    let parsed: Option<Digest> = format!("sha256:{}", hex::encode(bytes)).parse().ok();
    let digest = parsed.ok_or_else(|| digest.unexpected("32 bytes in base64"))?;
    Ok(Content::Message { digest, signature: object.require("signature")?.bytes()? })
}

fn material(object: &Object<'_>) -> Result<Material, BundleError> {
    let parts = ["certificate", "publicKey", "x509CertificateChain"].map(|key| object.get(key));
    match parts {
        [Some(one), None, None] => Ok(Material::Certificates(vec![certificate(one)?])),
        [None, Some(key), None] => {
            key.object()?.only(&["hint"])?;
            Ok(Material::PublicKey)
        }
        [None, None, Some(chain)] => {
            let chain = chain.object()?.only(&["certificates"])?;
            let chain = chain.require("certificates")?;
            let chain = bounded(&chain)?.map(certificate).collect::<Result<Vec<_>, _>>()?;
            Ok(Material::Certificates(chain))
        }
        _ => Err(BundleError::Material),
    }
}

/// The DER bytes of a certificate.
pub(in super::super) fn certificate(node: Node<'_>) -> Result<Vec<u8>, JsonError> {
    node.object()?.only(&["rawBytes"])?.require("rawBytes")?.bytes()
}

fn entry(node: Node<'_>) -> Result<LoggedEntry, BundleError> {
    let object = node.object()?.only(&[
        "canonicalizedBody",
        "inclusionPromise",
        "inclusionProof",
        "integratedTime",
        "kindVersion",
        "logId",
        "logIndex",
    ])?;
    let kind = object.require("kindVersion")?.object()?.only(&["kind", "version"])?;
    let promise = match present(&object, "inclusionPromise") {
        Some(node) => {
            let promise = node.object()?.only(&["signedEntryTimestamp"])?;
            Some(Promise {
                signature: promise.require("signedEntryTimestamp")?.bytes()?,
                integrated_time: int64(&object, "integratedTime")?,
                log_index: int64(&object, "logIndex")?,
            })
        }
        None => None,
    };
    Ok(LoggedEntry {
        kind: format!("{} {}", kind.require("kind")?.string()?, kind.require("version")?.string()?),
        log_id: object.require("logId")?.object()?.only(&["keyId"])?.require("keyId")?.bytes()?,
        body: object.require("canonicalizedBody")?.bytes()?,
        proof: present(&object, "inclusionProof").map(proof).transpose()?,
        promise,
    })
}

fn proof(node: Node<'_>) -> Result<Proof, BundleError> {
    let object =
        node.object()?.only(&["checkpoint", "hashes", "logIndex", "rootHash", "treeSize"])?;
    let checkpoint = object.require("checkpoint")?.object()?.only(&["envelope"])?;
    let hashes = match present(&object, "hashes") {
        Some(node) if node.list()?.len() > limits::PROOF_HASHES => {
            return Err(BundleError::TooMuch { what: "inclusion proof" });
        }
        Some(node) => node.list()?.map(hash).collect::<Result<_, _>>()?,
        None => Vec::new(),
    };
    Ok(Proof {
        index: uint64(&object, "logIndex")?,
        size: uint64(&object, "treeSize")?,
        root: hash(object.require("rootHash")?)?,
        hashes,
        checkpoint: checkpoint.require("envelope")?.string()?.to_owned(),
    })
}

fn hash(node: Node<'_>) -> Result<[u8; 32], JsonError> {
    let hash = node.bytes()?.try_into().ok();
    hash.ok_or_else(|| node.unexpected("32 bytes in base64"))
}

fn timestamps(material: &Object<'_>) -> Result<Vec<Vec<u8>>, BundleError> {
    let Some(node) = present(material, "timestampVerificationData") else { return Ok(Vec::new()) };
    let object = node.object()?.only(&["rfc3161Timestamps"])?;
    let Some(list) = present(&object, "rfc3161Timestamps") else { return Ok(Vec::new()) };
    let token = |node: Node<'_>| {
        node.object()?.only(&["signedTimestamp"])?.require("signedTimestamp")?.bytes()
    };
    Ok(bounded(&list)?.map(token).collect::<Result<_, _>>()?)
}

/// A member that is there and not null: protobuf's mapping takes null for absent.
fn present<'a>(object: &'a Object<'a>, key: &'a str) -> Option<Node<'a>> {
    object.get(key).filter(|node| !node.is_null())
}

/// A list of log entries, timestamps or certificates.
fn bounded<'a>(node: &'a Node<'a>) -> Result<impl Iterator<Item = Node<'a>>, BundleError> {
    let items = node.list()?;
    if items.len() > limits::BUNDLE_PARTS {
        return Err(BundleError::TooMuch { what: "a list of more than 32 items" });
    }
    Ok(items)
}

/// Protobuf's mapping writes 64 bits as a string, and leaves zero out.
fn int64(object: &Object<'_>, key: &'static str) -> Result<i64, JsonError> {
    let Some(node) = object.get(key).filter(|node| !node.is_null()) else { return Ok(0) };
    let Ok(text) = node.string() else { return node.integer() };
    let number = text.parse::<i64>().ok().filter(|number| number.to_string() == text);
    number.ok_or_else(|| node.unexpected("an integer"))
}

fn uint64(object: &Object<'_>, key: &'static str) -> Result<u64, JsonError> {
    let number = u64::try_from(int64(object, key)?).ok();
    number.ok_or_else(|| match object.require(key) {
        Ok(node) => node.unexpected("an integer that is not negative"),
        Err(missing) => missing,
    })
}
