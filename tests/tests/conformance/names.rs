//! Kinds about digests, references, scopes and identities.

use pullgate_policy::digest::Digest;
use pullgate_policy::identity::{Remap, SignedIdentity};
use pullgate_policy::reference::{PullReference, Reference};
use pullgate_policy::scope;
use serde_json::{Value, json};

use crate::corpus::{Case, Runner};

/// The kinds that this module runs.
pub(crate) const KINDS: &[(&str, Runner)] = &[
    ("digest-parse", digest_parse),
    ("identity-match", identity_match),
    ("pull-reference", pull_reference),
    ("reference-parse", reference_parse),
    ("remap-prefix", remap_prefix),
    ("scope-candidates", scope_candidates),
];

fn digest_parse(case: &Case) -> Result<(), String> {
    let digest = case.required_text("text").parse::<Digest>();
    case.check(&json!({ "result": if digest.is_ok() { "ok" } else { "error" } }))
}

fn reference_parse(case: &Case) -> Result<(), String> {
    case.check(&match Reference::parse(case.required_text("text")) {
        Ok(reference) => json!({
            "result": "ok",
            "canonical": reference.to_string(),
            "domain": reference.domain(),
            "path": reference.path(),
            "tag": reference.tag(),
            "digest": reference.digest().map(Digest::to_string),
        }),
        Err(_error) => json!({ "result": "error" }),
    })
}

fn pull_reference(case: &Case) -> Result<(), String> {
    case.check(&match docker_transport_reference(case.required_text("text")) {
        Some(reference) => json!({ "result": "ok", "canonical": reference.to_string() }),
        None => json!({ "result": "error" }),
    })
}

fn scope_candidates(case: &Case) -> Result<(), String> {
    let Some(reference) = docker_transport_reference(case.required_text("ref")) else {
        return case.check(&json!({ "result": "error" }));
    };
    let mut scopes = scope::candidates(&reference);
    let identity = scopes.remove(0);
    case.check(&json!({ "result": "ok", "identity": identity, "namespaces": scopes }))
}

/// The reference as the docker transport of containers/image takes it. It refuses a tag beside a
/// digest, where kubelet's references are allowed to have both and lose the tag; and it takes hosts
/// with upper-case letters, which a pull refuses. Both differences are checked here.
pub(crate) fn docker_transport_reference(text: &str) -> Option<Reference> {
    let reference = Reference::parse(text).ok()?;
    let pull = PullReference::parse(text);
    if reference.domain().bytes().any(|byte| byte.is_ascii_uppercase()) {
        assert!(pull.is_err(), "{text}: a pull refuses a host with upper-case letters");
        return if reference.has_tag_or_digest() {
            Some(reference)
        } else {
            Reference::parse(&format!("{text}:latest")).ok()
        };
    }
    let pull = pull.expect("a reference");
    let both = reference.tag().is_some() && reference.digest().is_some();
    assert_eq!(pull.dropped_tag().is_some(), both, "{text}: only a tag beside a digest is dropped");
    (!both).then(|| pull.reference().clone())
}

fn identity_match(case: &Case) -> Result<(), String> {
    let identity = identity(&case.inputs["match"]);
    let image = case.text("image_ref").map(|text| Reference::parse(text).expect("a reference"));
    let matches = identity.matches(image.as_ref(), case.required_text("signed_ref"));
    case.check(&json!({ "result": if matches { "match" } else { "no-match" } }))
}

fn identity(value: &Value) -> SignedIdentity {
    let text = |key: &str| value[key].as_str().expect("a string");
    match text("type") {
        "exactReference" => {
            SignedIdentity::exact_reference(text("dockerReference")).expect("valid")
        }
        "exactRepository" => {
            SignedIdentity::exact_repository(text("dockerRepository")).expect("valid")
        }
        "matchExact" => SignedIdentity::MatchExact,
        "matchRepoDigestOrExact" => SignedIdentity::MatchRepoDigestOrExact,
        "matchRepository" => SignedIdentity::MatchRepository,
        "remapIdentity" => SignedIdentity::RemapIdentity(
            Remap::parse(text("prefix"), text("signedPrefix")).expect("valid"),
        ),
        other => panic!("unknown type {other}"),
    }
}

fn remap_prefix(case: &Case) -> Result<(), String> {
    let text = |key| case.required_text(key);
    let remap = Remap::parse(text("prefix"), text("signed_prefix")).expect("valid");
    let image = Reference::parse(text("ref")).expect("a reference");
    let prefix_matches = remap.applies_to(&image);
    case.check(&match remap.apply(&image) {
        Ok(rewritten) => json!({
            "result": "ok",
            "prefix_matches": prefix_matches,
            "rewritten": rewritten.to_string(),
        }),
        Err(_error) => json!({ "result": "error", "prefix_matches": prefix_matches }),
    })
}
