//! One look at the node: everything that the checks judge is read here, and nothing later.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::confinement::Guarded;
use super::finding::Said;
use super::hosts::HostsFile;
use super::kubelet::Kubelet;
use super::ledger::LedgerFile;
use super::policy::{self, Policy};
use super::process::Process;
use super::sockets::SocketFile;
use super::verifier::Folder;
use super::versions::Release;
use super::{clock, expiry};
use crate::audit::chain;
use crate::config::{self, Config};
use crate::containerd::Containerd;
use crate::containerd::settings::Settings;

/// How long a socket may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// The node, as it was when it was looked at.
#[derive(Debug)]
pub(super) struct Node {
    /// pullgate's own configuration.
    pub(super) config: Config,
    pub(super) kubelet: Kubelet,
    /// containerd's configuration.
    pub(super) settings: Settings,
    pub(super) hosts: Vec<HostsFile>,
    pub(super) verifiers: Folder,
    /// The node's policy, and those of namespaces.
    pub(super) policies: Vec<Policy>,
    /// The key and certificate files that they name.
    pub(super) keys: BTreeMap<PathBuf, Vec<u8>>,
    pub(super) ledger: LedgerFile,
    pub(super) guarded: Result<Vec<Guarded>, String>,
    /// When files were written that the clock is compared with.
    pub(super) written: Vec<(PathBuf, SystemTime)>,
    pub(super) now: SystemTime,
    /// What runs. None below another root.
    pub(super) live: Option<Live>,
    /// The version of containerd where nothing runs that could tell.
    pub(super) known_release: Option<Release>,
}

/// What runs.
#[derive(Debug, Default)]
pub(super) struct Live {
    pub(super) containerd: Peer,
    pub(super) gate: Peer,
    pub(super) synchronised: Option<bool>,
}

/// A service behind a socket.
#[derive(Debug, Clone)]
pub(super) struct Peer {
    pub(super) file: Result<SocketFile, String>,
    pub(super) process: Result<Process, String>,
    /// The version that CRI answers.
    pub(super) version: Result<String, String>,
}

impl Node {
    /// Looks at this node; at its files alone where `files_only`.
    pub(super) fn look(config: Config, named: Option<&Path>, files_only: bool) -> io::Result<Self> {
        let live = if files_only { None } else { Some(Live::look(&config)?) };
        let kubelets = if files_only { Vec::new() } else { Process::named("kubelet")? };
        let running = live.as_ref().and_then(|live| live.containerd.process.as_ref().ok());
        let named_file = running.and_then(|process| {
            // k3s and RKE2 start theirs with the short flag.
            let flag = |name| Process::flag(&process.arguments, name);
            flag("config").or_else(|| flag("c"))
        });
        let settings =
            named_file.map_or_else(Settings::look_at_usual, |file| Settings::look(Path::new(file)));
        let policies = policy::look(&config);

        let own = named.unwrap_or_else(|| Path::new(config::DEFAULT_PATH));
        let daemon = live.as_ref().and_then(|live| live.gate.process.as_ref().ok());
        let program = daemon.map_or_else(
            || PathBuf::from("/usr/bin/pullgated"),
            |daemon| daemon.executable.clone(),
        );
        let guarded = [own, program.as_path()].into_iter().flat_map(Guarded::with_parents);
        let guarded = Guarded::look(guarded).map_err(|error| error.to_string());
        let files = policies.iter().flatten().map(|snapshot| snapshot.policy_path());
        let written = clock::written([own, program.as_path()].into_iter().chain(files));
        Ok(Self {
            kubelet: Kubelet::look(kubelets.first()),
            hosts: HostsFile::look(&settings, &config.registry.config_path),
            verifiers: Folder::look(&settings),
            written,
            guarded,
            keys: expiry::look(&policies),
            ledger: LedgerFile::look(&config.ledger.path),
            policies,
            settings,
            config,
            now: SystemTime::now(),
            live,
            known_release: None,
        })
    }

    /// containerd's version, if anything tells.
    pub(super) fn release(&self) -> Option<Release> {
        let version = self.live.as_ref().and_then(|live| live.containerd.version.as_ref().ok());
        version.and_then(|version| Release::parse(version)).or(self.known_release)
    }
}

impl Live {
    fn look(config: &Config) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let containerd = &config.containerd.socket;
        let peer = |socket: &Path, name: &str, unit: &str| Peer {
            file: SocketFile::look(socket),
            process: Process::at(socket, name, unit).map_err(|error| error.to_string()),
            version: runtime.block_on(version(socket)),
        };
        Ok(Self {
            containerd: peer(containerd, "containerd", "containerd.service"),
            gate: peer(&config.socket, "pullgated", "pullgated.service"),
            synchronised: clock::synchronised(),
        })
    }
}

async fn version(socket: &Path) -> Result<String, String> {
    let containerd = Containerd::new(socket);
    match tokio::time::timeout(PATIENCE, containerd.node()).await {
        Ok(Ok(node)) => Ok(node.version),
        Ok(Err(error)) => Err(chain(&error)),
        Err(_elapsed) => Err(format!("no answer within {} s", PATIENCE.as_secs())),
    }
}

/// What is said where nothing runs.
pub(super) fn not_running() -> Said {
    Said::skipped("nothing runs below another root")
}

#[cfg(test)]
impl Default for Node {
    fn default() -> Self {
        Self {
            config: Config::parse(Path::new("c"), "").unwrap(),
            kubelet: Kubelet::default(),
            settings: Settings::default(),
            hosts: Vec::new(),
            verifiers: Folder::default(),
            policies: Vec::new(),
            keys: BTreeMap::new(),
            ledger: LedgerFile::default(),
            guarded: Ok(Vec::new()),
            written: Vec::new(),
            now: SystemTime::UNIX_EPOCH,
            live: None,
            known_release: None,
        }
    }
}

impl Default for Peer {
    fn default() -> Self {
        let unseen = || "not looked at".to_owned();
        Self { file: Err(unseen()), process: Err(unseen()), version: Err(unseen()) }
    }
}
