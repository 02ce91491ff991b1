//! Whether containerd answers CRI, directly and through pullgate, and in which version.

use std::fmt;

use super::finding::Said;
use super::look::Node;

/// Major and minor version of containerd.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Release(pub(super) u32, pub(super) u32);

impl Release {
    /// Reads `v2.1.9`, or `1.6.20~ds1` as Debian writes it.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut numbers = text.strip_prefix('v').unwrap_or(text).split('.');
        Some(Self(numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
    }
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.0, self.1)
    }
}

/// The oldest that the hand-off was measured with.
const OLDEST: Release = Release(1, 6);

pub(super) fn check(node: &Node) -> Vec<Said> {
    let Some(live) = &node.live else { return Vec::new() };
    let mut found = Vec::new();
    match &live.containerd.version {
        Ok(version) if Release::parse(version).is_some_and(|release| release >= OLDEST) => {
            found.push(Said::armed(format!("containerd {version} answers CRI v1")));
        }
        Ok(version) => found.push(Said::advice(
            format!("containerd {version} is a version that pullgate was never tested with"),
            "use containerd 1.6 or later",
        )),
        Err(why) => found.push(Said::unknown(
            format!("containerd at {}: {why}", node.config.containerd.socket.display()),
            "start containerd, or correct [containerd] socket of config.toml",
        )),
    }
    found.push(match (&live.gate.version, &live.containerd.version) {
        (Ok(ours), Ok(theirs)) if ours == theirs => Said::armed("and so it does through pullgate"),
        (Ok(ours), Ok(theirs)) => Said::unusable(
            format!("pullgate stands in front of another containerd: {ours}, not {theirs}"),
            "correct [containerd] socket of config.toml, and restart pullgated",
        ),
        (Ok(_), Err(_)) => Said::unusable(
            "pullgate stands in front of another containerd",
            "correct [containerd] socket of config.toml, and restart pullgated",
        ),
        (Err(why), _) => Said::unknown(
            format!("pullgate at {}: {why}", node.config.socket.display()),
            "systemctl start pullgated.socket pullgated.service; journalctl -u pullgated",
        ),
    });
    found
}

#[cfg(test)]
mod tests {
    use super::{Release, check};
    use crate::ctl::doctor::finding::State;
    use crate::ctl::doctor::look::{Live, Node, Peer};

    #[test]
    fn versions_are_read_as_distributions_write_them() {
        for (text, expected) in [
            ("v2.1.9", Some(Release(2, 1))),
            ("1.6.20~ds1", Some(Release(1, 6))),
            ("1.7.24~ds1", Some(Release(1, 7))),
            ("v2.3.0-rc.1", Some(Release(2, 3))),
            ("2", None),
            ("", None),
        ] {
            assert_eq!(Release::parse(text), expected, "{text}");
        }
    }

    #[test]
    fn both_sockets_must_answer_and_be_one_containerd() {
        let peer = |version: Option<&str>| Peer {
            version: version.map(str::to_owned).ok_or_else(|| "connection refused".to_owned()),
            ..Peer::default()
        };
        let (armed, unusable, unknown) = (State::Armed, State::Unusable, State::Unknown);
        for (theirs, ours, expected) in [
            (Some("1.7.24"), Some("1.7.24"), [armed, armed]),
            (Some("1.5.1"), Some("1.5.1"), [State::Advice, armed]),
            (Some("1.7.24"), Some("2.1.9"), [armed, unusable]),
            (Some("1.7.24"), None, [armed, unknown]),
            (None, Some("1.7.24"), [unknown, unusable]),
        ] {
            let live = Live { containerd: peer(theirs), gate: peer(ours), ..Live::default() };
            let found = check(&Node { live: Some(live), ..Node::default() });
            let found: Vec<State> = found.into_iter().map(|said| said.state).collect();
            assert_eq!(found, expected, "{theirs:?} {ours:?}");
        }
    }
}
