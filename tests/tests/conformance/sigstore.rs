//! Kinds about sigstore signatures, their keys, certificates and log entries.

use std::time::{Duration, SystemTime};

use pullgate_policy::decision;
use pullgate_policy::digest::Digest;
use pullgate_policy::document::{Account, Dialect, Policy, Requirement};
use pullgate_policy::identity::SignedIdentity;
use pullgate_policy::reference::Reference;
use pullgate_policy::signature::payload::{Format, Payload};
use pullgate_policy::signature::sigstore::log::{self, Entry, Kind, SignedEntryTimestamp};
use pullgate_policy::signature::sigstore::{
    self, Authorities, KeyError, Log, PublicKey, Root, SignerCertificate, Subject, Window,
};
use pullgate_policy::signature::{Claim, UntrustedAttachment, UntrustedSignature};
use pullgate_policy::strict;
use serde_json::{Value, json};

use crate::corpus::{Case, Runner};
use crate::trust::{judge, material};

/// The kinds that this module runs.
pub(crate) const KINDS: &[(&str, Runner)] = &[
    ("attachment-tag", attachment_tag),
    ("fulcio-cert", fulcio_cert),
    ("fulcio-issuer", fulcio_issuer),
    ("leaf-pem", leaf_pem),
    ("pki-cert", pki_cert),
    ("rekor-json", rekor_json),
    ("rekor-set", rekor_set),
    ("sigstore-blob-verify", blob_verify),
    ("sigstore-payload", payload),
    ("sigstore-signature", signature),
    ("trust-root", trust_root),
];

fn verdict(accepted: bool) -> Value {
    json!({ "result": if accepted { "accept" } else { "reject" } })
}

fn attachment_tag(case: &Case) -> Result<(), String> {
    case.check(&match case.required_text("digest").parse::<Digest>() {
        Ok(digest) => json!({ "result": "ok", "tag": sigstore::attachment_tag(&digest) }),
        Err(_) => json!({ "result": "error" }),
    })
}

fn at(case: &Case) -> SystemTime {
    case.text("at").map_or_else(SystemTime::now, |at| {
        humantime::parse_rfc3339(at).expect("`at` is a time of RFC 3339")
    })
}

fn certificate(case: &Case, subject: &Subject) -> Result<(), String> {
    let roots = case.bytes("roots").expect("roots");
    let authorities = Authorities::parse(&roots, case.bytes("intermediates").as_deref());
    let leaf = case.bytes("leaf").expect("a leaf");
    let chain = case.bytes("chain").filter(|chain| !chain.is_empty());
    let found = authorities.and_then(|authorities| {
        authorities.key(&SignerCertificate::parse(&leaf, chain.as_deref())?, subject, at(case))
    });
    case.check(&verdict(found.is_ok())).map_err(|problem| format!("{problem}: {found:?}"))
}

fn fulcio_cert(case: &Case) -> Result<(), String> {
    let issuer = case.required_text("oidc_issuer").to_owned();
    let email = case.required_text("subject_email").to_owned();
    certificate(case, &Subject::Account { issuer, account: Account::Email(email) })
}

fn pki_cert(case: &Case) -> Result<(), String> {
    let text = |key| case.text(key).filter(|text| !text.is_empty()).map(ToOwned::to_owned);
    let subject =
        Subject::Named { email: text("subject_email"), hostname: text("subject_hostname") };
    certificate(case, &subject)
}

fn fulcio_issuer(case: &Case) -> Result<(), String> {
    let leaf = sigstore::leaf(&case.bytes("leaf").expect("a leaf"));
    case.check(&match leaf.and_then(|leaf| sigstore::issuer(&leaf)) {
        Ok(issuer) => json!({ "result": "accept", "issuer": issuer }),
        Err(_) => verdict(false),
    })
}

fn leaf_pem(case: &Case) -> Result<(), String> {
    case.check(&verdict(sigstore::leaf(&case.bytes("leaf").expect("a leaf")).is_ok()))
}

fn rekor_json(case: &Case) -> Result<(), String> {
    let text = case.required_text("json_text").as_bytes();
    case.check(&verdict(match case.required_text("type") {
        "set" => SignedEntryTimestamp::parse(text).is_ok(),
        "payload" => strict::json(text).and_then(|json| log::Payload::parse(json.root())).is_ok(),
        other => return Err(format!("unknown type {other}")),
    }))
}

fn rekor_set(case: &Case) -> Result<(), String> {
    let list = |key: &str| case.inputs[key].as_array().cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().expect("a string").to_owned();
    let files = list("rekor_key_files");
    let files = files.iter().map(|path| case.read(&text(path)).expect("a key"));
    let texts = list("rekor_keys_pem");
    let texts = texts.iter().map(text);
    let keys = files.chain(texts.map(String::into_bytes));
    let log = |pem: Vec<u8>| Ok(Log::new(PublicKey::from_pem(&pem)?, Window::ALWAYS));
    let keys: Result<Vec<_>, KeyError> = keys.map(log).collect();
    let material = case.bytes("key_or_cert").unwrap_or_default();
    let payload = case.bytes("payload").unwrap_or_default();
    let signature = strict::base64(case.text("signature_base64_text").unwrap_or_default());
    let (Ok(keys), Ok(signature)) = (keys, signature) else {
        return case.check(&verdict(false));
    };
    let (kind, payload) = (Kind::HashedRekord, &Digest::sha256(&payload));
    let entry = Entry { kind, material: &material, signature: &signature, payload };
    let set = case.bytes("set").unwrap_or_default();
    case.check(&match entry.logged(&set, &keys, at(case)) {
        Ok(time) => {
            let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
            json!({ "result": "accept", "time": since.as_secs() })
        }
        Err(_) => verdict(false),
    })
}

fn blob_verify(case: &Case) -> Result<(), String> {
    let files = case.inputs["key_files"].as_array().cloned().unwrap_or_default();
    let read = |path: &Value| case.read(path.as_str().expect("a path")).expect("a key");
    let keys: Result<Vec<_>, _> =
        files.iter().map(|path| PublicKey::from_pem(&read(path))).collect();
    let manifest = case.required_text("want_digest").parse::<Digest>();
    let identity = SignedIdentity::exact_repository(case.required_text("want_reference"));
    let (Ok(keys), Ok(manifest), Ok(identity)) = (keys, manifest, identity) else {
        return case.check(&verdict(false));
    };
    let attachment = UntrustedAttachment {
        media_type: sigstore::MEDIA_TYPE.to_owned(),
        payload: case.bytes("payload").expect("a payload"),
        annotations: [(SIGNATURE.to_owned(), case.required_text("signature_base64").to_owned())]
            .into(),
    };
    let claim = Claim::<Reference> { manifest: &manifest, identity: &identity, image: None };
    let found = sigstore::verify(&attachment, &Root::Keys(keys), &claim, SystemTime::now());
    let payload = Payload::parse(&attachment.payload, Format::Cosign);
    case.check(&match (found, payload) {
        (Ok(_), Ok(payload)) => json!({
            "result": "accept",
            "digest": payload.digest().to_string(),
            "reference": payload.reference(),
        }),
        _ => verdict(false),
    })
}

const SIGNATURE: &str = "dev.cosignproject.cosign/signature";

fn payload(case: &Case) -> Result<(), String> {
    let text = case.bytes("payload").expect("a payload");
    case.check(&match Payload::parse(&text, Format::Cosign) {
        Ok(payload) => {
            let mut found = json!({ "result": "accept" });
            for (key, value) in [
                ("digest", json!(payload.digest().to_string())),
                ("reference", json!(payload.reference())),
                ("creator", json!(payload.creator())),
                ("timestamp", json!(payload.timestamp())),
            ] {
                if case.expected.get(key).is_some() {
                    found[key] = value;
                }
            }
            found
        }
        Err(_) => verdict(false),
    })
}

/// The stored signature, changed as the case says, against a policy of its one requirement.
fn signature(case: &Case) -> Result<(), String> {
    let blob = case.bytes("signature").expect("a signature");
    let signature = match UntrustedSignature::parse(&blob) {
        Ok(UntrustedSignature::Sigstore(mut attachment)) => {
            change(case, &mut attachment);
            Some(vec![UntrustedSignature::Sigstore(attachment)])
        }
        Ok(other) => Some(vec![other]),
        Err(_) => return case.check(&verdict(false)),
    };
    let policy = json!({ "default": [case.inputs["requirement"]] });
    case.check(&verdict(judge(case, &policy, signature).is_ok()))
}

fn change(case: &Case, attachment: &mut UntrustedAttachment) {
    for key in case.inputs["drop_annotations"].as_array().into_iter().flatten() {
        attachment.annotations.remove(key.as_str().expect("a string"));
    }
    for (key, value) in case.inputs["set_annotations"].as_object().into_iter().flatten() {
        let value = value.as_str().expect("a string").to_owned();
        attachment.annotations.insert(key.clone(), value);
    }
    if let Some(media_type) = case.text("set_media_type") {
        media_type.clone_into(&mut attachment.media_type);
    }
    if let Some(payload) = case.bytes("set_payload") {
        attachment.payload = payload;
    }
}

fn trust_root(case: &Case) -> Result<(), String> {
    let policy = json!({ "default": [case.inputs["requirement"]] }).to_string();
    let error = json!({ "result": "error" });
    let Ok(policy) = Policy::parse(policy.as_bytes(), Dialect::Standard) else {
        return case.check(&error);
    };
    let requirements = policy.default_requirements();
    let material = material(case, requirements);
    let Some(Requirement::SigstoreSigned(signed)) = requirements.iter().next() else {
        return Err("not a sigstoreSigned requirement".to_owned());
    };
    let found = |keys: usize, log: usize, fulcio: bool, pki: bool| json!({ "result": "ok", "public_keys": keys, "rekor_keys": log, "fulcio": fulcio, "pki": pki });
    case.check(&match decision::root(&signed.root, &material) {
        Ok(Root::Keys(keys)) => found(keys.len(), 0, false, false),
        Ok(Root::LoggedKeys { keys, witnesses }) => {
            found(keys.len(), witnesses.logs.len(), false, false)
        }
        Ok(Root::Fulcio { witnesses, .. }) => found(0, witnesses.logs.len(), true, false),
        Ok(Root::Pki { .. }) => found(0, 0, false, true),
        Err(_) => error,
    })
}
