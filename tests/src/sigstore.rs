//! What cosign signs, signed here: with keys of P-256, without its program.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::KeyPair;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::signer::payload;

/// The annotation with the signature.
pub const SIGNATURE: &str = "dev.cosignproject.cosign/signature";

/// The media type of a payload.
pub const PAYLOAD: &str = "application/vnd.dev.cosign.simplesigning.v1+json";

/// The media type of a bundle.
pub const BUNDLE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";

/// A payload: that `digest` is `reference`.
#[must_use]
pub fn cosign_payload(digest: &str, reference: &str) -> Vec<u8> {
    let mut payload = payload(digest, reference);
    payload["critical"]["type"] = json!("cosign container image signature");
    payload.to_string().into_bytes()
}

/// A signature of P-256 keys.
#[must_use]
pub fn sign(key: &KeyPair, message: &[u8]) -> Vec<u8> {
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &key.serialize_der());
    let signature = pair.expect("a key").sign(&SystemRandom::new(), message);
    signature.expect("a signature").as_ref().to_vec()
}

/// What cosign 3 makes of the manifest `digest`, with neither log nor timestamp.
#[must_use]
pub fn bundle(key: &KeyPair, digest: &str) -> Value {
    let (_, hex) = digest.split_once(':').expect("a digest");
    let statement = json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"digest": {"sha256": hex}}],
        "predicateType": "https://sigstore.dev/cosign/sign/v1",
        "predicate": {},
    })
    .to_string();
    let signed = enveloped(&statement);
    json!({
        "mediaType": BUNDLE,
        "verificationMaterial": {"publicKey": {"hint": "any"}, "tlogEntries": []},
        "dsseEnvelope": {
            "payload": STANDARD.encode(&statement),
            "payloadType": "application/vnd.in-toto+json",
            "signatures": [{"sig": STANDARD.encode(sign(key, signed.as_bytes()))}],
        },
    })
}

/// A signature over `message` itself, with neither log nor timestamp.
#[must_use]
pub fn message_bundle(message: &[u8], signature: &[u8]) -> Value {
    let digest = STANDARD.encode(Sha256::digest(message));
    json!({
        "mediaType": BUNDLE,
        "verificationMaterial": {"publicKey": {"hint": "any"}, "tlogEntries": []},
        "messageSignature": {
            "messageDigest": {"algorithm": "SHA2_256", "digest": digest},
            "signature": STANDARD.encode(signature),
        },
    })
}

/// What the signature of an envelope is over (DSSE).
#[must_use]
pub fn enveloped(payload: &str) -> String {
    let kind = "application/vnd.in-toto+json";
    format!("DSSEv1 {} {kind} {} {payload}", kind.len(), payload.len())
}
