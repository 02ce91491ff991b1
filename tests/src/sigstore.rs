//! What cosign signs, signed here: with keys of P-256, without its program.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair};
use rcgen::KeyPair;
use serde_json::json;

use crate::signer::payload;

/// The annotation with the signature.
pub const SIGNATURE: &str = "dev.cosignproject.cosign/signature";

/// The media type of a payload.
pub const PAYLOAD: &str = "application/vnd.dev.cosign.simplesigning.v1+json";

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
