//! A real containerd with its own root, state and socket.

use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::cri::Cri;
use crate::place;
use crate::process::{self, Process};
use crate::version::Version;

/// The image that a containerd of this harness takes for its sandboxes.
pub const SANDBOX_IMAGE: &str = "registry.example/pause:3.10";

/// What a test may want different.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// The `certs.d` directory. None: every registry name stands for itself.
    pub hosts: Option<PathBuf>,
    /// Lets containerd unpack with `igzip` (2.x) or `unpigz`, as it does where they are installed.
    pub helpers_in_path: bool,
    /// Gives it a disk of its own with so many bytes, empty at every start. Nobody else sees it.
    pub disk: Option<u64>,
    /// Appended to the configuration.
    pub extra: String,
}

/// A running containerd. Dropping it kills it and removes all it had; its mounts go with its own
/// mount namespace.
#[derive(Debug)]
pub struct Containerd {
    version: Version,
    settings: Settings,
    process: Process,
    state: TempDir,
    root: TempDir,
}

impl Containerd {
    /// Starts one that looks registries up in `hosts`, and waits until it serves CRI.
    pub async fn start(version: Version, hosts: &Path) -> Self {
        let hosts = Some(hosts.to_owned());
        Self::start_with(version, Settings { hosts, ..Settings::default() }).await
    }

    /// Starts one, and waits until it serves CRI.
    pub async fn start_with(version: Version, settings: Settings) -> Self {
        let (state, root) = (place::for_sockets("ctd"), place::on_disk("ctd"));
        let process = spawn(version, &settings, state.path(), root.path());
        let mut containerd = Self { version, settings, process, state, root };
        containerd.serve().await;
        containerd
    }

    /// Which version it is.
    #[must_use]
    pub const fn version(&self) -> Version {
        self.version
    }

    /// The unix socket that it serves.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.state.path().join("containerd.sock")
    }

    /// Its root directory: content, snapshots and metadata.
    #[must_use]
    pub fn root(&self) -> &Path {
        self.root.path()
    }

    /// Its process ID.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Everything it has logged.
    #[must_use]
    pub fn log(&self) -> String {
        self.process.log()
    }

    /// A client of its CRI services.
    pub async fn cri(&self) -> Cri {
        Cri::connect(&self.socket()).await.expect("a containerd that serves can be connected to")
    }

    /// Sends SIGTERM and waits for its end.
    pub async fn stop(&mut self) {
        self.process.stop().await;
    }

    /// Kills it without notice.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Starts it again on what it had, after [`Self::stop`] or [`Self::kill`].
    pub async fn start_again(&mut self) {
        self.process = spawn(self.version, &self.settings, self.state.path(), self.root.path());
        self.serve().await;
    }

    /// Runs this containerd's own `ctr` on the images of Kubernetes.
    pub fn ctr(&self, arguments: &[&str]) {
        let mut ctr = process::with_usr(&self.version.usr(), "/usr/bin/ctr");
        ctr.arg("--address").arg(self.socket()).args(["--namespace", "k8s.io"]).args(arguments);
        process::run(&mut ctr);
    }

    async fn serve(&mut self) {
        let socket = self.socket();
        let answers = async |_: &Process| Cri::connect(&socket).await?.version().await.ok();
        self.process.until("serving CRI", answers).await;
    }
}

/// Shims outlive their containerd, and containers their shim: those that a test left are ended.
impl Drop for Containerd {
    fn drop(&mut self) {
        self.process.kill();
        let socket = self.socket();
        process::kill_children_of(|command| {
            command.contains("containerd-shim") && command.contains(&*socket.to_string_lossy())
        });
    }
}

fn spawn(version: Version, settings: &Settings, state: &Path, root: &Path) -> Process {
    let config = state.join("config.toml");
    std::fs::write(&config, configuration(version, settings, state, root))
        .expect("the configuration to be written");
    let program = "/usr/bin/containerd";
    let mut command = match settings.disk {
        None => process::with_usr(&version.usr(), program),
        Some(bytes) => process::with_usr_and_disk(&version.usr(), root, bytes, program),
    };
    command.arg("--config").arg(&config);
    if !settings.helpers_in_path {
        command.env("CONTAINERD_DISABLE_PIGZ", "1").env("CONTAINERD_DISABLE_IGZIP", "1");
    }
    Process::start("containerd", &command, &state.join("log"))
}

/// Defaults, but for paths of its own and what a machine without `CAP_SYS_RESOURCE` needs.
fn configuration(version: Version, settings: &Settings, state: &Path, root: &Path) -> String {
    let (state, root) = (state.display(), root.display());
    let hosts = settings.hosts.as_deref().unwrap_or_else(|| Path::new("")).display();
    let (format, services) = match version {
        Version::V1_6 | Version::V1_7 => (2, one(&hosts)),
        Version::V2_1 => (3, two(&hosts)),
    };
    let nri = match version {
        Version::V1_6 => String::new(),
        Version::V1_7 | Version::V2_1 => {
            "[plugins.\"io.containerd.nri.v1.nri\"]\n  disable = true\n".to_owned()
        }
    };
    format!(
        "version = {format}
root = \"{root}\"
state = \"{state}/state\"
oom_score = 0
[grpc]
  address = \"{state}/containerd.sock\"
[ttrpc]
  address = \"{state}/containerd.sock.ttrpc\"
[plugins.\"io.containerd.internal.v1.opt\"]
  path = \"{root}/opt\"
{nri}{services}
{}",
        settings.extra
    )
}

fn one(hosts: &impl std::fmt::Display) -> String {
    format!(
        "[plugins.\"io.containerd.grpc.v1.cri\"]
  sandbox_image = \"{SANDBOX_IMAGE}\"
  restrict_oom_score_adj = true
  [plugins.\"io.containerd.grpc.v1.cri\".registry]
    config_path = \"{hosts}\""
    )
}

fn two(hosts: &impl std::fmt::Display) -> String {
    format!(
        "[plugins.\"io.containerd.cri.v1.runtime\"]
  restrict_oom_score_adj = true
[plugins.\"io.containerd.cri.v1.images\".pinned_images]
  sandbox = \"{SANDBOX_IMAGE}\"
[plugins.\"io.containerd.cri.v1.images\".registry]
  config_path = \"{hosts}\""
    )
}
