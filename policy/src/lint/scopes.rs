//! Scopes: those that no image has, those that let too much through, and what registries.d says.

use super::{Mistake, Report};
use crate::document::{KeyType, Policy, Requirement, Requirements, SigstoreSigned};
use crate::identity::SignedIdentity;
use crate::lookaside::Lookaside;
use crate::reference::Reference;
use crate::scope;
use crate::strict::KeyPath;

const DOCKER: &str = "docker";

pub(super) fn look(policy: &Policy, lookaside: &Lookaside, report: &mut Report<'_>) {
    let docker = KeyPath::default().key("transports").key(DOCKER);
    let default = (KeyPath::default().key("default"), "", policy.default_requirements());
    let scoped =
        policy.scopes(DOCKER).map(|(scope, requirements)| (docker.key(scope), scope, requirements));
    let mut open = Vec::new();
    let mut strict = false;
    for (place, scope, requirements) in scoped.chain([default]) {
        if !scope.is_empty() && scope::sample(scope).is_none() {
            let (scope, why) = (scope.to_owned(), unreachable(scope));
            report.add(&place, Mistake::Unreachable { scope, why });
        }
        if !accepts_anything(requirements) {
            strict |= !scope.is_empty();
        } else if scope.is_empty() {
            open.push(place.clone());
        }
        for (index, requirement) in requirements.iter().enumerate() {
            look_at(requirement, &place.index(index), scope, lookaside, report);
        }
    }
    for place in open.into_iter().filter(|_| strict) {
        report.add(&place, Mistake::AcceptsTheRest);
    }
}

fn accepts_anything(requirements: &Requirements) -> bool {
    requirements.iter().all(|it| *it == Requirement::InsecureAcceptAnything)
}

fn look_at(
    requirement: &Requirement,
    place: &KeyPath,
    scope: &str,
    lookaside: &Lookaside,
    report: &mut Report<'_>,
) {
    match requirement {
        Requirement::SignedBaseLayer(_) => report.add(place, Mistake::BaseLayer),
        Requirement::SignedBy(signed) if signed.key_type != KeyType::GpgKeys => {
            let found = signed.key_type.name();
            report.add(&place.key("keyType"), Mistake::KeyType { found });
        }
        Requirement::SigstoreSigned(signed) => sigstore(signed, place, scope, lookaside, report),
        Requirement::InsecureAcceptAnything | Requirement::Reject | Requirement::SignedBy(_) => {}
    }
}

fn sigstore(
    signed: &SigstoreSigned,
    place: &KeyPath,
    scope: &str,
    lookaside: &Lookaside,
    report: &mut Report<'_>,
) {
    let tagged = match &signed.identity {
        SignedIdentity::ExactReference(_)
        | SignedIdentity::MatchExact
        | SignedIdentity::MatchRepoDigestOrExact
        | SignedIdentity::RemapIdentity(_) => true,
        SignedIdentity::ExactRepository(_) | SignedIdentity::MatchRepository => false,
    };
    if tagged {
        let identity = signed.identity.name();
        report.add(&place.key("signedIdentity"), Mistake::CosignIdentity { identity });
    }
    if !lookaside.may_use_sigstore_attachments(scope) {
        let section = match scope {
            "" => "registry.example.com".to_owned(),
            wildcard if wildcard.starts_with('*') => format!("\"{wildcard}\""),
            name => name.to_owned(),
        };
        report.add(place, Mistake::AttachmentsOff { section });
    }
}

/// Sections that are never looked up, keys that are ignored, and places that cannot be read.
pub(super) fn look_at_registries_d(lookaside: &Lookaside, report: &mut Report<'_>) {
    for key in lookaside.unknown_keys() {
        report.add_to_file(&key.file, Mistake::UnknownKey(key.clone()));
    }
    for (section, file) in lookaside.files() {
        if scope::sample(section).is_none() {
            let (section, why) = (section.to_owned(), unreachable(section));
            report.add_to_file(file, Mistake::LookasideUnreachable { section, why });
        }
    }
    for base in lookaside.bases() {
        if let Err(why) = base.host() {
            let (section, text) = (base.section.to_owned(), base.base.to_owned());
            report.add_to_file(base.file, Mistake::Lookaside { section, base: text, why });
        }
    }
}

/// Why no image has the scope, in words that say what to write.
fn unreachable(scope: &str) -> String {
    let host = scope.split('/').next().unwrap_or(scope);
    if scope == "*" {
        return "`*` stands for nothing by itself, the empty scope for every image".to_owned();
    }
    if scope.contains("://") {
        return "write it without `http://` or `https://`".to_owned();
    }
    if scope.starts_with("*.") && scope.contains([':', '/']) {
        return "a wildcard stands for hosts, without port and path".to_owned();
    }
    if scope.contains('*') {
        return "a wildcard stands only before the first dot, as in `*.example.com`".to_owned();
    }
    if host.contains(['.', ':']) && host.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return format!(
            "hosts are written in lower case, `{}`",
            scope.replacen(host, &host.to_lowercase(), 1)
        );
    }
    match Reference::parse(scope) {
        Ok(name) if name.tag().is_some() && name.digest().is_some() => {
            "a tag beside a digest is dropped: write one of them".to_owned()
        }
        Ok(name) if name.to_string() != scope => format!("the full name is `{name}`"),
        Ok(_) | Err(_) => "no image can have such a name".to_owned(),
    }
}
