//! The keys of a run, good and bad, and what is signed with them.

use std::path::{Path, PathBuf};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pullgate_tests::place;
use pullgate_tests::signer::{Algorithm, Signer, payload};
use rcgen::KeyPair;
use serde_json::{Value, json};
use tempfile::TempDir;

/// Every key of a run.
pub(crate) struct Keys {
    openpgp: Vec<(Signer, PathBuf)>,
    sigstore: Vec<(KeyPair, PathBuf)>,
    _directory: TempDir,
}

impl Keys {
    pub(crate) fn new() -> Self {
        let signers = [
            Signer::new(),
            Signer::with(Algorithm::Rsa3072),
            Signer::new(),
            Signer::expired(),
            Signer::revoked(),
        ];
        let openpgp = signers.into_iter().map(|signer| {
            let path = signer.public_key();
            (signer, path)
        });
        let directory = place::on_disk("keys");
        let sigstore = (0..3).map(|number| {
            let key = KeyPair::generate().expect("a key");
            let path = directory.path().join(format!("{number}.pub"));
            std::fs::write(&path, key.public_key_pem()).expect("a file");
            (key, path)
        });
        let (openpgp, sigstore) = (openpgp.collect(), sigstore.collect());
        Self { openpgp, sigstore, _directory: directory }
    }

    pub(crate) fn openpgp(&self) -> Vec<&Path> {
        self.openpgp.iter().map(|(_, path)| path.as_path()).collect()
    }

    pub(crate) fn sigstore(&self) -> Vec<&Path> {
        self.sigstore.iter().map(|(_, path)| path.as_path()).collect()
    }

    /// A simple-signing message.
    pub(crate) fn sign(&self, key: usize, digest: &str, reference: &str) -> Vec<u8> {
        self.openpgp[key].0.sign(digest, reference)
    }

    /// What cosign would attach: the payload, and the annotation with its signature.
    pub(crate) fn attach(&self, key: usize, digest: &str, reference: &str) -> (Vec<u8>, String) {
        let mut payload: Value = payload(digest, reference);
        payload["critical"]["type"] = json!("cosign container image signature");
        let payload = payload.to_string().into_bytes();
        let der = self.sigstore[key].0.serialize_der();
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &der);
        let signature = pair.expect("a key").sign(&SystemRandom::new(), &payload);
        (payload, STANDARD.encode(signature.expect("a signature").as_ref()))
    }
}
