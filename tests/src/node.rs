//! A node: a Debian with systemd and containerd, booted in a container. All that is done to it is
//! written to memory and gone with it. It shares the network of this machine, and so its loopback.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

use crate::cri::Cri;
use crate::package;
use crate::place;
use crate::process::Process;

/// A running node. Dropping it kills everything in it.
#[derive(Debug)]
pub struct Node {
    _process: Process,
    _directory: TempDir,
    /// The process that is number 1 inside.
    init: u32,
}

/// Where a node sees [`package::folder`].
pub const PACKAGES: &str = "/mnt";

impl Node {
    /// Boots a Debian 12, and waits until it has started what it starts by itself.
    pub async fn boot() -> Self {
        Self::of("node").await
    }

    /// Boots a Debian 13, whose systemd knows what that of Debian 12 does not.
    pub async fn boot_trixie() -> Self {
        Self::of("node-trixie").await
    }

    async fn of(root: &str) -> Self {
        let directory = place::on_disk("node");
        // containerd's snapshots are overlays, which cannot lie on the overlay that the node is.
        let containerd = directory.path().join("containerd");
        std::fs::create_dir(&containerd).expect("a folder for containerd");
        let log = directory.path().join("console");
        let mut process = Process::start("systemd-nspawn", &boot(root, &containerd), &log);
        let init = process.until("booting", async |process| init(process.id())).await;
        let booted = async |_: &Process| {
            let output = inside(init, "systemctl is-system-running").output().ok()?;
            let over = output.stdout == b"running\n" || output.stdout == b"degraded\n";
            over.then_some(())
        };
        process.until("booted", booted).await;
        let failed = inside(init, "systemctl list-units --failed --plain --no-legend").output();
        let failed = text(&failed.expect("nsenter to be installed"));
        assert_eq!(failed, "", "a unit failed while the node booted");
        Self { _process: process, _directory: directory, init }
    }

    /// The path on this machine of a file inside.
    #[must_use]
    pub fn path(&self, file: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root{file}", self.init))
    }

    /// Writes a file inside, and the folders above it.
    pub fn write(&self, file: &str, content: impl AsRef<[u8]>) {
        let path = self.path(file);
        std::fs::create_dir_all(path.parent().expect("a file lies in a folder"))
            .expect("a folder inside the node");
        std::fs::write(path, content).expect("a file inside the node");
    }

    /// All that its journal has of pullgated so far, in one of journalctl's formats.
    #[must_use]
    pub fn journal(&self, output: &str) -> String {
        self.run(&format!("journalctl --sync; journalctl -u pullgated -o {output}"))
    }

    /// Runs a shell script inside and returns what it printed, on either output. Panics with that if
    /// it fails.
    pub fn run(&self, script: &str) -> String {
        let output = self.attempt(script);
        let printed = text(&output);
        assert!(output.status.success(), "{script}: {}\n{printed}", output.status);
        printed
    }

    /// Runs a shell script inside that may fail.
    #[must_use]
    pub fn attempt(&self, script: &str) -> Output {
        self.command(script).output().expect("nsenter to be installed")
    }

    /// A command that runs a shell script inside.
    #[must_use]
    pub fn command(&self, script: &str) -> Command {
        inside(self.init, script)
    }

    /// A client of pullgate's socket.
    pub async fn cri(&self) -> Cri {
        let socket = self.path("/run/pullgate/pullgate.sock");
        Cri::connect(&socket).await.expect("the socket to be there")
    }
}

/// The path inside a node of a package.
///
/// # Panics
/// If it does not lie in [`package::folder`].
#[must_use]
pub fn seen(package: &Path) -> String {
    let inside = package.strip_prefix(package::folder()).expect("a package that nodes see");
    format!("{PACKAGES}/{}", inside.display())
}

/// What a command printed, on either output.
#[must_use]
pub fn text(output: &Output) -> String {
    String::from_utf8_lossy(&[&*output.stdout, &*output.stderr].concat()).into_owned()
}

/// In a PID namespace of its own: when the outermost process is killed, all of the node is.
fn boot(root: &str, containerd: &Path) -> Command {
    let mut command = Command::new("unshare");
    command.args(["--mount", "--pid", "--mount-proc", "--fork", "--kill-child", "systemd-nspawn"]);
    command.args(["--quiet", "--register=no", "--keep-unit", "--volatile=overlay"]);
    command.arg(format!("--machine=pullgate-{}", unique(containerd)));
    command.arg("--directory").arg(place::suite(root));
    // What containerd and runc need of the kernel.
    command.args(["--capability=all", "--system-call-filter=@keyring bpf"]);
    command.arg(format!("--bind={}:/var/lib/containerd", containerd.display()));
    command.arg(format!("--bind-ro={}:{PACKAGES}", package::folder().display()));
    // The overlay is writable as it is; to remount it may find it busy.
    command.args(["--boot", "systemd.mask=systemd-remount-fs.service"]);
    // Nor can modules be loaded; a newer systemd wants to be told that an old cgroup hierarchy is meant.
    command.arg("systemd.mask=systemd-modules-load.service");
    command.arg("--setenv=SYSTEMD_CGROUP_ENABLE_LEGACY_FORCE=1");
    command.arg("systemd.unit=multi-user.target");
    command
}

/// A name that no other node has: that of its temporary directory.
fn unique(containerd: &Path) -> String {
    let name = containerd.parent().and_then(Path::file_name).expect("a temporary directory");
    name.to_string_lossy().chars().filter(char::is_ascii_alphanumeric).collect()
}

/// unshare has one child, systemd-nspawn, which has one, the node's systemd.
fn init(unshare: u32) -> Option<u32> {
    let nspawn = only_child(unshare)?;
    let init = only_child(nspawn)?;
    let name = std::fs::read_to_string(format!("/proc/{init}/comm")).ok()?;
    (name.trim_end() == "systemd").then_some(init)
}

fn only_child(process: u32) -> Option<u32> {
    let children = format!("/proc/{process}/task/{process}/children");
    std::fs::read_to_string(children).ok()?.trim_end().parse().ok()
}

fn inside(init: u32, script: &str) -> Command {
    let mut command = Command::new("nsenter");
    command.arg(format!("--target={init}"));
    command.args(["--mount", "--uts", "--ipc", "--pid", "--cgroup", "--", "bash", "-c", script]);
    command.env_clear().env("PATH", "/usr/sbin:/usr/bin").env("DEBIAN_FRONTEND", "noninteractive");
    command.stdin(Stdio::null());
    command
}
