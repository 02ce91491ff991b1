//! A real systemd-journald of a test's own, in a mount namespace: nothing reaches the machine's journal.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use crate::place;
use crate::process::{Process, run};

const JOURNALD: &str = "/lib/systemd/systemd-journald";

/// Everything that is said is kept, and nothing but what is said to this journal.
const SETTINGS: &str = "[Journal]\nStorage=volatile\nReadKMsg=no\nAudit=no\nRateLimitBurst=0\n";

/// A running journal. Dropping it ends it and removes what it has.
#[derive(Debug)]
pub struct Journal {
    directory: TempDir,
    _process: Process,
}

impl Journal {
    /// Starts one, and waits until it listens.
    pub async fn start() -> Self {
        let directory = place::for_sockets("journal");
        let path = directory.path();
        for name in ["sockets", "log", "catalog", "locales"] {
            std::fs::create_dir(path.join(name)).expect("a directory");
        }
        std::fs::write(path.join("journald.conf"), SETTINGS).expect("the settings");
        let script = "mount -t tmpfs tmpfs /run && mount -t tmpfs tmpfs /var/log &&
            mkdir -p /run/systemd/journal /run/log/journal &&
            mount --bind \"$0/sockets\" /run/systemd/journal &&
            mount --bind \"$0/log\" /run/log/journal &&
            mount --bind \"$0/journald.conf\" /etc/systemd/journald.conf && exec \"$@\"";
        let mut command = in_namespace(script, path);
        command.arg(JOURNALD);
        let mut process = Process::start("systemd-journald", &command, &path.join("journald.log"));
        let socket = path.join("sockets/stdout");
        process.until("listening", async |_| socket.exists().then_some(())).await;
        Self { directory, _process: process }
    }

    /// The command under which a program runs as systemd runs a service: both its outputs go to this
    /// journal, and `JOURNAL_STREAM` says so.
    #[must_use]
    pub fn wrapper(&self) -> Vec<String> {
        let script = "mount -t tmpfs tmpfs /run && mkdir -p /run/systemd/journal &&
            mount --bind \"$0/sockets\" /run/systemd/journal &&
            exec systemd-cat sh -c 'JOURNAL_STREAM=$(stat -L -c %d:%i /proc/self/fd/2) exec \"$@\"' sh \
            \"$@\"";
        let command = in_namespace(script, self.directory.path());
        [command.get_program()]
            .into_iter()
            .chain(command.get_args())
            .map(|word| word.to_str().expect("names of our own").to_owned())
            .collect()
    }

    /// The records that match, as `journalctl -o json` shows them.
    #[must_use]
    pub fn records(&self, matches: &[&str]) -> Vec<Value> {
        let mut command = Command::new("journalctl");
        command.arg("--directory").arg(self.log()).args(["-o", "json", "--all"]).args(matches);
        let lines = String::from_utf8(run(&mut command)).expect("JSON is UTF-8");
        lines.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
    }

    /// What `journalctl -x` shows of the records that match, with the catalogue's files of `directory`
    /// and, unless it is empty, in this language.
    #[must_use]
    pub fn explained(&self, directory: &Path, language: &str, matches: &[&str]) -> String {
        let root = self.directory.path().join("catalog");
        let installed = root.join("usr/lib/systemd");
        std::fs::create_dir_all(&installed).expect("a directory");
        let copy = ["-r", "-T", &text(directory), &text(&installed.join("catalog"))];
        run(Command::new("cp").args(copy));
        run(Command::new("journalctl").arg("--root").arg(&root).arg("--update-catalog"));
        let locales = self.directory.path().join("locales");
        let locale = if language.is_empty() { "C.UTF-8" } else { language };
        run(Command::new("cp")
            .args(["-r", "-T", "/usr/lib/locale/C.utf8"])
            .arg(locales.join(locale)));
        let script =
            "mount --bind \"$0/catalog/var/lib/systemd/catalog\" /var/lib/systemd/catalog &&
            exec \"$@\"";
        let mut command = in_namespace(script, self.directory.path());
        command.arg("journalctl").arg("--directory").arg(self.log()).arg("-x").args(matches);
        command.env("LOCPATH", &locales).env("LC_ALL", locale);
        String::from_utf8(run(&mut command)).expect("the catalogue is UTF-8")
    }

    fn log(&self) -> PathBuf {
        self.directory.path().join("log")
    }
}

fn in_namespace(script: &str, directory: &Path) -> Command {
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "slave", "sh", "-c", script]).arg(directory);
    command
}

fn text(path: &Path) -> String {
    path.display().to_string()
}
