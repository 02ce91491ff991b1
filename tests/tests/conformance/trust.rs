//! Kinds about manifests, signatures and decisions.

use std::path::PathBuf;
use std::time::SystemTime;

use pullgate_policy::decide;
use pullgate_policy::decision::{Basis, Subject, TrustMaterial};
use pullgate_policy::digest::{Digest, VerifiedBlob, Verifier};
use pullgate_policy::document::{Dialect, Policy, Requirement, Requirements};
use pullgate_policy::manifest::Document;
use pullgate_policy::reference::{PullReference, Reference};
use pullgate_policy::signature::openpgp::Keyring;
use pullgate_policy::signature::payload::{Format, Payload};
use pullgate_policy::signature::{Claim, UntrustedSignature, simple};
use serde_json::{Value, json};

use crate::corpus::{Case, Runner};

/// The kinds that this module runs.
pub(crate) const KINDS: &[(&str, Runner)] = &[
    ("accepted-signatures", accepted_signatures),
    ("keyring-import", keyring_import),
    ("manifest-digest", manifest_digest),
    ("manifest-match", manifest_match),
    ("manifest-parse", manifest_parse),
    ("openpgp-verify", openpgp_verify),
    ("policy-eval", policy_eval),
    ("requirement-eval", requirement_eval),
    ("signature-blob", signature_blob),
    ("simple-payload", simple_payload),
    ("simple-signature", simple_signature),
];

/// The type of a manifest is the one that the registry names; nobody guesses. What containers/image
/// guesses has to be one that we read it as.
fn manifest_digest(case: &Case) -> Result<(), String> {
    let manifest = case.bytes("manifest").expect("a manifest");
    let guessed = case.expected["guessed_media_type"].as_str().expect("a type");
    let readable = guessed.is_empty() || Document::parse(&manifest, guessed).is_ok();
    case.check(&if readable {
        let digest = Digest::sha256(&manifest).to_string();
        json!({ "result": "ok", "digest": digest, "guessed_media_type": guessed })
    } else {
        json!({ "result": "error", "guessed_media_type": guessed })
    })
}

fn manifest_match(case: &Case) -> Result<(), String> {
    let manifest = case.bytes("manifest").expect("a manifest");
    let digest = case.required_text("digest").parse::<Digest>();
    let matches = digest.is_ok_and(|digest| Verifier::verify(&digest, &manifest).is_ok());
    case.check(&json!({ "result": if matches { "match" } else { "no-match" } }))
}

fn manifest_parse(case: &Case) -> Result<(), String> {
    let manifest = case.bytes("manifest").expect("a manifest");
    let parsed = Document::parse(&manifest, case.required_text("media_type"));
    case.check(&json!({ "result": if parsed.is_ok() { "accept" } else { "reject" } }))
}

fn keyrings(case: &Case) -> Vec<Vec<u8>> {
    let paths = case.inputs["keyrings"].as_array().cloned().unwrap_or_default();
    let files = paths.iter().filter_map(|path| case.read(path.as_str()?).ok());
    files.chain(case.bytes("keyring")).collect()
}

fn keyring(case: &Case) -> Option<Keyring> {
    Keyring::parse(keyrings(case).iter().map(Vec::as_slice)).ok()
}

fn keyring_import(case: &Case) -> Result<(), String> {
    let mut found = keyring(case).map(|keyring| keyring.fingerprints()).unwrap_or_default();
    if case.result() == "either" {
        return Ok(());
    }
    if case.result() == "no-keys" {
        return if found.is_empty() { Ok(()) } else { Err(format!("found {found:?}")) };
    }
    let optional = case.expected["optional_fingerprints"].as_array().cloned().unwrap_or_default();
    found.retain(|fingerprint| !optional.contains(&json!(fingerprint)));
    if found.is_empty() && case.result() != "ok" {
        return case.check(&json!({ "result": "error" }));
    }
    let mut expected: Vec<String> =
        serde_json::from_value(case.expected["fingerprints"].clone()).unwrap_or_default();
    expected.retain(|fingerprint| !optional.contains(&json!(fingerprint)));
    expected.sort();
    found.sort();
    if found == expected { Ok(()) } else { Err(format!("expected {expected:?}, found {found:?}")) }
}

fn openpgp_verify(case: &Case) -> Result<(), String> {
    let signature = case.bytes("signature").expect("a signature");
    let keyring = keyring(case).ok_or("no keyring")?;
    case.check(&match keyring.verify(&signature, SystemTime::now()) {
        Ok(message) => json!({
            "result": "accept",
            "primary_fingerprint": message.signer.fingerprint,
            "content_sha256": Digest::sha256(&message.payload).hex(),
        }),
        Err(_) => json!({ "result": "reject" }),
    })
}

fn signature_blob(case: &Case) -> Result<(), String> {
    let blob = case.bytes("blob").expect("a blob");
    case.check(&match UntrustedSignature::parse(&blob) {
        Ok(UntrustedSignature::Simple(_)) => json!({ "result": "simple-signing" }),
        Ok(UntrustedSignature::Sigstore(attachment)) => json!({
            "result": "sigstore-json",
            "media_type": attachment.media_type,
            "payload_sha256": Digest::sha256(&attachment.payload).hex(),
            "annotation_keys": attachment.annotations.keys().collect::<Vec<_>>(),
        }),
        // Nobody stores a bundle in such a container.
        Ok(UntrustedSignature::Bundle(_)) | Err(_) => json!({ "result": "error" }),
    })
}

fn simple_payload(case: &Case) -> Result<(), String> {
    let payload = case.bytes("payload").expect("a payload");
    case.check(&match Payload::parse(&payload, Format::Atomic) {
        Ok(payload) => json!({
            "result": "accept",
            "digest": payload.digest().to_string(),
            "reference": payload.reference(),
            "creator": payload.creator(),
            "timestamp": payload.timestamp(),
        }),
        Err(_) => json!({ "result": "reject" }),
    })
}

/// One signature is accepted if a policy of this one requirement accepts the image with it alone.
fn simple_signature(case: &Case) -> Result<(), String> {
    let blob = case.bytes("signature").expect("a signature");
    let policy = json!({ "default": [case.inputs["requirement"]] });
    let accepted = match UntrustedSignature::parse(&blob) {
        Ok(signature) if has_tag_and_digest(case) => accepts(case, &policy, &signature),
        Ok(signature) => judge(case, &policy, Some(vec![signature])).is_ok(),
        Err(_) => false,
    };
    let found = if accepted { "accept" } else { "reject" };
    if found == case.result() || case.result() == "either" {
        return Ok(());
    }
    Err(format!("expected {}, found {found}", case.expected))
}

fn has_tag_and_digest(case: &Case) -> bool {
    let reference = PullReference::parse(case.required_text("image_ref"));
    reference.is_ok_and(|reference| reference.dropped_tag().is_some())
}

/// Whether the one requirement accepts the signature for a name that has a tag and a digest: a pull
/// drops the tag before it asks.
fn accepts(case: &Case, policy: &Value, signature: &UntrustedSignature) -> bool {
    let policy = Policy::parse(policy.to_string().as_bytes(), Dialect::Standard).expect("a policy");
    let requirements = policy.default_requirements();
    let (Some(Requirement::SignedBy(signed_by)), UntrustedSignature::Simple(message)) =
        (requirements.iter().next(), signature)
    else {
        return false;
    };
    let files: Result<Vec<_>, _> = material(case, requirements).into_values().collect();
    let files = files.expect("every key file");
    let keyring = Keyring::parse(files.iter().map(Vec::as_slice)).expect("keys");
    let image = Reference::parse(case.required_text("image_ref")).expect("a reference");
    let manifest = case.read(&format!("{}manifest.json", prefix(case))).expect("a manifest");
    let claim = Claim {
        manifest: &Digest::sha256(&manifest),
        identity: &signed_by.identity,
        image: Some(&image),
    };
    simple::verify(message, &keyring, &claim, SystemTime::now()).is_ok()
}

fn requirement_eval(case: &Case) -> Result<(), String> {
    evaluate(case, &json!({ "default": [case.inputs["requirement"]] }))
}

fn policy_eval(case: &Case) -> Result<(), String> {
    evaluate(case, &case.inputs["policy"])
}

/// `require_signed` is a switch of podman's: an admission that rests on no signature does not do.
fn evaluate(case: &Case, policy: &Value) -> Result<(), String> {
    let require_signed = case.inputs.get("require_signed") == Some(&json!(true));
    let verdict = match judge(case, policy, None) {
        Ok(Basis::Unverified) if require_signed => "deny",
        Ok(_) => "allow",
        Err(verdict) => verdict,
    };
    case.check(&json!({ "result": verdict }))
}

/// A signature counts as accepted if the image is allowed by it alone: one requirement accepts it and
/// none rejects it.
fn accepted_signatures(case: &Case) -> Result<(), String> {
    let policy = &case.inputs["policy"];
    let Ok(blobs) = stored_signatures(case) else {
        return case.check(&json!({ "result": "error" }));
    };
    let signatures = blobs.iter().map(|blob| UntrustedSignature::parse(blob).expect("a format"));
    let alone = signatures.map(|signature| judge(case, policy, Some(vec![signature])));
    let accepted = alone.filter(|verdict| matches!(verdict, Ok(Basis::Signed(_)))).count();
    case.check(&json!({ "result": "ok", "count": accepted }))
}

/// Decides about the image of a case as a pull does: the manifest has the digest of the reference, its
/// signatures are read in order, and whatever cannot be read denies.
pub(crate) fn judge(
    case: &Case,
    policy: &Value,
    signatures: Option<Vec<UntrustedSignature>>,
) -> Result<Basis, &'static str> {
    let policy = Policy::parse(policy.to_string().as_bytes(), Dialect::Standard)
        .map_err(|_error| "parse-error")?;
    let reference = PullReference::parse(case.required_text("image_ref"))
        .map_err(|_error| "reference-error")?;
    let manifest = manifest(case, &reference).ok_or("deny")?;
    let parsed: Option<Vec<_>> = signatures.or_else(|| {
        let blobs = stored_signatures(case).ok()?;
        blobs.iter().map(|blob| UntrustedSignature::parse(blob).ok()).collect()
    });
    let applicable = policy.applicable(&reference);
    let signatures = match parsed {
        Some(signatures) => signatures,
        None if applicable.requirements.needs_signatures() => return Err("deny"),
        None => return Err("signatures that cannot be read, and a policy that does not look"),
    };
    let material = material(case, applicable.requirements);
    let subject = Subject {
        reference: &reference,
        manifest: &manifest,
        signatures: &signatures,
        searched: &[],
        listing: None,
    };
    let decision = decide(applicable, subject, &material, SystemTime::now());
    decision.verdict.map(|admission| admission.basis().clone()).map_err(|_rejection| "deny")
}

/// The key and certificate files that requirements of the case name.
pub(crate) fn material(case: &Case, requirements: &Requirements) -> TrustMaterial {
    let files = requirements.files().into_iter();
    let read = files.map(|path| {
        let content = case.read(&path.display().to_string());
        (PathBuf::from(path), content.map_err(|error| error.to_string()))
    });
    read.collect()
}

fn prefix(case: &Case) -> String {
    let child = case.text("instance_digest").and_then(|digest| digest.split_once(':'));
    let child = child.map(|(_, hex)| format!("{hex}.")).unwrap_or_default();
    format!("{}/{child}", case.required_text("image_dir"))
}

fn manifest(case: &Case, reference: &PullReference) -> Option<VerifiedBlob> {
    let top = case.read(&format!("{}/manifest.json", case.required_text("image_dir"))).ok()?;
    let found = Digest::sha256(&top);
    let proof = Verifier::verify(reference.reference().digest().unwrap_or(&found), &top).ok()?;
    let Some(child) = case.text("instance_digest") else { return Some(proof) };
    let body = case.read(&format!("{}manifest.json", prefix(case))).ok()?;
    Verifier::verify(&child.parse().ok()?, &body).ok()
}

fn stored_signatures(case: &Case) -> std::io::Result<Vec<Vec<u8>>> {
    let mut blobs = Vec::new();
    loop {
        match case.read(&format!("{}signature-{}", prefix(case), blobs.len() + 1)) {
            Ok(blob) => blobs.push(blob),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(blobs),
            Err(error) => return Err(error),
        }
    }
}
