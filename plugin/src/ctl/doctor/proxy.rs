//! Proxies: containerd has them in its own unit, where pullgated does not see them.

use std::collections::BTreeMap;

use pullgate_policy::lookaside::without_userinfo;

use super::finding::Said;
use super::look::Node;

const NAMES: [&str; 3] = ["HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"];

pub(super) fn check(node: &Node) -> Vec<Said> {
    let Some(live) = &node.live else { return Vec::new() };
    match (&live.containerd.process, &live.gate.process) {
        (Ok(theirs), Ok(ours)) => compare(&theirs.environment, &ours.environment),
        (Err(why), _) => vec![unseen("containerd", why)],
        (_, Err(why)) => vec![unseen("pullgated", why)],
    }
}

fn unseen(who: &str, why: &str) -> Said {
    Said::unknown(format!("the environment of {who} cannot be read: {why}"), "run doctor as root")
}

type Environment = BTreeMap<String, String>;

fn compare(theirs: &Environment, ours: &Environment) -> Vec<Said> {
    let fix = |name: &str, value: &str| {
        format!("write {name}={value} to /etc/default/pullgated, and restart pullgated")
    };
    let found: Vec<Said> = NAMES
        .iter()
        .filter_map(|name| match (value(theirs, name), value(ours, name)) {
            (Some(theirs), None) if *name == "NO_PROXY" && !proxied(ours) => {
                let theirs = without_userinfo(theirs);
                let what = format!(
                    "containerd has {name}={theirs}, pullgated has not, and no proxy either"
                );
                Some(Said::advice(what, fix(name, &theirs)))
            }
            (Some(theirs), None) => {
                let theirs = without_userinfo(theirs);
                let what = format!(
                    "containerd has {name}={theirs}, pullgated has not: its pulls may fail"
                );
                Some(Said::unusable(what, fix(name, &theirs)))
            }
            (Some(theirs), Some(ours)) if theirs != ours => {
                let (theirs, ours) = (without_userinfo(theirs), without_userinfo(ours));
                let what = format!("containerd has {name}={theirs}, pullgated has {ours}");
                Some(Said::advice(what, fix(name, &theirs)))
            }
            _ => None,
        })
        .collect();
    if found.is_empty() {
        return vec![Said::armed("pullgated has the proxies that containerd has")];
    }
    found
}

fn proxied(environment: &Environment) -> bool {
    value(environment, "HTTP_PROXY").or_else(|| value(environment, "HTTPS_PROXY")).is_some()
}

/// Both spellings are in use. An empty value is none.
fn value<'a>(environment: &'a Environment, name: &str) -> Option<&'a str> {
    let found = environment.get(name).or_else(|| environment.get(&name.to_lowercase()));
    found.map(String::as_str).filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::{Environment, compare};
    use crate::ctl::doctor::finding::State;

    #[test]
    fn what_containerd_has_we_must_have() {
        let environment = |text: &str| -> Environment {
            let variables = text.split_whitespace().filter_map(|text| text.split_once('='));
            variables.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
        };
        for (theirs, ours, state) in [
            ("", "", State::Armed),
            ("", "HTTPS_PROXY=http://p", State::Armed),
            ("HTTPS_PROXY=http://p", "https_proxy=http://p", State::Armed),
            ("HTTPS_PROXY=", "", State::Armed),
            ("HTTPS_PROXY=http://p", "", State::Unusable),
            ("HTTPS_PROXY=http://p", "HTTPS_PROXY=http://q", State::Advice),
            ("NO_PROXY=a", "", State::Advice),
            ("HTTP_PROXY=http://p NO_PROXY=a", "HTTP_PROXY=http://p", State::Unusable),
        ] {
            let found = compare(&environment(theirs), &environment(ours));
            let said = found.first().unwrap();
            assert_eq!((found.len(), said.state), (1, state), "{theirs} | {ours}: {found:?}");
        }
    }

    #[test]
    fn a_proxys_password_is_not_shown() {
        let with = |proxy: &str| Environment::from([("HTTPS_PROXY".to_owned(), proxy.to_owned())]);
        let theirs = with("http://user:secret@p.example:3128");
        for ours in [Environment::new(), with("http://other:secret@q.example")] {
            let shown = format!("{:?}", compare(&theirs, &ours));
            assert!(shown.contains("p.example:3128") && !shown.contains("secret"), "{shown}");
        }
    }
}
