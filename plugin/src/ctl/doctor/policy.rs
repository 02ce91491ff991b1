//! Whether policy.json and registries.d can be used, and whether they ask for anything.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use pullgate_policy::document::{Requirement, Requirements};
use pullgate_policy::namespace::Namespace;

use super::finding::Said;
use super::look::Node;
use crate::audit::chain;
use crate::config::Config;
use crate::trust::{Snapshot, Trust};

/// What the files of the policy say.
pub(super) type Policy = Result<Arc<Snapshot>, String>;

/// Reads the node's policy and those of namespaces.
pub(super) fn look(config: &Config) -> Vec<Policy> {
    let settings = config.trust();
    let folder = fs::read_dir(&settings.namespaces).into_iter().flatten().flatten();
    let mut files: Vec<PathBuf> = folder.map(|entry| entry.path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    files.sort();
    let trust = Trust::new(settings);
    let of =
        |namespace: Option<&Namespace>| trust.snapshot(namespace).map_err(|error| chain(&error));
    let named = files.iter().map(|path| {
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        let namespace = Namespace::parse(&name);
        of(Some(&namespace.map_err(|error| format!("{}: {}", path.display(), chain(&error)))?))
    });
    [of(None)].into_iter().chain(named).collect()
}

pub(super) fn check(node: &Node) -> Vec<Said> {
    let mut found: Vec<Said> = node.policies.iter().flat_map(judge).collect();
    if node.config.policy.keep_last_good {
        found.push(Said::advice(
            "policy.keep_last_good: a broken policy leaves the last one in force",
            "watch the journal: each pull logs it then",
        ));
    }
    found
}

fn judge(policy: &Policy) -> Vec<Said> {
    let snapshot = match policy {
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
    use super::{check, look};
    use crate::config::Config;
    use crate::ctl::doctor::finding::State;
    use crate::ctl::doctor::look::Node;

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
            let config = format!(
                "policy.path = '{0}/policy.json'\npolicy.registries_d = '{0}/none'\n\
                 policy.namespaces = '{0}/policies'",
                folder.path().display()
            );
            let config = Config::parse("c".as_ref(), &config).unwrap();
            let found = check(&Node { policies: look(&config), ..Node::default() });
            let states: Vec<State> = found.iter().map(|said| said.state).collect();
            assert_eq!(states, expected, "{text}: {found:?}");

            // A namespace's policy is judged by the same rules.
            let policies = folder.path().join("policies");
            std::fs::create_dir_all(&policies).unwrap();
            std::fs::rename(&path, policies.join("team.json")).unwrap();
            std::fs::write(&path, format!(r#"{{"default":{reject}}}"#)).unwrap();
            let found = check(&Node { policies: look(&config), ..Node::default() });
            let states: Vec<State> = found.iter().skip(1).map(|said| said.state).collect();
            assert_eq!(states, expected, "team: {text}: {found:?}");
            std::fs::remove_dir_all(&policies).unwrap();
        }
    }
}
