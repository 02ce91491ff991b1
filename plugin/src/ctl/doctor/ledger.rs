//! Whether the ledger can be read. Without it nothing is less safe, but every image is verified anew.

use std::io;
use std::path::{Path, PathBuf};

use nix::sys::statvfs::statvfs;

use super::finding::Said;
use super::look::Node;
use crate::audit::chain;
use crate::ledger::Store;

/// Less than a day's rows with their evidence.
const ROOM: u64 = 64 << 20;

/// What was found of the ledger.
#[derive(Debug, Default)]
pub(super) struct LedgerFile {
    pub(super) path: PathBuf,
    /// Why it cannot be read; none if it can.
    pub(super) problem: Option<String>,
    pub(super) missing: bool,
    /// Ledgers that were set aside because they were damaged.
    pub(super) aside: Vec<PathBuf>,
    /// Bytes that are left on its disk.
    pub(super) room: Option<u64>,
}

impl LedgerFile {
    pub(super) fn look(path: &Path) -> Self {
        let missing =
            path.symlink_metadata().is_err_and(|error| error.kind() == io::ErrorKind::NotFound);
        let problem = if missing { None } else { Store::open_read_only(path).err() };
        let folder = path.parent().unwrap_or_else(|| Path::new("/"));
        let prefix = format!("{}.damaged-", path.file_name().unwrap_or_default().to_string_lossy());
        let beside = folder.read_dir().into_iter().flatten().flatten();
        let damaged =
            beside.filter(|entry| entry.file_name().to_string_lossy().starts_with(&prefix));
        let mut aside: Vec<PathBuf> = damaged.map(|entry| entry.path()).collect();
        aside.sort();
        let room = statvfs(folder).ok().map(|disk| disk.blocks_available() * disk.fragment_size());
        let problem = problem.map(|error| chain(&error));
        Self { path: path.to_owned(), problem, missing, aside, room }
    }
}

pub(super) fn check(node: &Node) -> Vec<Said> {
    let LedgerFile { path, problem, missing, aside, room } = &node.ledger;
    let shown = path.display();
    let mut found = Vec::new();
    if *missing && node.live.is_some() {
        let what = format!("{shown} does not exist: nothing that was decided is remembered");
        found.push(Said::advice(what, "systemctl restart pullgated, and see its journal"));
    }
    if let Some(problem) = problem {
        let what = format!("{shown}: {problem}: nothing that was decided is remembered");
        found.push(Said::advice(what, "move it away, and systemctl restart pullgated"));
    }
    for file in aside {
        let what = format!("{} was set aside because it was damaged", file.display());
        found.push(Said::advice(what, "see to the disk, then remove the file"));
    }
    if let Some(room) = room.filter(|room| *room < ROOM) {
        let what = format!("{} MiB are left on the disk of {shown}", room >> 20);
        found.push(Said::advice(what, "make room: what is decided cannot be remembered"));
    }
    if found.is_empty() && !missing {
        found.push(Said::armed(format!("{shown} can be read")));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::{LedgerFile, check};
    use crate::ctl::doctor::finding::State;
    use crate::ctl::doctor::look::{Live, Node};

    #[test]
    fn a_ledger_that_cannot_be_used_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger.db");
        let found = || {
            let ledger = LedgerFile { room: None, ..LedgerFile::look(&path) };
            check(&Node { ledger, live: Some(Live::default()), ..Node::default() })
        };
        let missing = found();
        assert_eq!(missing.first().unwrap().state, State::Advice, "{missing:?}");
        std::fs::write(&path, b"no database").unwrap();
        std::fs::write(folder.path().join("ledger.db.damaged-1"), b"").unwrap();
        let damaged = found();
        assert_eq!(damaged.len(), 2, "{damaged:?}");
        assert!(damaged.iter().all(|said| said.state == State::Advice), "{damaged:?}");
        let full = LedgerFile { path, room: Some(1 << 20), ..LedgerFile::default() };
        let full = check(&Node { ledger: full, ..Node::default() });
        assert!(full.first().unwrap().what.contains("1 MiB are left"), "{full:?}");
    }
}
