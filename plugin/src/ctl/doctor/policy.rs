//! Whether policy.json and registries.d can be used, and whether they ask for anything.

use std::sync::Arc;

use pullgate_policy::document::{Requirement, Requirements};

use super::finding::Said;
use super::look::Node;
use crate::trust::Snapshot;

/// What the files of the policy say.
pub(super) type Policy = Result<Arc<Snapshot>, String>;

pub(super) fn check(node: &Node) -> Vec<Said> {
    let snapshot = match &node.policy {
        Ok(snapshot) => snapshot,
        Err(why) => {
            let fix = "mend it: every pull is refused until then";
            return vec![Said::unusable(why.clone(), fix)];
        }
    };
    let file = snapshot.policy_path().display().to_string();
    let mut found = vec![Said::armed(format!("{file} is usable"))];
    found.extend(unreadable(snapshot));
    found.extend(unasked(snapshot, &file));
    if node.config.policy.keep_last_good {
        found.push(Said::advice(
            "policy.keep_last_good: a broken policy leaves the last one in force",
            "watch the journal: each pull logs it then",
        ));
    }
    found
}

/// Key files that cannot be read refuse everything in their scope.
fn unreadable(snapshot: &Snapshot) -> Vec<Said> {
    let policy = snapshot.policy();
    let scopes = policy.transports().flat_map(|transport| policy.scopes(transport));
    let lists = scopes.map(|(_, list)| list).chain([policy.default_requirements()]);
    let mut found: Vec<String> = lists
        .flat_map(|list| Snapshot::material(list).into_values().filter_map(Result::err))
        .collect();
    found.sort();
    found.dedup();
    let fix = "export the key or certificate there: its scopes refuse every image";
    found.into_iter().map(|why| Said::unusable(why, fix)).collect()
}

/// Scopes for which anything is accepted.
fn unasked(snapshot: &Snapshot, file: &str) -> Vec<Said> {
    let policy = snapshot.policy();
    let anything = |list: &Requirements| {
        list.iter().all(|requirement| *requirement == Requirement::InsecureAcceptAnything)
    };
    let docker = policy.scopes("docker").filter(|(_, list)| anything(list)).map(|(scope, _)| scope);
    let mut found: Vec<Said> = docker
        .map(|scope| {
            let scope = if scope.is_empty() { "every registry without a scope" } else { scope };
            let what = format!("{file} accepts anything of {scope} (insecureAcceptAnything)");
            Said::advice(what, "ask for signatures there, or reject it")
        })
        .collect();
    let covered = policy.scopes("docker").any(|(scope, _)| scope.is_empty());
    if !covered && anything(policy.default_requirements()) {
        found.push(Said::open(
            format!(
                "{file} accepts anything that no scope names (insecureAcceptAnything as default)"
            ),
            "let `default` be [{\"type\":\"reject\"}], and give each registry in use a scope",
        ));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::ctl::doctor::finding::State;
    use crate::ctl::doctor::look::Node;
    use crate::trust::{Settings, Trust};

    #[test]
    fn a_policy_that_asks_for_nothing_is_an_open_door() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("policy.json");
        let any = r#"[{"type":"insecureAcceptAnything"}]"#;
        let reject = r#"[{"type":"reject"}]"#;
        let scoped = |default: &str, scope: &str, list: &str| {
            format!(r#"{{"default":{default},"transports":{{"docker":{{"{scope}":{list}}}}}}}"#)
        };
        let key = r#"[{"type":"signedBy","keyType":"GPGKeys","keyPath":"/nowhere/k.gpg"}]"#;
        let (armed, advice, open) = (State::Armed, State::Advice, State::Open);
        for (text, expected) in [
            (format!(r#"{{"default":{reject}}}"#), vec![armed]),
            (format!(r#"{{"default":{any}}}"#), vec![armed, open]),
            (scoped(any, "", reject), vec![armed]),
            (scoped(reject, "", any), vec![armed, advice]),
            (scoped(reject, "a.example", any), vec![armed, advice]),
            (scoped(reject, "a.example", key), vec![armed, State::Unusable]),
            ("{".to_owned(), vec![State::Unusable]),
        ] {
            std::fs::write(&path, &text).unwrap();
            let settings = Settings {
                policy: Some(path.clone()),
                registries_d: Some(folder.path().join("none")),
                extensions: false,
                keep_last_good: false,
            };
            let policy = Trust::new(settings).snapshot().map_err(|error| error.to_string());
            let found = check(&Node { policy, ..Node::default() });
            let states: Vec<State> = found.iter().map(|said| said.state).collect();
            assert_eq!(states, expected, "{text}: {found:?}");
        }
    }
}
