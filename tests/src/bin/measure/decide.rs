//! What a decision costs, with keys and signatures of every kind, as parsed from the bytes of their files
//! each time, which is what a pull does.
//!
//! A ratio is to one run of the tool that answers the same question (`skopeo standalone-verify`, `cosign
//! verify-blob`).

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pullgate_policy::decide;
use pullgate_policy::decision::{Code, Subject, TrustMaterial};
use pullgate_policy::digest::{Digest, VerifiedBlob, Verifier};
use pullgate_policy::document::{Dialect, Policy};
use pullgate_policy::reference::PullReference;
use pullgate_policy::signature::{UntrustedAttachment, UntrustedSignature};
use pullgate_tests::place;
use pullgate_tests::process::{run, with_usr};
use pullgate_tests::signer::{Algorithm, Signer, payload};
use rcgen::KeyPair;
use serde_json::{Value, json};

use crate::row::{Report, Row, Unit};

const IMAGE: &str = "registry.example/app:v1";
const MANIFEST: &[u8] = b"{\"schemaVersion\":2}";
const COSIGN: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
const SIGNATURE: &str = "dev.cosignproject.cosign/signature";

pub(crate) fn measure(report: &mut Report) {
    let mut bench = Bench { report };
    let skopeo = bench.openpgp();
    bench.many_openpgp(skopeo);
    let cosign = bench.sigstore();
    bench.many_sigstore(cosign);
    bench.keyless(cosign);
}

struct Bench<'a> {
    report: &'a mut Report,
}

impl Bench<'_> {
    /// One good signature of each algorithm. Gives the time of skopeo for the first.
    fn openpgp(&mut self) -> Duration {
        let mut scale = None;
        for (name, algorithm) in [
            ("ed25519", Algorithm::Ed25519),
            ("rsa3072", Algorithm::Rsa3072),
            ("rsa4096", Algorithm::Rsa4096),
        ] {
            let signer = Signer::with(algorithm);
            let message = signer.sign_with_skopeo(MANIFEST, IMAGE);
            let tool = median(5, || signer.verify_with_skopeo(MANIFEST, IMAGE, &message));
            scale.get_or_insert(tool);
            let question = Question::signed_by(
                &[signer.public_key()],
                vec![UntrustedSignature::Simple(message)],
            );
            self.row(&format!("decide signedBy {name}"), &question, None, tool);
        }
        scale.expect("a row")
    }

    /// Many keys and signatures of which none is for this image: everything has to be looked at.
    fn many_openpgp(&mut self, tool: Duration) {
        let signers: Vec<_> = (0..10).map(|_| Signer::with(Algorithm::Rsa4096)).collect();
        let keys = signers.iter().map(Signer::public_key).collect::<Vec<_>>();
        let other = Digest::sha256(b"another manifest").to_string();
        let messages: Vec<_> = signers
            .iter()
            .map(|signer| UntrustedSignature::Simple(signer.sign(&other, IMAGE)))
            .collect();
        for count in [1, 10, 100] {
            let cycle = |index: usize| messages[index % messages.len()].clone();
            let signatures = (0..count).map(cycle).collect();
            let keys: Vec<_> = keys.iter().cycle().take(count).cloned().collect();
            let question = Question::signed_by(&keys, signatures);
            let name = format!("decide signedBy rsa4096, {count} signatures and keys, none good");
            self.row(&name, &question, Some(Code::DigestMismatch), tool);
        }
    }

    /// One good signature by a key. Gives the time of cosign for the same.
    fn sigstore(&mut self) -> Duration {
        let key = KeyPair::generate().expect("a key");
        let directory = place::on_disk("decide");
        let path = directory.path().join("cosign.pub");
        std::fs::write(&path, key.public_key_pem()).expect("a file");
        let attachment = attach(&key, MANIFEST);
        let tool = cosign(directory.path(), &path, &attachment);
        let signatures = vec![UntrustedSignature::Sigstore(attachment)];
        let question = Question::sigstore(&[path], signatures);
        self.row("decide sigstoreSigned P-256 key", &question, None, tool);
        tool
    }

    fn many_sigstore(&mut self, tool: Duration) {
        let directory = place::on_disk("decide");
        let stranger = KeyPair::generate().expect("a key");
        for count in [1, 10, 100] {
            let paths: Vec<_> = (0..count)
                .map(|number| {
                    let path = directory.path().join(format!("{number}.pub"));
                    let key = KeyPair::generate().expect("a key");
                    std::fs::write(&path, key.public_key_pem()).expect("a file");
                    path
                })
                .collect();
            let signature = UntrustedSignature::Sigstore(attach(&stranger, MANIFEST));
            let question = Question::sigstore(&paths, vec![signature; count]);
            let name =
                format!("decide sigstoreSigned P-256, {count} signatures and keys, none good");
            self.row(&name, &question, Some(Code::SignatureInvalid), tool);
        }
    }

    /// A certificate and its log entry.
    fn keyless(&mut self, tool: Duration) {
        let file = |name: &str| {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/trust").join(name);
            std::fs::read(path).expect("a file of the fuzz targets")
        };
        let text = |name: &str| String::from_utf8(file(name)).expect("text");
        let annotations = [
            (SIGNATURE, STANDARD.encode(file("signature"))),
            ("dev.sigstore.cosign/bundle", text("set.json")),
            ("dev.sigstore.cosign/certificate", text("leaf.pem")),
            ("dev.sigstore.cosign/chain", text("chain.pem")),
        ];
        let attachment = UntrustedAttachment {
            media_type: COSIGN.to_owned(),
            payload: file("payload.json"),
            annotations: annotations.map(|(key, value)| (key.to_owned(), value)).into(),
        };
        let requirement = json!({
            "type": "sigstoreSigned",
            "fulcio": {
                "caData": STANDARD.encode(file("roots.pem")),
                "oidcIssuer": "https://login.example",
                "subjectEmail": "release@example.com",
            },
            "rekorPublicKeyData": STANDARD.encode(file("rekor.pub")),
            "signedIdentity": {"type": "matchRepository"},
        });
        let question = Question {
            policy: json!({ "default": [requirement] }).to_string(),
            signatures: vec![UntrustedSignature::Sigstore(attachment)],
            // The log recorded it then.
            now: SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000),
            // The signature is for another manifest: that is found out last.
            ..Question::signed_by(&[], Vec::new())
        };
        let name = "decide sigstoreSigned keyless (certificate and log entry)";
        self.row(name, &question, Some(Code::DigestMismatch), tool);
    }

    fn row(&mut self, name: &str, question: &Question, refused: Option<Code>, tool: Duration) {
        assert_eq!(question.answer(), refused, "{name}");
        let taken = times(question.rounds(), || {
            std::hint::black_box(question.answer());
        });
        let microseconds = taken.iter().map(|time| time.as_secs_f64() * 1e6).collect();
        let ratios = taken.iter().map(|time| time.div_duration_f64(tool)).collect();
        self.report.add(Row::of(name.to_owned(), Unit::Microseconds, microseconds));
        self.report.add(Row::ratios(format!("{name}, to the tool"), ratios));
    }
}

/// All that a decision needs, as a pull has it.
struct Question {
    policy: String,
    material: TrustMaterial,
    signatures: Vec<UntrustedSignature>,
    reference: PullReference,
    manifest: VerifiedBlob,
    now: SystemTime,
}

impl Question {
    fn signed_by(keys: &[PathBuf], signatures: Vec<UntrustedSignature>) -> Self {
        Self::new(
            &json!({"type": "signedBy", "keyType": "GPGKeys", "keyPaths": keys}),
            keys,
            signatures,
        )
    }

    fn sigstore(keys: &[PathBuf], signatures: Vec<UntrustedSignature>) -> Self {
        Self::new(&json!({"type": "sigstoreSigned", "keyPaths": keys}), keys, signatures)
    }

    fn new(requirement: &Value, keys: &[PathBuf], signatures: Vec<UntrustedSignature>) -> Self {
        let read = |path: &PathBuf| (path.clone(), Ok(std::fs::read(path).expect("a key")));
        Self {
            policy: json!({ "default": [requirement] }).to_string(),
            material: keys.iter().map(read).collect(),
            signatures,
            reference: PullReference::parse(IMAGE).expect("a reference"),
            manifest: Verifier::verify(&Digest::sha256(MANIFEST), MANIFEST).expect("its digest"),
            now: SystemTime::now(),
        }
    }

    fn answer(&self) -> Option<Code> {
        let policy = Policy::parse(self.policy.as_bytes(), Dialect::Standard).expect("a policy");
        let subject = Subject {
            reference: &self.reference,
            manifest: &self.manifest,
            signatures: &self.signatures,
            searched: &[],
            listing: None,
        };
        let applicable = policy.applicable(&self.reference);
        let decision = decide(applicable, subject, &self.material, self.now);
        decision.verdict.err().map(|rejection| rejection.code())
    }

    const fn rounds(&self) -> usize {
        if self.signatures.len() > 10 { 11 } else { 101 }
    }
}

/// What cosign would attach.
fn attach(key: &KeyPair, manifest: &[u8]) -> UntrustedAttachment {
    let mut text: Value = payload(&Digest::sha256(manifest).to_string(), IMAGE);
    text["critical"]["type"] = json!("cosign container image signature");
    let text = text.to_string().into_bytes();
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &key.serialize_der());
    let signature = pair.expect("a key").sign(&SystemRandom::new(), &text).expect("a signature");
    UntrustedAttachment {
        media_type: COSIGN.to_owned(),
        payload: text,
        annotations: [(SIGNATURE.to_owned(), STANDARD.encode(signature.as_ref()))].into(),
    }
}

/// One run of cosign over the same payload and signature.
fn cosign(directory: &Path, key: &Path, attachment: &UntrustedAttachment) -> Duration {
    let (signature, text) = (directory.join("signature"), directory.join("payload"));
    std::fs::write(&signature, &attachment.annotations[SIGNATURE]).expect("a file");
    std::fs::write(&text, &attachment.payload).expect("a file");
    let usr = place::suite("trixie").join("usr");
    median(5, || {
        let mut command = with_usr(&usr, "/usr/bin/cosign");
        command.args(["verify-blob", "--insecure-ignore-tlog=true", "--key"]).arg(key);
        command.arg("--signature").arg(&signature).arg(&text).env("HOME", directory);
        run(&mut command);
    })
}

fn median(rounds: usize, work: impl FnMut()) -> Duration {
    let mut times = times(rounds, work);
    times.sort_unstable();
    times[rounds / 2]
}

fn times(rounds: usize, mut work: impl FnMut()) -> Vec<Duration> {
    let time = |_| {
        let start = Instant::now();
        work();
        start.elapsed()
    };
    (0..rounds).map(time).collect()
}
