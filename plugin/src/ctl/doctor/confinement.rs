//! Where pullgated runs, and who can change what it runs from.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::finding::Said;
use super::look::{Live, Node};

/// Above it the kernel ends other processes later than pullgated when memory runs out.
const OOM_SCORE: i32 = -900;

/// A file or folder that decides what pullgated does.
#[derive(Debug, Clone)]
pub(super) struct Guarded {
    pub(super) path: PathBuf,
    pub(super) owner: u32,
    pub(super) mode: u32,
}

impl Guarded {
    /// Looks at those of `paths` that exist.
    pub(super) fn look(paths: impl IntoIterator<Item = PathBuf>) -> io::Result<Vec<Self>> {
        let mut found = Vec::new();
        for path in paths {
            match fs::metadata(&path) {
                Ok(metadata) => {
                    let mode = metadata.mode() & 0o7777;
                    found.push(Self { path, owner: metadata.uid(), mode });
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(found)
    }

    /// Every folder above `path`, and `path`.
    pub(super) fn with_parents(path: &Path) -> Vec<PathBuf> {
        path.ancestors().map(Path::to_owned).collect()
    }
}

pub(super) fn check(node: &Node) -> Vec<Said> {
    let mut found = files(node);
    if let Some(live) = &node.live {
        found.extend(process(live));
    }
    if found.is_empty() {
        found.push(Said::armed("nobody but root can change pullgated's program and configuration"));
    }
    found
}

fn files(node: &Node) -> Vec<Said> {
    let guarded = match &node.guarded {
        Ok(guarded) => guarded,
        Err(why) => {
            let what = format!("the files of pullgate cannot be looked at: {why}");
            return vec![Said::unknown(what, "run doctor as root")];
        }
    };
    let others = |file: &&Guarded| {
        // The sticky bit lets nobody replace another's files.
        let writable = file.mode & 0o022 != 0 && file.mode & 0o1000 == 0;
        file.owner != 0 || writable
    };
    let said = |file: &Guarded| {
        let path = file.path.display();
        let what = format!("{path} belongs to uid {} with mode {:04o}", file.owner, file.mode);
        Said::open(what, format!("chown root {path} && chmod go-w {path}"))
    };
    guarded.iter().filter(others).map(said).collect()
}

fn process(live: &Live) -> Vec<Said> {
    let ours = match &live.gate.process {
        Ok(ours) => ours,
        Err(why) => {
            let what = format!("pullgated cannot be looked at: {why}");
            return vec![Said::unknown(what, "systemctl status pullgated; run doctor as root")];
        }
    };
    let mut found = Vec::new();
    if ours.cgroup.contains("kubepods") {
        let what =
            "pullgated runs in a pod: no pod starts while it is down, so it never comes back";
        found.push(Said::unusable(what, "run it as the unit pullgated.service"));
    }
    if ours.cgroup.contains("containerd.service") || ours.cgroup.contains("kubelet.service") {
        let what = "pullgated runs in the cgroup of another service and ends with it";
        found.push(Said::unusable(what, "run it as the unit pullgated.service"));
    }
    if ours.user != 0 {
        let what = format!("pullgated runs as uid {}: containerd's socket is root's", ours.user);
        found.push(Said::advice(what, "run it as root, as the unit pullgated.service does"));
    }
    if ours.oom_score_adj > OOM_SCORE {
        let what = format!(
            "oom_score_adj of pullgated is {}: it may be killed for want of memory",
            ours.oom_score_adj
        );
        found.push(Said::advice(
            what,
            "set OOMScoreAdjust=-999, as the unit pullgated.service does",
        ));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::{Guarded, check};
    use crate::ctl::doctor::finding::State;
    use crate::ctl::doctor::look::{Live, Node, Peer};
    use crate::ctl::doctor::process::Process;

    #[test]
    fn nobody_else_may_write_what_decides() {
        for (owner, mode, state) in [
            (0, 0o755, State::Armed),
            (0, 0o1777, State::Armed),
            (0, 0o775, State::Open),
            (0, 0o646, State::Open),
            (7, 0o755, State::Open),
        ] {
            let guarded = Ok(vec![Guarded { path: "/etc/pullgate".into(), owner, mode }]);
            let found = check(&Node { guarded, ..Node::default() });
            assert_eq!(found.first().unwrap().state, state, "{owner} {mode:o}");
        }
    }

    #[test]
    fn a_daemon_that_depends_on_what_it_guards_is_found() {
        let unit = "0::/system.slice/pullgated.service";
        for (cgroup, user, oom_score_adj, state) in [
            (unit, 0, -999, State::Armed),
            (unit, 0, 0, State::Advice),
            (unit, 7, -999, State::Advice),
            ("0::/kubepods.slice/kubepods-pod1.slice", 0, -999, State::Unusable),
            ("0::/system.slice/containerd.service", 0, -999, State::Unusable),
        ] {
            let process =
                Process { cgroup: cgroup.to_owned(), user, oom_score_adj, ..Process::default() };
            let gate = Peer { process: Ok(process), ..Peer::default() };
            let live = Some(Live { gate, ..Live::default() });
            let found = check(&Node { live, ..Node::default() });
            assert_eq!(found.first().unwrap().state, state, "{cgroup} {user} {oom_score_adj}");
        }
    }
}
