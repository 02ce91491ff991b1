//! Keys and certificates that the policy trusts: which have ended, and which soon will.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use pullgate_policy::signature::anchor::{Anchor, anchors};

use super::finding::Said;
use super::look::Node;
use super::policy::Policy;
use crate::audit::chain;
use crate::trust::Snapshot;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// How long before its end a key is spoken of, the most urgent first.
const WARNINGS: [(Duration, &str); 3] = [
    (DAY, "within a day"),
    (Duration::from_secs(7 * 86_400), "within a week"),
    (Duration::from_secs(30 * 86_400), "within a month"),
];

/// The content of every key and certificate file that a policy names and that can be read.
pub(super) fn look(policies: &[Policy]) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for snapshot in policies.iter().flatten() {
        let policy = snapshot.policy();
        let scopes = policy.transports().flat_map(|transport| policy.scopes(transport));
        for list in scopes.map(|(_, list)| list).chain([policy.default_requirements()]) {
            let material = Snapshot::material(list).into_iter();
            found.extend(material.filter_map(|(path, content)| Some((path, content.ok()?))));
        }
    }
    found
}

pub(super) fn check(node: &Node) -> Vec<Said> {
    let found: Vec<Said> =
        node.keys.iter().flat_map(|(path, content)| judge(path, content, node.now)).collect();
    if found.is_empty() {
        return vec![Said::armed(format!(
            "{} key files, and nothing in them ends soon",
            node.keys.len()
        ))];
    }
    found
}

fn judge(path: &Path, content: &[u8], now: SystemTime) -> Vec<Said> {
    let fix = "get the current key or certificate from its owner";
    let found = match anchors(content, now) {
        Ok(found) => found,
        Err(error) => {
            let what = format!("{}: {}", path.display(), chain(&error));
            return vec![Said::unusable(what, fix)];
        }
    };
    let in_force = |it: &Anchor| it.fault.is_none() && it.expires.is_none_or(|end| end > now);
    let usable = found.iter().any(in_force);
    found.iter().filter_map(|anchor| of_anchor(path, anchor, usable, now)).collect()
}

fn of_anchor(path: &Path, anchor: &Anchor, another: bool, now: SystemTime) -> Option<Said> {
    let fix = "get the current key or certificate from its owner";
    let what = |text: &str| format!("{}: {} {text}", path.display(), anchor.fingerprint);
    if let Some(fault) = &anchor.fault {
        // An old key beside its successor does no harm.
        let said = if another { Said::advice } else { Said::unusable };
        return Some(said(what(fault), fix.to_owned()));
    }
    let expires = anchor.expires?;
    let end = humantime::format_rfc3339_seconds(expires);
    let Ok(left) = expires.duration_since(now) else {
        // What it signed while it was in use still counts.
        let what = what(&format!("went out of use on {end}"));
        return (!another).then(|| Said::unusable(what, fix.to_owned()));
    };
    let (urgent, within) = WARNINGS.iter().find(|(warning, _)| left <= *warning)?;
    let said = if *urgent == DAY { Said::unusable } else { Said::advice };
    Some(said(what(&format!("ends {within}, {end}")), fix.to_owned()))
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::{Duration, SystemTime};

    use super::{DAY, judge};
    use crate::ctl::doctor::finding::State;

    #[test]
    fn what_ends_soon_is_told_in_time() {
        let end = SystemTime::UNIX_EPOCH + Duration::from_secs(2_000_000_000);
        let mut parameters = rcgen::CertificateParams::new([]).unwrap();
        parameters.not_before = (end - 400 * DAY).into();
        parameters.not_after = end.into();
        parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let key = rcgen::KeyPair::generate().unwrap();
        let pem = parameters.self_signed(&key).unwrap().pem();
        for (now, expected, words) in [
            (end - 100 * DAY, None, ""),
            (end - 29 * DAY, Some(State::Advice), "within a month, 2033-05-18T03:33:20Z"),
            (end - 6 * DAY, Some(State::Advice), "within a week"),
            (end - DAY / 2, Some(State::Unusable), "within a day"),
            (end + DAY, Some(State::Unusable), "expired on 2033-05-18T03:33:20Z"),
        ] {
            let found = judge(Path::new("/k.pem"), pem.as_bytes(), now);
            assert_eq!(found.first().map(|said| said.state), expected, "{found:?}");
            let what = found.first().map_or("", |said| &said.what);
            assert!(what.contains(words), "{what}");
        }
        let found = judge(Path::new("/k.pem"), b"no key", end);
        assert_eq!(found.first().unwrap().state, State::Unusable);
    }
    #[test]
    fn what_went_out_of_use_is_told_where_nothing_else_is_left() {
        let root =
            include_bytes!("../../../../tests/conformance/data/sigstore-bundles/trusted_root.json");
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        let judged = |root: &[u8]| judge(Path::new("/root.json"), root, now);
        assert_eq!(judged(root), [], "one authority of two went out of use");
        let mut root: serde_json::Value = serde_json::from_slice(root).unwrap();
        root["certificateAuthorities"] = serde_json::Value::Null;
        root["timestampAuthorities"] = serde_json::Value::Null;
        root["tlogs"] = vec![root["tlogs"][0].take()].into();
        assert_eq!(judged(root.to_string().as_bytes()), []);
        root["tlogs"][0]["publicKey"]["validFor"]["end"] = "2024-02-03T04:05:06Z".into();
        let found = judged(root.to_string().as_bytes());
        assert_eq!(found.first().map(|said| said.state), Some(State::Unusable), "{found:?}");
        assert!(found[0].what.ends_with("went out of use on 2024-02-03T04:05:06Z"), "{found:?}");
    }
}
