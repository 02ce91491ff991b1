//! Kinds about policy.json.

use std::ptr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pullgate_policy::document::{
    Account, Dialect, Fulcio, OidcIdentity, Pki, Policy, Requirement, Requirements, SigstoreSigned,
    Source, TrustRoot,
};
use pullgate_policy::identity::SignedIdentity;
use pullgate_policy::reference::{PullReference, Reference};
use pullgate_policy::scope;
use serde_json::{Map, Value, json};

use crate::corpus::{Case, Runner};
use crate::names::docker_transport_reference;

/// The kinds that this module runs.
pub(crate) const KINDS: &[(&str, Runner)] =
    &[("policy-parse", policy_parse), ("scope-lookup", scope_lookup)];

fn policy_parse(case: &Case) -> Result<(), String> {
    let text = case.bytes("policy").expect("a policy");
    let Ok(policy) = Policy::parse(&text, Dialect::Standard) else {
        return case.check(&json!({ "result": "parse-error" }));
    };
    // A row that may also be refused gives no normalized form.
    let Some(normalized) = case.expected.get("normalized") else {
        return case.check(&json!({ "result": "accept" }));
    };
    let expected = canonical(normalized);
    let found = write_policy(&policy);
    if found != expected {
        return Err(format!("expected {expected}\n  found {found}"));
    }
    case.check(&json!({ "result": "accept", "normalized": normalized }))
}

fn write_policy(policy: &Policy) -> Value {
    let mut transports = Map::new();
    for transport in policy.transports() {
        let scopes = policy.scopes(transport);
        let scopes: Map<_, _> =
            scopes.map(|(scope, list)| (scope.to_owned(), write_requirements(list))).collect();
        transports.insert(transport.to_owned(), Value::Object(scopes));
    }
    json!({
        "default": write_requirements(policy.default_requirements()),
        "transports": transports,
    })
}

fn write_requirements(requirements: &Requirements) -> Value {
    requirements.iter().map(write_requirement).collect()
}

fn write_requirement(requirement: &Requirement) -> Value {
    match requirement {
        Requirement::InsecureAcceptAnything => json!({ "type": "insecureAcceptAnything" }),
        Requirement::Reject => json!({ "type": "reject" }),
        Requirement::SignedBaseLayer(identity) => {
            json!({ "type": "signedBaseLayer", "baseLayerIdentity": write_identity(identity) })
        }
        Requirement::SignedBy(signed_by) => {
            let mut value = json!({
                "type": "signedBy",
                "keyType": signed_by.key_type.name(),
                "signedIdentity": write_identity(&signed_by.identity),
            });
            write_source(&mut value, "key", &signed_by.keys);
            value
        }
        Requirement::SigstoreSigned(signed) => write_sigstore(signed),
    }
}

fn write_sigstore(signed: &SigstoreSigned) -> Value {
    let mut value = json!({
        "type": "sigstoreSigned",
        "signedIdentity": write_identity(&signed.identity),
    });
    match &signed.root {
        TrustRoot::Fulcio { fulcio, rekor } => {
            let Fulcio { ca, identity: OidcIdentity { oidc_issuer, account } } = fulcio;
            let Account::Email(subject_email) = account else { panic!("only ours: {account:?}") };
            value["fulcio"] = json!({ "oidcIssuer": oidc_issuer, "subjectEmail": subject_email });
            write_source(&mut value["fulcio"], "ca", ca);
            write_source(&mut value, "rekorPublicKey", rekor);
        }
        TrustRoot::Keys { keys, rekor } => {
            write_source(&mut value, "key", keys);
            if let Some(rekor) = rekor {
                write_source(&mut value, "rekorPublicKey", rekor);
            }
        }
        TrustRoot::Pki(Pki { roots, intermediates, subject_email, subject_hostname }) => {
            value["pki"] = json!({});
            let subjects = [("subjectEmail", subject_email), ("subjectHostname", subject_hostname)];
            for (key, subject) in subjects {
                if let Some(subject) = subject {
                    value["pki"][key] = json!(subject);
                }
            }
            write_source(&mut value["pki"], "caRoots", roots);
            if let Some(intermediates) = intermediates {
                write_source(&mut value["pki"], "caIntermediates", intermediates);
            }
        }
        TrustRoot::Trusted { .. } => panic!("only ours: {signed:?}"),
    }
    value
}

/// Writes a source as a list, whether it was one or not.
fn write_source(value: &mut Value, stem: &str, source: &Source) {
    match source {
        Source::Data(texts) => {
            let texts: Vec<_> = texts.iter().map(|text| STANDARD.encode(text)).collect();
            value[format!("{stem}Datas")] = json!(texts);
        }
        Source::Paths(paths) => value[format!("{stem}Paths")] = json!(paths),
    }
}

fn write_identity(identity: &SignedIdentity) -> Value {
    match identity {
        SignedIdentity::ExactReference(reference) => {
            json!({ "type": "exactReference", "dockerReference": reference.to_string() })
        }
        SignedIdentity::ExactRepository(reference) => {
            json!({ "type": "exactRepository", "dockerRepository": reference.to_string() })
        }
        SignedIdentity::MatchExact => json!({ "type": "matchExact" }),
        SignedIdentity::MatchRepoDigestOrExact => json!({ "type": "matchRepoDigestOrExact" }),
        SignedIdentity::MatchRepository => json!({ "type": "matchRepository" }),
        SignedIdentity::RemapIdentity(remap) => json!({
            "type": "remapIdentity",
            "prefix": remap.prefix(),
            "signedPrefix": remap.signed_prefix(),
        }),
    }
}

/// The `normalized` form of a case in the spelling of [`write_policy`]: names in full, and a list
/// where a member gives one key.
fn canonical(value: &Value) -> Value {
    if let Some(items) = value.as_array() {
        return items.iter().map(canonical).collect();
    }
    match value.as_object() {
        Some(members) => members.iter().map(|(key, value)| member(key, value)).collect(),
        None => value.clone(),
    }
}

fn member(key: &str, value: &Value) -> (String, Value) {
    let one_key = key.ends_with("Path") || key.ends_with("Data");
    match value.as_str() {
        Some(_) if one_key => (format!("{key}s"), json!([value])),
        Some(text) if matches!(key, "dockerReference" | "dockerRepository") => {
            let reference = Reference::parse(text).expect("a reference");
            (key.to_owned(), json!(reference.to_string()))
        }
        Some(_) | None => (key.to_owned(), canonical(value)),
    }
}

fn scope_lookup(case: &Case) -> Result<(), String> {
    let requirement = json!([{ "type": "reject" }]);
    let mut transports = case.inputs["scopes"].clone();
    for scopes in transports.as_object_mut().expect("an object").values_mut() {
        let names = scopes.as_array().expect("a list").iter();
        *scopes = names
            .map(|name| (name.as_str().expect("a string").to_owned(), requirement.clone()))
            .collect();
    }
    let document = json!({ "default": requirement, "transports": transports });
    let policy =
        Policy::parse(document.to_string().as_bytes(), Dialect::Standard).expect("a policy");

    let transport = case.required_text("transport");
    let found = match transport {
        "docker" => {
            let Some(reference) = docker_transport_reference(case.required_text("ref")) else {
                return case.check(&json!({ "result": "error" }));
            };
            docker_scope(&policy, &reference)
        }
        // References of other transports never reach a node; the rows only reach their default.
        _other => policy.scopes(transport).map(|(scope, _)| scope).find(|scope| scope.is_empty()),
    };
    case.check(&match found {
        Some(scope) => json!({ "result": "found", "transport": transport, "scope": scope }),
        None => json!({ "result": "default" }),
    })
}

/// The scope that decides about `reference`. A pull never has a host with upper-case letters, so
/// such a reference is looked up by the candidates themselves.
fn docker_scope<'a>(policy: &'a Policy, reference: &Reference) -> Option<&'a str> {
    let scopes = || policy.scopes("docker");
    let Ok(pull) = PullReference::parse(&reference.to_string()) else {
        let mut candidates = scope::candidates(reference);
        candidates.push(String::new());
        return candidates
            .iter()
            .find_map(|name| scopes().map(|(scope, _)| scope).find(|scope| scope == name));
    };
    let chosen = policy.applicable(&pull).requirements;
    scopes().find(|(_, requirements)| ptr::eq(*requirements, chosen)).map(|(scope, _)| scope)
}
