//! The daemon itself, in front of a containerd of the harness.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::Value;
use tempfile::TempDir;
use tokio::net::UnixDatagram;
use tokio::time::{sleep, timeout};

use crate::containerd::{Containerd, SANDBOX_IMAGE};
use crate::cri::Cri;
use crate::place;
use crate::process::{self, PATIENCE, Process};

/// What a test may want different.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// The text of `policy.json`. None: there is no such file.
    pub policy: Option<String>,
    /// The `registries.d` directory. None: one that does not exist.
    pub registries_d: Option<PathBuf>,
    /// The `certs.d` directory. None: one that does not exist.
    pub hosts: Option<PathBuf>,
    /// The command that it runs under, if any.
    pub wrapper: Vec<String>,
    /// Variables of its environment.
    pub environment: Vec<(String, String)>,
    /// Appended to `config.toml`, whose keys are written dotted: `log.level = 'debug'`.
    pub extra: String,
}

/// Its unit, for what systemd sets before it starts it.
const UNIT: &str = include_str!("../../systemd/pullgated.service");

/// A running `pullgated`. Dropping it kills it and removes all it had.
#[derive(Debug)]
pub struct Pullgated {
    command: Command,
    process: Process,
    directory: TempDir,
}

impl Pullgated {
    /// Starts one in front of `containerd`, and waits until it says that it is ready.
    pub async fn start(containerd: &Containerd, settings: &Settings) -> Self {
        let directory = place::for_sockets("gate");
        if let Some(policy) = &settings.policy {
            std::fs::write(directory.path().join("policy.json"), policy)
                .expect("policy.json to be written");
        }
        let text = configuration(containerd, settings, directory.path());
        let config = directory.path().join("config.toml");
        std::fs::write(&config, text).expect("config.toml to be written");
        let program = [place::built("pullgated").display().to_string()];
        let mut words = settings.wrapper.iter().chain(&program);
        let mut command = Command::new(words.next().expect("at least the program"));
        command.args(words).arg("--config").arg(&config);
        command.env("NOTIFY_SOCKET", directory.path().join("notify.sock"));
        command.envs(
            UNIT.lines().filter_map(|line| line.strip_prefix("Environment=")?.split_once('=')),
        );
        command.envs(settings.environment.iter().map(|(name, value)| (name, value)));
        let process = spawn(&command, directory.path()).await;
        Self { command, process, directory }
    }

    /// Kills it without notice.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Starts it again on what it had, after [`Self::stop`] or [`Self::kill`].
    pub async fn start_again(&mut self) {
        self.process = spawn(&self.command, self.directory.path()).await;
    }

    /// The same, and how long it took from the start of the process to its first answer.
    pub async fn start_again_timed(&mut self) -> Duration {
        let start = Instant::now();
        let (process, ready) = begin(&self.command, self.directory.path());
        self.process = process;
        let socket = self.socket();
        let answer = async {
            while async { Cri::connect(&socket).await?.version().await.ok() }.await.is_none() {
                sleep(Duration::from_millis(1)).await;
            }
            start.elapsed()
        };
        let taken = timeout(PATIENCE, answer).await.expect("Version to be answered");
        self.process.until("ready", async |_| said_ready(&ready)).await;
        taken
    }

    /// Its ledger.
    #[must_use]
    pub fn ledger(&self) -> PathBuf {
        self.directory.path().join("ledger.db")
    }

    /// The unix socket that it serves.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.directory.path().join("pullgate.sock")
    }

    /// A client of it.
    pub async fn cri(&self) -> Cri {
        Cri::connect(&self.socket()).await.expect("a daemon that is ready can be connected to")
    }

    /// Its policy file, for tests that change it.
    #[must_use]
    pub fn policy(&self) -> PathBuf {
        self.directory.path().join("policy.json")
    }

    /// Gives `namespace` a policy of its own.
    pub fn set_policy_of(&self, namespace: &str, policy: &str) {
        let folder = self.directory.path().join("policies");
        std::fs::create_dir_all(&folder).expect("a folder in a directory of our own");
        std::fs::write(folder.join(format!("{namespace}.json")), policy)
            .expect("the policy to be written");
    }

    /// Its configuration file, for tests that change it.
    #[must_use]
    pub fn config(&self) -> PathBuf {
        self.directory.path().join("config.toml")
    }

    /// Everything it has logged.
    #[must_use]
    pub fn log(&self) -> String {
        self.process.log()
    }

    /// The most memory that it ever had resident, in bytes.
    #[must_use]
    pub fn peak_memory(&self) -> u64 {
        process::peak(self.process.id())
    }

    /// Its process ID.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        self.process.signal(signal);
    }

    /// Sends SIGTERM and waits for the end.
    pub async fn stop(&mut self) -> ExitStatus {
        self.process.stop().await
    }
}

async fn spawn(command: &Command, directory: &Path) -> Process {
    let (mut process, ready) = begin(command, directory);
    process.until("ready", async |_| said_ready(&ready)).await;
    process
}

/// The process, and where it says that it is ready.
fn begin(command: &Command, directory: &Path) -> (Process, UnixDatagram) {
    let notify = directory.join("notify.sock");
    if notify.exists() {
        std::fs::remove_file(&notify).expect("the socket of the last start to be removed");
    }
    let ready = UnixDatagram::bind(&notify).expect("a socket in a directory of our own");
    (Process::start("pullgated", command, &directory.join("log")), ready)
}

/// Dotted keys at the top: `extra` can add to every table.
fn configuration(containerd: &Containerd, settings: &Settings, directory: &Path) -> String {
    let or_none = |path: &Option<PathBuf>| path.clone().unwrap_or_else(|| directory.join("none"));
    format!(
        "cri.socket = '{0}/pullgate.sock'
containerd.socket = '{1}'
containerd.sandbox_image = '{SANDBOX_IMAGE}'
policy.path = '{0}/policy.json'
policy.namespaces = '{0}/policies'
policy.registries_d = '{2}'
ledger.path = '{0}/ledger.db'
registry.config_path = '{3}'
{4}",
        directory.display(),
        containerd.socket().display(),
        or_none(&settings.registries_d).display(),
        or_none(&settings.hosts).display(),
        settings.extra
    )
}

/// A policy that refuses everything but what `key` has signed in `scope`.
#[must_use]
pub fn policy(scope: &str, key: &Path) -> String {
    let signed = serde_json::json!({"type": "signedBy", "keyType": "GPGKeys", "keyPath": key});
    transports(scope, &signed)
}

/// A policy that accepts everything.
#[must_use]
pub fn accept_anything() -> String {
    serde_json::json!({"default": [{"type": "insecureAcceptAnything"}]}).to_string()
}

fn transports(scope: &str, requirement: &Value) -> String {
    let docker = serde_json::json!({ scope: [requirement] });
    let reject = serde_json::json!([{"type": "reject"}]);
    serde_json::json!({"default": reject, "transports": {"docker": docker}}).to_string()
}

fn said_ready(socket: &UnixDatagram) -> Option<()> {
    let mut message = [0; 4096];
    let length = socket.try_recv(&mut message).ok()?;
    let text = String::from_utf8_lossy(&message[..length]);
    text.lines().any(|line| line == "READY=1").then_some(())
}
