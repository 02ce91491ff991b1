use std::time::Duration;

use ::base64::Engine as _;
use ::base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;
use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P384_SHA384};
use serde_json::{Value, json};

use super::*;
use crate::identity::SignedIdentity;
use crate::signature::FoundIn;
use crate::signature::sigstore::tests::{Bench, EMAIL, IMAGE, account, now, public, sign};
use crate::signature::sigstore::{
    CertificateError, InclusionError, Subject, TrustedRoot, TrustedRootError, Window,
};

mod log;
mod real;

const TIME: i64 = 1_700_000_000;
const SIGN: &str = "https://sigstore.dev/cosign/sign/v1";

fn manifest() -> Digest {
    Digest::sha256(b"manifest")
}

fn statement(predicate: &str, digest: &str) -> Vec<u8> {
    json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"digest": {"sha256": digest}}],
        "predicateType": predicate,
        "predicate": {},
    })
    .to_string()
    .into_bytes()
}

fn encoded(bytes: &[u8]) -> Value {
    json!(STANDARD.encode(bytes))
}

/// How a bundle is made: the parts are honest, whatever they say.
struct Recipe<'a> {
    bench: &'a Bench,
    payload: Vec<u8>,
    material: Value,
    /// The PEM that the log records.
    recorded: String,
    time: i64,
}

impl<'a> Recipe<'a> {
    fn by_certificate(bench: &'a Bench) -> Self {
        let der = ::pem::parse(&bench.certificate).unwrap().into_contents();
        Self {
            bench,
            payload: statement(SIGN, manifest().hex()),
            material: json!({"certificate": {"rawBytes": STANDARD.encode(der)}}),
            recorded: bench.certificate.clone(),
            time: TIME,
        }
    }

    fn by_key(bench: &'a Bench) -> Self {
        Self {
            material: json!({"publicKey": {"hint": "any"}}),
            recorded: bench.signer.public_key_pem(),
            ..Self::by_certificate(bench)
        }
    }

    fn envelope(&self) -> Value {
        let kind = "application/vnd.in-toto+json";
        let head = format!("DSSEv1 {} {kind} {} ", kind.len(), self.payload.len());
        let signature = sign(&self.bench.signer, &[head.as_bytes(), &self.payload].concat());
        json!({
            "payload": STANDARD.encode(&self.payload),
            "payloadType": kind,
            "signatures": [{"sig": STANDARD.encode(signature), "keyid": ""}],
        })
    }

    /// A bundle with an envelope and an entry of the log.
    fn signed(&self) -> Value {
        let envelope = self.envelope();
        let spec = json!({
            "envelopeHash": {"algorithm": "sha256", "value": "00"},
            "payloadHash": {"algorithm": "sha256", "value": Digest::sha256(&self.payload).hex()},
            "signatures": [{
                "signature": envelope["signatures"][0]["sig"],
                "verifier": STANDARD.encode(&self.recorded),
            }],
        });
        let entry = self.entry("dsse", &spec);
        self.bundle("dsseEnvelope", &envelope, &entry)
    }

    /// A bundle with a signature over the manifest itself.
    fn message(&self) -> Value {
        let signature = STANDARD.encode(sign(&self.bench.signer, b"manifest"));
        let spec = json!({
            "data": {"hash": {"algorithm": "sha256", "value": manifest().hex()}},
            "signature": {
                "content": signature,
                "publicKey": {"content": STANDARD.encode(&self.recorded)},
            },
        });
        let digest = STANDARD.encode(hex::decode(manifest().hex()).unwrap());
        let content = json!({
            "messageDigest": {"algorithm": "SHA2_256", "digest": digest},
            "signature": signature,
        });
        self.bundle("messageSignature", &content, &self.entry("hashedrekord", &spec))
    }

    fn bundle(&self, kind: &str, content: &Value, entry: &Value) -> Value {
        let mut material = self.material.clone();
        material["tlogEntries"] = json!([entry]);
        json!({
            "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
            "verificationMaterial": material,
            kind: content,
        })
    }

    fn entry(&self, kind: &str, spec: &Value) -> Value {
        let body = json!({"apiVersion": "0.0.1", "kind": kind, "spec": spec}).to_string();
        let log = public(&self.bench.log);
        let id = hex::encode(log.id());
        let promised = format!(
            r#"{{"body":"{}","integratedTime":{},"logID":"{id}","logIndex":7}}"#,
            STANDARD.encode(&body),
            self.time
        );
        let mut entry = json!({
            "logIndex": "7",
            "logId": {"keyId": STANDARD.encode(log.id())},
            "kindVersion": {"kind": kind, "version": "0.0.1"},
            "integratedTime": self.time.to_string(),
            "inclusionPromise": {
                "signedEntryTimestamp": encoded(&sign(&self.bench.log, promised.as_bytes())),
            },
            "canonicalizedBody": STANDARD.encode(&body),
        });
        entry["inclusionProof"] = proof(&self.bench.log, body.as_bytes());
        entry
    }
}

/// The proof for the second of three entries.
fn proof(log: &KeyPair, body: &[u8]) -> Value {
    use sigstore_merkle::{hash_children, hash_leaf};
    let (first, third) = (hash_leaf(b"first"), hash_leaf(b"third"));
    let root = hash_children(&hash_children(&first, &hash_leaf(body)), &third);
    json!({
        "logIndex": "1",
        "rootHash": STANDARD.encode(root.as_bytes()),
        "treeSize": "3",
        "hashes": [STANDARD.encode(first.as_bytes()), STANDARD.encode(third.as_bytes())],
        "checkpoint": {"envelope": checkpoint(log, "log.example", 3, root.as_bytes())},
    })
}

fn checkpoint(log: &KeyPair, name: &str, size: u64, root: &[u8]) -> String {
    let head = format!("log.example - 1\n{size}\n{}\n", STANDARD.encode(root));
    let line = [&public(log).id()[..4], &sign(log, head.as_bytes())].concat();
    format!("{head}\n\u{2014} {name} {}\n", STANDARD.encode(line))
}

fn found_in(repository: &str) -> FoundIn {
    let physical = Reference::parse(repository).unwrap();
    FoundIn::new(&Reference::parse(IMAGE).unwrap(), &physical)
}

fn check_text(text: Vec<u8>, root: &Root) -> Result<Signer, SignatureFault> {
    let (manifest, image) = (manifest(), Reference::parse(IMAGE).unwrap());
    let identity = SignedIdentity::MatchRepository;
    let claim = Claim { manifest: &manifest, identity: &identity, image: Some(&image) };
    verify(&UntrustedBundle { text, found_in: found_in(IMAGE) }, root, &claim, now())
}

fn check(bundle: &Value, root: &Root) -> Result<Signer, SignatureFault> {
    check_text(bundle.to_string().into_bytes(), root)
}

fn fault(bundle: &Value, root: &Root) -> SigstoreError {
    match check(bundle, root) {
        Err(SignatureFault::Sigstore(fault)) => fault,
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_kind_of_root_accepts_what_leads_back_to_it() {
    let bench = Bench::new();
    let key = Root::Keys(vec![public(&bench.signer)]);
    let email = Some(EMAIL.to_owned());
    let subject = Subject::Named { email, hostname: None };
    let pki = Root::Pki { authorities: bench.authorities(), subject };
    let (by_key, by_certificate) = (Recipe::by_key(&bench), Recipe::by_certificate(&bench));
    for bundle in [by_key.signed(), by_key.message()] {
        assert_eq!(check(&bundle, &key).unwrap().fingerprint, public(&bench.signer).fingerprint());
        check(&bundle, &bench.logged_key()).unwrap();
        assert_eq!(fault(&bundle, &bench.fulcio()), SigstoreError::NoCertificate);
        assert_eq!(fault(&bundle, &pki), SigstoreError::NoCertificate);
    }
    for bundle in [by_certificate.signed(), by_certificate.message()] {
        let signer = check(&bundle, &bench.fulcio()).unwrap();
        assert_eq!(signer.name.as_deref(), Some("release@example.com (https://login.example)"));
        assert_eq!(check(&bundle, &pki).unwrap().name.as_deref(), Some(EMAIL));
    }
    let mut chain = by_certificate.signed();
    let leaf = chain["verificationMaterial"]["certificate"].take();
    chain["verificationMaterial"].as_object_mut().unwrap().remove("certificate");
    chain["verificationMaterial"]["x509CertificateChain"] = json!({"certificates": [leaf]});
    check(&chain, &bench.fulcio()).unwrap();
    chain["verificationMaterial"]["x509CertificateChain"] = json!({"certificates": []});
    assert_eq!(
        fault(&chain, &bench.fulcio()),
        SigstoreError::Certificate(CertificateError::NoCertificate)
    );
}

#[test]
fn a_promise_or_a_proof_is_enough_but_only_a_promise_tells_the_time() {
    let bench = Bench::new();
    let without = |mut bundle: Value, parts: &[&str]| {
        let entry = &mut bundle["verificationMaterial"]["tlogEntries"][0];
        for part in parts {
            entry.as_object_mut().unwrap().remove(*part);
        }
        bundle
    };
    let by_key = Recipe::by_key(&bench).signed();
    let by_certificate = Recipe::by_certificate(&bench).signed();
    check(&without(by_key.clone(), &["inclusionPromise"]), &bench.logged_key()).unwrap();
    check(&without(by_key.clone(), &["inclusionProof"]), &bench.logged_key()).unwrap();
    check(&without(by_certificate.clone(), &["inclusionProof"]), &bench.fulcio()).unwrap();
    let untimed = without(by_certificate, &["inclusionPromise"]);
    let missing = SigstoreError::Timestamp(TimestampError::Missing);
    assert_eq!(fault(&untimed, &bench.fulcio()), missing);
    let nothing = without(by_key, &["inclusionPromise", "inclusionProof"]);
    let unproven = SigstoreError::Log(LogError::NoProof);
    assert_eq!(fault(&nothing, &bench.logged_key()), unproven);
}

/// A fault that a changed bundle has to end in.
type Expected = fn(&SigstoreError) -> bool;

/// `pointer` is set to `value`, and the fault is the one that is expected.
#[test]
fn each_check_of_the_form_has_its_fault() {
    use SigstoreError::Bundle;
    let bench = Bench::new();
    let one = json!({"sig": "YQ=="});
    let rows: [(&str, Value, Expected); 11] = [
        ("/mediaType", json!("application/vnd.dev.sigstore.bundle+json;version=0.1"), |fault| {
            matches!(fault, Bundle(BundleError::MediaType { .. }))
        }),
        ("/more", json!(1), |fault| matches!(fault, Bundle(BundleError::Json(_)))),
        ("/messageSignature", json!({}), |fault| matches!(fault, Bundle(BundleError::Content))),
        ("/dsseEnvelope/payloadType", json!("text/plain"), |fault| {
            matches!(fault, Bundle(BundleError::PayloadType { .. }))
        }),
        ("/dsseEnvelope/signatures", json!([]), |fault| {
            matches!(fault, Bundle(BundleError::NotOneSignature))
        }),
        ("/dsseEnvelope/signatures", json!([one, one]), |fault| {
            matches!(fault, Bundle(BundleError::NotOneSignature))
        }),
        ("/verificationMaterial/publicKey", json!({"hint": ""}), |fault| {
            matches!(fault, Bundle(BundleError::Material))
        }),
        ("/verificationMaterial/tlogEntries", json!(vec![Value::Null; 33]), |fault| {
            matches!(fault, Bundle(BundleError::TooMuch { .. }))
        }),
        (
            "/verificationMaterial/tlogEntries/0/inclusionProof/hashes",
            json!(vec!["YQ=="; 65]),
            |fault| matches!(fault, Bundle(BundleError::TooMuch { .. })),
        ),
        ("/verificationMaterial/tlogEntries/0/integratedTime", json!("01"), |fault| {
            matches!(fault, Bundle(BundleError::Json(_)))
        }),
        ("/dsseEnvelope/payload", encoded(&vec![b' '; (1 << 20) + 1]), |fault| {
            matches!(fault, Bundle(BundleError::TooMuch { .. }))
        }),
    ];
    for (pointer, value, expected) in rows {
        let mut bundle = Recipe::by_certificate(&bench).signed();
        set(&mut bundle, pointer, value);
        let found = fault(&bundle, &bench.fulcio());
        assert!(expected(&found), "{pointer}: {found:?}");
    }
}

fn set(document: &mut Value, pointer: &str, value: Value) {
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    let parent = document.pointer_mut(parent).unwrap();
    match key.parse::<usize>() {
        Ok(index) => parent[index] = value,
        Err(_) => parent[key] = value,
    }
}

#[test]
fn only_a_signature_for_this_manifest_in_this_repository_counts() {
    let bench = Bench::new();
    let root = Root::Keys(vec![public(&bench.signer)]);
    let stating = |payload: Vec<u8>| Recipe { payload, ..Recipe::by_key(&bench) }.signed();
    let text = |fault: SignatureFault| fault.to_string();
    let other = Digest::sha256(b"other");
    let vulnerabilities = "https://cosign.sigstore.dev/attestation/vuln/v1";
    for (payload, expected) in [
        (statement(SIGN, other.hex()), format!("signs {other}, the image's manifest is {}", manifest())),
        (statement(SIGN, "0"), "the statement's sha256".to_owned()),
        (
            statement(vulnerabilities, manifest().hex()),
            format!("is an attestation of the type `{vulnerabilities}`, not a signature"),
        ),
        (
            format!(r#"{{"_type":"https://in-toto.io/Statement/v1","predicateType":"{SIGN}","subject":[{{"digest":{{"sha512":"00"}}}}]}}"#).into_bytes(),
            "names no subject by its SHA-256 digest".to_owned(),
        ),
        (
            format!(r#"{{"_type":"https://in-toto.io/Statement/v1","predicateType":"{SIGN}","subject":[{}]}}"#, vec!["{}"; 1025].join(",")).into_bytes(),
            "has 1025 subjects, the limit is 1024".to_owned(),
        ),
        (
            br#"{"_type":"https://in-toto.io/Statement/v0.1"}"#.to_vec(),
            "is of the type `https://in-toto.io/Statement/v0.1`, expected `https://in-toto.io/Statement/v1`".to_owned(),
        ),
        (b"[]".to_vec(), "the statement".to_owned()),
    ] {
        assert_eq!(text(check(&stating(payload), &root).unwrap_err()), expected);
    }
    let bundle = Recipe::by_key(&bench).signed().to_string().into_bytes();
    let (manifest, image) = (manifest(), Reference::parse(IMAGE).unwrap());
    let repository = |name: &str| SignedIdentity::exact_repository(name).unwrap();
    for (place, identity, accepted) in [
        (IMAGE, SignedIdentity::MatchRepository, true),
        (IMAGE, repository("registry.example/app"), true),
        ("mirror.example/app", SignedIdentity::MatchRepository, true),
        ("mirror.example/cache/app", SignedIdentity::MatchRepository, false),
        ("mirror.example/cache/app", repository("registry.example/app"), false),
        ("mirror.example/cache/app", repository("mirror.example/cache/app"), true),
        (IMAGE, repository("registry.example/other"), false),
        (IMAGE, SignedIdentity::MatchExact, false),
        (IMAGE, SignedIdentity::MatchRepoDigestOrExact, false),
        (IMAGE, SignedIdentity::exact_reference(IMAGE).unwrap(), false),
    ] {
        let claim = Claim { manifest: &manifest, identity: &identity, image: Some(&image) };
        let bundle = UntrustedBundle { text: bundle.clone(), found_in: found_in(place) };
        let found = verify(&bundle, &root, &claim, now());
        assert_eq!(found.is_ok(), accepted, "{place} {identity:?}: {found:?}");
        if let Err(fault) = found {
            assert!(matches!(fault, SignatureFault::Place { .. }), "{fault}");
        }
    }
}

/// The hash that belongs to P-384 is SHA-384; the signature scheme of attachments is always SHA-256.
#[test]
fn a_signer_may_use_the_hash_of_its_curve() {
    let bench = Bench::new();
    let signer = KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).unwrap();
    let recipe = Recipe::by_key(&bench);
    let mut bundle = recipe.signed();
    let message = [
        b"DSSEv1 28 application/vnd.in-toto+json ",
        recipe.payload.len().to_string().as_bytes(),
        b" ",
        &recipe.payload,
    ]
    .concat();
    let pair = aws_lc_rs::signature::EcdsaKeyPair::from_pkcs8(
        &aws_lc_rs::signature::ECDSA_P384_SHA384_ASN1_SIGNING,
        &signer.serialize_der(),
    )
    .unwrap();
    let signature = pair.sign(&aws_lc_rs::rand::SystemRandom::new(), &message).unwrap();
    set(&mut bundle, "/dsseEnvelope/signatures/0/sig", encoded(signature.as_ref()));
    check(&bundle, &Root::Keys(vec![public(&signer)])).unwrap();
}

/// One bit changed anywhere in a bundle is refused, or changes nothing that is read from it.
#[test]
fn no_changed_bit_is_accepted() {
    let bench = Bench::new();
    for (good, root) in [
        (Recipe::by_certificate(&bench).signed(), bench.fulcio()),
        (Recipe::by_certificate(&bench).message(), bench.fulcio()),
        (Recipe::by_key(&bench).signed(), bench.logged_key()),
    ] {
        let good = good.to_string().into_bytes();
        check_text(good.clone(), &root).unwrap();
        let meaning = Bundle::parse(&good).unwrap();
        for place in 0..good.len() {
            let mut changed = good.clone();
            changed[place] ^= 1;
            let accepted = check_text(changed.clone(), &root).is_ok();
            let same = Bundle::parse(&changed).is_ok_and(|changed| changed == meaning);
            let around = &good[place.saturating_sub(30)..good.len().min(place + 30)];
            let around = String::from_utf8_lossy(around);
            assert!(!accepted || same, "byte {place}: …{around}…");
        }
    }
}

proptest! {
    #[test]
    fn parsing_never_panics(text in any::<Vec<u8>>()) {
        let _bundle = Bundle::parse(&text);
        let _root = TrustedRoot::parse(&text);
    }
}
