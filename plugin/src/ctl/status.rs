//! `pullgate status`: whether the gate stands, and what it decides by.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::time::{Duration, Instant};

use clap::Args;
use serde::Serialize;
use tokio::net::UnixStream;

use super::output::Report;
use super::{Context, CtlError, Exit, doctor};
use crate::audit::{chain, printable};
use crate::containerd::Containerd;
use crate::ledger::{Filter, Store};

/// Longest wait for the daemon.
const PATIENCE: Duration = Duration::from_secs(10);

/// Show whether the daemon answers, and which policy is in force
#[derive(Debug, Args)]
pub(super) struct Status {}

impl Status {
    pub(super) fn run(context: &Context) -> Result<Exit, CtlError> {
        let daemon = context.block_on(Daemon::ask(context))?;
        let policy = Policy::read(context);
        let ledger = Ledger::read(context);
        let doors = doctor::summary(context)?;
        let exit = match (&daemon.error, &policy.error) {
            (Some(_), _) => Exit::Infrastructure,
            (None, Some(_)) => Exit::Usage,
            (None, None) => Exit::Accepted,
        };
        context.output.print(&Shown { daemon, policy, ledger, doors })?;
        Ok(exit)
    }
}

#[derive(Debug, Serialize)]
struct Shown {
    daemon: Daemon,
    policy: Policy,
    ledger: Ledger,
    /// What `pullgate doctor` counts.
    doors: String,
}

/// The daemon, seen through its socket.
#[derive(Debug, Serialize)]
struct Daemon {
    socket: String,
    /// What containerd says behind it.
    runtime: Option<String>,
    latency_us: Option<u64>,
    /// Why it does not answer.
    error: Option<String>,
}

impl Daemon {
    async fn ask(context: &Context) -> Self {
        let socket = &context.config.socket;
        if let Err(error) = UnixStream::connect(socket).await {
            return Self::silent(socket.display().to_string(), error.to_string());
        }
        let daemon = Containerd::new(socket);
        let began = Instant::now();
        let answer = tokio::time::timeout(PATIENCE, daemon.version()).await;
        let latency = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
        let socket = socket.display().to_string();
        match answer {
            Ok(Ok(runtime)) => {
                Self { socket, runtime: Some(runtime), latency_us: Some(latency), error: None }
            }
            Ok(Err(error)) => Self::silent(socket, chain(&error)),
            Err(_elapsed) => {
                Self::silent(socket, format!("no answer within {} s", PATIENCE.as_secs()))
            }
        }
    }

    const fn silent(socket: String, why: String) -> Self {
        Self { socket, runtime: None, latency_us: None, error: Some(why) }
    }
}

/// The node's policy.
#[derive(Debug, Default, Serialize)]
struct Policy {
    file: Option<String>,
    hash: Option<String>,
    scopes: Option<usize>,
    /// Why every pull is refused.
    error: Option<String>,
}

impl Policy {
    fn read(context: &Context) -> Self {
        match context.snapshot(None) {
            Ok(snapshot) => Self {
                file: Some(snapshot.policy_path().display().to_string()),
                hash: Some(snapshot.fingerprint().to_string()),
                scopes: Some(snapshot.policy().scopes("docker").count()),
                error: None,
            },
            Err(error) => Self { error: Some(chain(&error)), ..Self::default() },
        }
    }
}

/// What the node remembers.
#[derive(Debug, Default, Serialize)]
struct Ledger {
    file: String,
    /// How many outcomes it holds, by outcome; null if nothing was ever written.
    outcomes: Option<BTreeMap<&'static str, usize>>,
    /// Why it cannot be read.
    error: Option<String>,
}

impl Ledger {
    fn read(context: &Context) -> Self {
        let path = &context.config.ledger.path;
        let file = path.display().to_string();
        if !path.exists() {
            return Self { file, ..Self::default() };
        }
        let entries = Store::open_read_only(path)
            .and_then(|store| store.history(&Filter { limit: u32::MAX, ..Filter::default() }));
        match entries {
            Ok(entries) => {
                let mut outcomes = BTreeMap::new();
                for entry in entries {
                    *outcomes.entry(entry.outcome.as_str()).or_insert(0) += 1;
                }
                Self { file, outcomes: Some(outcomes), error: None }
            }
            Err(error) => Self { file, outcomes: None, error: Some(chain(&error)) },
        }
    }
}

impl Report for Shown {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        let Daemon { socket, runtime, latency_us, error } = &self.daemon;
        let socket = printable(socket);
        match (runtime, latency_us, error) {
            (Some(runtime), Some(latency), None) => {
                writeln!(
                    out,
                    "daemon  answers at {socket} in {latency} us: {}",
                    printable(runtime)
                )?;
            }
            (_, _, error) => {
                let why = error.as_deref().unwrap_or_default();
                writeln!(out, "daemon  does not answer at {socket}: {}", printable(why))?;
            }
        }
        match (&self.policy.file, &self.policy.hash) {
            (Some(file), Some(hash)) => {
                let scopes = self.policy.scopes.unwrap_or_default();
                writeln!(out, "policy  {} ({hash}), {scopes} scopes", printable(file))?;
            }
            (_, _) => {
                let why = self.policy.error.as_deref().unwrap_or_default();
                writeln!(out, "policy  unusable, every pull is refused: {}", printable(why))?;
            }
        }
        let Ledger { file, outcomes, error } = &self.ledger;
        match (outcomes, error) {
            (_, Some(why)) => writeln!(out, "ledger  unreadable: {}", printable(why))?,
            (None, None) => writeln!(out, "ledger  {}, nothing yet", printable(file))?,
            (Some(outcomes), None) => {
                let counts: Vec<String> =
                    outcomes.iter().map(|(outcome, count)| format!("{count} {outcome}")).collect();
                let counts = if counts.is_empty() { "empty".to_owned() } else { counts.join(", ") };
                writeln!(out, "ledger  {}, {counts}", printable(file))?;
            }
        }
        writeln!(out, "doors   {}", self.doors)
    }
}
