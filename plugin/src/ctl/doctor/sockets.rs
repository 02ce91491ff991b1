//! Who may connect to containerd past pullgate, and who to pullgate.

use std::fs;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::Path;

use super::finding::Said;
use super::look::Node;

/// A socket in the file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SocketFile {
    pub(super) owner: u32,
    pub(super) group: u32,
    pub(super) mode: u32,
}

impl SocketFile {
    pub(super) fn look(path: &Path) -> Result<Self, String> {
        let metadata = fs::metadata(path).map_err(|error| error.to_string())?;
        if !metadata.file_type().is_socket() {
            return Err("is no socket".to_owned());
        }
        let mode = metadata.mode() & 0o7777;
        Ok(Self { owner: metadata.uid(), group: metadata.gid(), mode })
    }
}

pub(super) fn check(node: &Node) -> Vec<Said> {
    let Some(live) = &node.live else { return Vec::new() };
    let containerd = (&live.containerd.file, node.config.containerd.socket.as_path());
    let gate = (&live.gate.file, node.config.socket.as_path());
    [(containerd, "can pull past pullgate"), (gate, "can act as kubelet")]
        .into_iter()
        .map(|((file, path), power)| judge(file.as_ref(), path, power))
        .collect()
}

fn judge(file: Result<&SocketFile, &String>, path: &Path, power: &str) -> Said {
    let path = path.display();
    let file = match file {
        Ok(file) => file,
        Err(why) => {
            let fix = "start the service that listens there, or correct config.toml";
            return Said::unknown(format!("{path}: {why}"), fix);
        }
    };
    let SocketFile { owner, group, mode } = *file;
    if mode & 0o002 != 0 {
        let what = format!("{path} has mode {mode:04o}: everyone on the node {power}");
        return Said::open(what, format!("chmod 0660 {path}"));
    }
    if owner != 0 {
        let what = format!("{path} belongs to uid {owner}, who {power}");
        return Said::open(what, format!("chown root {path}"));
    }
    if group != 0 && mode & 0o020 != 0 {
        let what =
            format!("{path} belongs to gid {group} with mode {mode:04o}: its members {power}");
        return Said::open(what, format!("chgrp root {path}, and see [grpc] gid of containerd"));
    }
    Said::armed(format!("{path} has mode {mode:04o} and belongs to root"))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{SocketFile, judge};
    use crate::ctl::doctor::finding::State;

    #[test]
    fn only_root_may_connect() {
        for (owner, group, mode, state, words) in [
            (0, 0, 0o660, State::Armed, "0660"),
            (0, 5, 0o600, State::Armed, "0600"),
            (0, 0, 0o666, State::Open, "everyone on the node can pull"),
            (0, 5, 0o660, State::Open, "gid 5"),
            (7, 0, 0o660, State::Open, "uid 7"),
        ] {
            let file = SocketFile { owner, group, mode };
            let said = judge(Ok(&file), Path::new("/s"), "can pull");
            assert_eq!(said.state, state, "{file:?}");
            assert!(said.what.contains(words), "{}", said.what);
        }
        let said = judge(Err(&"gone".to_owned()), Path::new("/s"), "");
        assert_eq!((said.state, said.what.as_str()), (State::Unknown, "/s: gone"));
    }
}
