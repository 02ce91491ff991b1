//! A running process, as /proc shows it.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};

/// What a process was started with, and where it runs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Process {
    pub(super) id: i32,
    pub(super) arguments: Vec<String>,
    pub(super) environment: BTreeMap<String, String>,
    /// The lines of its cgroup file.
    pub(super) cgroup: String,
    pub(super) executable: PathBuf,
    pub(super) user: u32,
    pub(super) oom_score_adj: i32,
}

impl Process {
    /// The process that listens at `socket`. One that systemd opened belongs to a process named
    /// `name` of the unit `unit`.
    pub(super) fn at(socket: &Path, name: &str, unit: &str) -> io::Result<Self> {
        let stream = UnixStream::connect(socket)?;
        let id = getsockopt(&stream, PeerCredentials)?.pid();
        if id != 1 {
            return Self::read(id);
        }
        let found = Self::named(name)?.into_iter().find(|process| process.cgroup.contains(unit));
        found.ok_or_else(|| {
            io::Error::other(format!("systemd listens there, and {unit} does not run"))
        })
    }

    /// Every process of this name.
    pub(super) fn named(name: &str) -> io::Result<Vec<Self>> {
        let mut found = Vec::new();
        for entry in fs::read_dir("/proc")? {
            let Ok(id) = entry?.file_name().to_string_lossy().parse::<i32>() else { continue };
            // A process may end while it is looked at.
            let is = fs::read_to_string(format!("/proc/{id}/comm"))
                .is_ok_and(|comm| comm.trim() == name);
            if is && let Ok(process) = Self::read(id) {
                found.push(process);
            }
        }
        Ok(found)
    }

    fn read(id: i32) -> io::Result<Self> {
        let file = |name: &str| PathBuf::from(format!("/proc/{id}/{name}"));
        let text = |name: &str| {
            fs::read(file(name)).map(|text| String::from_utf8_lossy(&text).into_owned())
        };
        let environment = text("environ")?;
        let variables = environment.split('\0').filter_map(|variable| variable.split_once('='));
        Ok(Self {
            id,
            arguments: text("cmdline")?.split_terminator('\0').map(str::to_owned).collect(),
            environment: variables
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
            cgroup: text("cgroup")?,
            executable: fs::read_link(file("exe"))?,
            user: fs::metadata(file(""))?.uid(),
            oom_score_adj: text("oom_score_adj")?.trim().parse().unwrap_or_default(),
        })
    }

    /// The value of the flag `--name`, written with `=` or as two arguments. The last one counts.
    pub(super) fn flag<'a>(arguments: &'a [String], name: &str) -> Option<&'a str> {
        let mut found = None;
        for (place, argument) in arguments.iter().enumerate() {
            let Some(flag) = argument.strip_prefix("--").or_else(|| argument.strip_prefix('-'))
            else {
                continue;
            };
            match flag.split_once('=') {
                Some((flag, value)) if flag == name => found = Some(value),
                None if flag == name => found = arguments.get(place + 1).map(String::as_str),
                _ => {}
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::Process;

    #[test]
    fn flags_are_read_in_both_spellings_and_the_last_one_counts() {
        let arguments = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        for (text, expected) in [
            ("kubelet --config=/a", Some("/a")),
            ("kubelet --config /a", Some("/a")),
            ("containerd -config /a", Some("/a")),
            ("kubelet --config=/a --v=2 --config=/b", Some("/b")),
            ("kubelet --config-dir=/a", None),
            ("kubelet --config", None),
            ("kubelet", None),
        ] {
            assert_eq!(Process::flag(&arguments(text), "config"), expected, "{text}");
        }
    }

    #[test]
    fn this_process_can_be_looked_at() {
        let own = Process::read(std::process::id().cast_signed()).unwrap();
        assert_eq!(own.executable, std::env::current_exe().unwrap());
        assert!(own.environment.contains_key("PATH"), "{own:?}");
    }
}
