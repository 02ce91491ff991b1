//! Key and certificate files: unreadable, unusable, about to end, or named by a relative path.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, SystemTime};

use super::{Mistake, Report};
use crate::decision::TrustMaterial;
use crate::document::Policy;
use crate::signature::anchor::{Anchor, anchors};
use crate::strict::{Json, KeyPath, json};

/// How long before its end a key is spoken of.
const AHEAD: Duration = Duration::from_secs(30 * DAY);

const DAY: u64 = 24 * 60 * 60;

pub(super) fn look(
    text: &[u8],
    policy: &Policy,
    material: &TrustMaterial,
    now: SystemTime,
    report: &mut Report<'_>,
) {
    let Ok(document) = json(text) else { return };
    let files = policy.files();
    let mut places = Vec::new();
    find(&document, &files, &KeyPath::default(), &mut places);
    let mut seen = BTreeSet::new();
    for (place, file) in places {
        if file.is_relative() {
            report.add(&place, Mistake::RelativePath { path: file.display().to_string() });
        } else if seen.insert(file) {
            for mistake in mistakes(file, material, now) {
                report.add(&place, mistake);
            }
        }
    }
}

/// Every text of the document that is one of the policy's files.
fn find<'a>(
    value: &'a Json,
    files: &BTreeSet<&Path>,
    place: &KeyPath,
    found: &mut Vec<(KeyPath, &'a Path)>,
) {
    match value {
        Json::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                find(item, files, &place.index(index), found);
            }
        }
        Json::Object(members) => {
            for (key, member) in members {
                find(member, files, &place.key(key), found);
            }
        }
        Json::String(text) => {
            found.extend(
                Some(Path::new(text))
                    .filter(|path| files.contains(path))
                    .map(|path| (place.clone(), path)),
            );
        }
        Json::Bool(_) | Json::Null | Json::Number(_) => {}
    }
}

fn mistakes(file: &Path, material: &TrustMaterial, now: SystemTime) -> Vec<Mistake> {
    let name = file.display().to_string();
    let content = match material.get(file) {
        Some(Ok(content)) => content,
        Some(Err(why)) => return vec![Mistake::Unreadable { why: why.clone() }],
        None => return Vec::new(),
    };
    match anchors(content, now) {
        Ok(found) => found.iter().filter_map(|anchor| mistake(anchor, &name, now)).collect(),
        Err(error) => {
            let cause = std::error::Error::source(&error);
            let cause = cause.map(|cause| format!(": {cause}")).unwrap_or_default();
            vec![Mistake::Unusable { file: name, why: format!("{error}{cause}") }]
        }
    }
}

fn mistake(anchor: &Anchor, file: &str, now: SystemTime) -> Option<Mistake> {
    let file = file.to_owned();
    if let Some(fault) = &anchor.fault {
        let why = if fault.contains(&anchor.fingerprint) {
            fault.clone()
        } else {
            format!("key {}: {fault}", anchor.fingerprint)
        };
        return Some(Mistake::Unusable { file, why });
    }
    let left = anchor.expires?.duration_since(now).ok().filter(|left| *left < AHEAD)?;
    let fingerprint = anchor.fingerprint.clone();
    Some(Mistake::Ending { file, fingerprint, days: left.as_secs() / DAY })
}
