//! The keys, certificates and logs of a run, good and bad, and what is signed with them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Mutex;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pullgate_policy::digest::Digest;
use pullgate_tests::place;
use pullgate_tests::signer::{Algorithm, Signer};
use pullgate_tests::sigstore::sign;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, CustomExtension, ExtendedKeyUsagePurpose,
    IsCa, KeyPair, KeyUsagePurpose, SanType,
};
use serde_json::json;
use tempfile::TempDir;

use crate::plan::Count;

/// Every key of a run.
pub(crate) struct Keys {
    openpgp: Vec<(Signer, PathBuf)>,
    sigstore: Vec<KeyPair>,
    logs: Vec<KeyPair>,
    certificates: Vec<(KeyPair, String)>,
    directory: TempDir,
    /// gpg is slow, and cases that are shrunk sign the same again and again.
    signed: Mutex<BTreeMap<(usize, String, String), Vec<u8>>>,
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
        let pairs = |count| (0..count).map(|_| KeyPair::generate().expect("a key")).collect();
        let (good, other) = (authority("authority"), authority("another authority"));
        let keys = Self {
            openpgp: openpgp.collect(),
            sigstore: pairs(3),
            logs: pairs(2),
            certificates: certificates(&good, &other),
            directory: place::on_disk("keys"),
            signed: Mutex::default(),
        };
        for (number, key) in keys.sigstore.iter().enumerate() {
            keys.write(&format!("SIGSTORE{number}"), &key.public_key_pem());
        }
        for (number, key) in keys.logs.iter().enumerate() {
            keys.write(&format!("LOG{number}"), &key.public_key_pem());
        }
        keys.write("ROOTS", &good.pem());
        keys
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.directory.path().join(name), text).expect("a file");
    }

    pub(crate) fn count(&self) -> Count {
        Count {
            openpgp: self.openpgp.len(),
            sigstore: self.sigstore.len(),
            certificates: self.certificates.len(),
        }
    }

    /// Fills in the paths of keys, and their contents.
    pub(crate) fn fill(&self, mut text: String) -> String {
        let openpgp = self.openpgp.iter().enumerate();
        let openpgp = openpgp.map(|(number, (_, path))| (format!("OPENPGP{number}"), path.clone()));
        let numbered = |name: &str, count: usize| {
            let name = name.to_owned();
            (0..count).map(move |number| format!("{name}{number}"))
        };
        let written = numbered("SIGSTORE", self.sigstore.len())
            .chain(numbered("LOG", self.logs.len()))
            .chain(["ROOTS".to_owned()]);
        let written = written.map(|name| (name.clone(), self.directory.path().join(name)));
        for (name, path) in openpgp.chain(written) {
            text = text.replace(&format!("@{name}@"), &path.display().to_string());
            let place = format!("@DATA-{name}@");
            if text.contains(&place) {
                let data = STANDARD.encode(std::fs::read(&path).expect("a key"));
                text = text.replace(&place, &data);
            }
        }
        text
    }

    /// A simple-signing message.
    pub(crate) fn sign(&self, key: usize, digest: &str, reference: &str) -> Vec<u8> {
        let mut signed = self.signed.lock().expect("no signing panics");
        let message = signed
            .entry((key, digest.to_owned(), reference.to_owned()))
            .or_insert_with(|| self.openpgp[key].0.sign(digest, reference));
        message.clone()
    }

    /// The key of a signer, and the text that a log names it by.
    pub(crate) fn sigstore(&self, key: usize) -> (&KeyPair, String) {
        (&self.sigstore[key], self.sigstore[key].public_key_pem())
    }

    /// The key of a certificate, and the certificate.
    pub(crate) fn certificate(&self, number: usize) -> (&KeyPair, String) {
        let (key, certificate) = &self.certificates[number];
        (key, certificate.clone())
    }

    /// The log's promise that it recorded a signature.
    pub(crate) fn recorded(
        &self,
        log: usize,
        material: &str,
        signature: &[u8],
        payload: &[u8],
    ) -> String {
        let body = json!({
            "apiVersion": "0.0.1",
            "kind": "hashedrekord",
            "spec": {
                "data": {"hash": {"algorithm": "sha256", "value": Digest::sha256(payload).hex()}},
                "signature": {
                    "content": STANDARD.encode(signature),
                    "publicKey": {"content": STANDARD.encode(material)},
                },
            },
        });
        let body = STANDARD.encode(body.to_string());
        let entry =
            format!(r#"{{"body":"{body}","integratedTime":1700000000,"logID":"id","logIndex":7}}"#);
        let promise = STANDARD.encode(sign(&self.logs[log], entry.as_bytes()));
        format!(r#"{{"SignedEntryTimestamp":"{promise}","Payload":{entry}}}"#)
    }
}

fn authority(name: &str) -> CertifiedIssuer<'static, KeyPair> {
    let mut parameters = CertificateParams::new([]).expect("valid parameters");
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    parameters.distinguished_name.push(rcgen::DnType::CommonName, name);
    CertifiedIssuer::self_signed(parameters, KeyPair::generate().expect("a key"))
        .expect("a certificate")
}

/// The first is as it must be.
fn certificates(
    good: &CertifiedIssuer<'static, KeyPair>,
    other: &CertifiedIssuer<'static, KeyPair>,
) -> Vec<(KeyPair, String)> {
    let code_signing = [ExtendedKeyUsagePurpose::CodeSigning];
    let server = [ExtendedKeyUsagePurpose::ServerAuth];
    let (email, issuer) = ("release@example.com", "https://login.example");
    [
        (email, issuer, &code_signing, good),
        ("other@example.com", issuer, &code_signing, good),
        (email, "https://other.example", &code_signing, good),
        (email, issuer, &server, good),
        (email, issuer, &code_signing, other),
    ]
    .map(|(email, issuer, usage, authority)| {
        let mut leaf = CertificateParams::new([]).expect("valid parameters");
        leaf.subject_alt_names = vec![
            SanType::Rfc822Name(email.try_into().expect("ASCII")),
            SanType::DnsName("build.example.com".try_into().expect("ASCII")),
        ];
        leaf.extended_key_usages = usage.to_vec();
        leaf.custom_extensions = vec![CustomExtension::from_oid_content(
            &[1, 3, 6, 1, 4, 1, 57264, 1, 1],
            issuer.as_bytes().to_vec(),
        )];
        let key = KeyPair::generate().expect("a key");
        let certificate = leaf.signed_by(&key, authority).expect("a certificate").pem();
        (key, certificate)
    })
    .into()
}
