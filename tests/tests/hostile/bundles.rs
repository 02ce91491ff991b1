//! Bundles of kinds that cosign does not make here: signatures of a digest by every kind of key, and entries
//! of Rekor 2 in a log of our own.

use std::error::Error as _;
use std::process::Command;
use std::time::SystemTime;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pullgate_policy::digest::Digest;
use pullgate_policy::identity::SignedIdentity;
use pullgate_policy::reference::Reference;
use pullgate_policy::signature::sigstore::{self, PublicKey, Root, TrustedRoot, Witnesses};
use pullgate_policy::signature::{Claim, FoundIn, SignatureFault, UntrustedBundle};
use pullgate_tests::place;
use pullgate_tests::process::run;
use pullgate_tests::sigstore::{enveloped, message_bundle};
use pullgate_tests::tsa::Tsa;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::timestamps::{LONG, Stamped, authority};
use rcgen::PublicKeyData as _;

pub(crate) const IMAGE: &str = "registry.example/app";

const MANIFEST: &[u8] = b"manifest";

pub(crate) fn manifest() -> Digest {
    Digest::sha256(MANIFEST)
}

/// What `verify` says of a signature for the manifest in its own repository, now.
pub(crate) fn claimed<T>(verify: impl Fn(&Claim<'_, Reference>, SystemTime) -> T) -> T {
    let (manifest, image) = (manifest(), Reference::parse(IMAGE).expect("a reference"));
    let identity = SignedIdentity::MatchRepository;
    let claim = Claim { manifest: &manifest, identity: &identity, image: Some(&image) };
    verify(&claim, SystemTime::now())
}

/// What is wrong with a bundle.
pub(crate) fn fault(bundle: &Value, root: &Root) -> Option<String> {
    let image = Reference::parse(IMAGE).expect("a reference");
    let found_in = FoundIn::new(&image, &image);
    let untrusted = UntrustedBundle { text: bundle.to_string().into_bytes(), found_in };
    let found = claimed(|claim, now| sigstore::bundle::verify(&untrusted, root, claim, now));
    found.err().map(|fault| words(&fault))
}

pub(crate) fn words(fault: &SignatureFault) -> String {
    let mut text = fault.to_string();
    let mut cause = fault.source();
    while let Some(error) = cause {
        text += &format!(": {error}");
        cause = error.source();
    }
    text
}

/// Those of a trusted root with these members.
pub(crate) fn witnesses(members: &Value) -> Witnesses {
    let mut root = members.clone();
    root["mediaType"] = json!("application/vnd.dev.sigstore.trustedroot+json;version=0.1");
    TrustedRoot::parse(root.to_string().as_bytes()).expect("a trusted root").witnesses
}

/// A key made by openssl, and its signature of the manifest.
fn signed(kind: &[&str], sign: &[&str]) -> (PublicKey, Vec<u8>) {
    let home = place::on_disk("openssl");
    std::fs::write(home.path().join("manifest"), MANIFEST).expect("a file");
    let openssl =
        |arguments: &[&str]| run(Command::new("openssl").current_dir(home.path()).args(arguments));
    openssl(&[&["genpkey", "-out", "key", "-algorithm"][..], kind].concat());
    let public = openssl(&["pkey", "-in", "key", "-pubout"]);
    openssl(sign);
    let signature = std::fs::read(home.path().join("signature")).expect("a signature");
    (PublicKey::from_pem(&public).expect("a key"), signature)
}

/// As sigstore-go does where it has the digest only: the key's own curve does not matter, its kind does.
#[test]
fn a_digest_is_signed_by_every_kind_of_key_but_ed25519() {
    const SHA256: &[&str] = &["dgst", "-sha256", "-sign", "key", "-out", "signature", "manifest"];
    const SHA384: &[&str] = &["dgst", "-sha384", "-sign", "key", "-out", "signature", "manifest"];
    const WHOLE: &[&str] =
        &["pkeyutl", "-sign", "-rawin", "-in", "manifest", "-inkey", "key", "-out", "signature"];
    let ec = |curve: &'static str| ["EC", "-pkeyopt", curve];
    let (p256, p384, p521) = (
        ec("ec_paramgen_curve:P-256"),
        ec("ec_paramgen_curve:P-384"),
        ec("ec_paramgen_curve:P-521"),
    );
    let strange = Some("was made by none of the policy's keys over this payload".to_owned());
    let whole = Some(
        "is a signature of a digest, and Ed25519 keys sign whole messages: sign with an envelope, as \
         cosign 3 does"
            .to_owned(),
    );
    for (kind, sign, expected) in [
        (&p256[..], SHA256, None),
        (&p384, SHA256, None),
        (&p521, SHA256, None),
        (&["RSA"], SHA256, None),
        (&p384, SHA384, strange.clone()),
        (&["RSA"], SHA384, strange),
        (&["ED25519"], WHOLE, whole),
    ] {
        let (key, signature) = signed(kind, sign);
        let root = Root::Keys(vec![key]);
        let bundle = message_bundle(MANIFEST, &signature);
        assert_eq!(fault(&bundle, &root), expected, "{kind:?} {sign:?}");
        let mut other = bundle.clone();
        other["messageSignature"]["messageDigest"]["algorithm"] = json!("SHA2_384");
        let found = fault(&other, &root).expect("another digest");
        assert!(found.contains("of the algorithm `SHA2_384`, expected SHA2_256"), "{found}");
        let found = fault(&message_bundle(b"another", &signature), &root);
        assert!(found.is_some(), "{kind:?}: a signature of something else");
    }
}

/// A log of Rekor 2 with one entry.
struct Log(Ed25519KeyPair);

const ORIGIN: &str = "log.example";

impl Log {
    fn new() -> Self {
        Self(Ed25519KeyPair::generate().expect("a key"))
    }

    /// Its name: that of the signed notes of Go's checksum database.
    fn id(&self) -> [u8; 32] {
        let key = self.0.public_key().as_ref();
        Sha256::digest([ORIGIN.as_bytes(), b"\n\x01", key].concat()).into()
    }

    /// It, as a trusted root has it.
    fn trusted(&self) -> Value {
        // A SubjectPublicKeyInfo of Ed25519.
        let head = [0x30, 0x2a, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 3, 0x21, 0];
        let key = [&head[..], self.0.public_key().as_ref()].concat();
        json!({
            "hashAlgorithm": "SHA2_256",
            "logId": {"keyId": STANDARD.encode(self.id())},
            "publicKey": {"keyDetails": "PKIX_ED25519", "rawBytes": STANDARD.encode(key)},
        })
    }

    /// Its entry with this body, and the proof that it is the only one.
    fn entry(&self, body: &Value) -> Value {
        let body = body.to_string();
        let root = Sha256::digest([b"\0", body.as_bytes()].concat());
        let root = STANDARD.encode(root);
        let head = format!("{ORIGIN}\n1\n{root}\n");
        let line = [&self.id()[..4], self.0.sign(head.as_bytes()).as_ref()].concat();
        let checkpoint = format!("{head}\n\u{2014} {ORIGIN} {}\n", STANDARD.encode(line));
        json!({
            "logId": {"keyId": STANDARD.encode(self.id())},
            "kindVersion": {"kind": "hashedrekord", "version": "0.0.2"},
            "canonicalizedBody": STANDARD.encode(&body),
            "inclusionProof": {
                "rootHash": root,
                "treeSize": "1",
                "checkpoint": {"envelope": checkpoint},
            },
        })
    }
}

/// What Rekor 2 records of an envelope.
fn recorded(stamped: &Stamped) -> Value {
    let envelope = &stamped.bundle["dsseEnvelope"];
    let payload = STANDARD.decode(envelope["payload"].as_str().expect("base64")).expect("base64");
    let signed = enveloped(&String::from_utf8(payload).expect("JSON"));
    json!({
        "apiVersion": "0.0.2",
        "kind": "hashedrekord",
        "spec": {"hashedRekordV002": {
            "data": {"algorithm": "SHA2_256", "digest": STANDARD.encode(Sha256::digest(signed))},
            "signature": {
                "content": envelope["signatures"][0]["sig"],
                "verifier": {
                    "keyDetails": "PKIX_ECDSA_P256_SHA_256",
                    "publicKey": {"rawBytes": STANDARD.encode(stamped.key.subject_public_key_info())},
                },
            },
        }},
    })
}

#[test]
fn rekor_2_must_have_recorded_this_signature_and_somebody_must_tell_the_time() {
    let (tsa, log) = (Tsa::new(), Log::new());
    let stamped = Stamped::by(&tsa);
    let clock = authority(&tsa.chain(LONG, LONG), &Value::Null);
    let root = |logs: &[&Log], clocks: &[&Value]| {
        let logs: Vec<Value> = logs.iter().map(|log| log.trusted()).collect();
        stamped.root(&witnesses(&json!({"tlogs": logs, "timestampAuthorities": clocks})))
    };
    let with = |entry: Value| {
        let mut bundle = stamped.with(&stamped.stamp);
        bundle["verificationMaterial"]["tlogEntries"] = json!([entry]);
        bundle
    };
    let good = with(log.entry(&recorded(&stamped)));
    let trusted = root(&[&log], &[&clock]);
    assert_eq!(fault(&good, &trusted), None);

    let untimed = fault(&good, &root(&[&log], &[])).expect("no time");
    assert!(untimed.contains("has no time, as all of Rekor 2"), "{untimed}");
    let mut unstamped = good.clone();
    unstamped["verificationMaterial"]["timestampVerificationData"] = Value::Null;
    let untimed = fault(&unstamped, &trusted).expect("no time");
    assert!(untimed.contains("has no time, as all of Rekor 2"), "{untimed}");
    let strange = fault(&good, &root(&[&Log::new()], &[&clock])).expect("a stranger's log");
    assert!(strange.contains("is signed by none of the policy's Rekor keys"), "{strange}");

    let spec = "/spec/hashedRekordV002";
    for (place, value, expected) in [
        ("data/digest", STANDARD.encode([0; 32]), "records another payload"),
        ("data/algorithm", "SHA2_384".to_owned(), "records another hash algorithm"),
        ("signature/content", "YQ==".to_owned(), "records another signature"),
        (
            "signature/verifier/publicKey/rawBytes",
            "YQ==".to_owned(),
            "records another key or certificate",
        ),
    ] {
        let mut body = recorded(&stamped);
        *body.pointer_mut(&format!("{spec}/{place}")).expect("a member") = json!(value);
        let found = fault(&with(log.entry(&body)), &trusted).expect(place);
        assert!(found.contains(expected), "{place}: {found}");
    }
    let mut early = log.entry(&recorded(&stamped));
    early["kindVersion"] = json!({"kind": "dsse", "version": "0.0.2"});
    let found = fault(&with(early), &trusted).expect("another form");
    assert!(found.contains("is of the type `dsse 0.0.2`"), "{found}");
    let mut unproven = log.entry(&recorded(&stamped));
    let head = format!("{ORIGIN}\n1\n{}\n", STANDARD.encode([0; 32]));
    unproven["inclusionProof"]["checkpoint"]["envelope"] = json!(head);
    let found = fault(&with(unproven), &trusted).expect("no signature");
    assert!(found.contains("the inclusion proof"), "{found}");
}
