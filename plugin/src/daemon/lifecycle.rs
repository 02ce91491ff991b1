//! The life of the daemon: start, reload, drain.

use std::future::pending;
use std::os::unix::net::UnixListener;
use std::panic::resume_unwind;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use sd_notify::NotifyState;
use tokio::runtime::Handle;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinError;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

use super::command::DaemonError;
use super::startup::{self, Policy};
use super::{anchors, assemble, containerd, housekeeping, notify, scrapes};
use crate::audit::log::Level;
use crate::audit::{chain, message_id, printable};
use crate::config::Config;
use crate::cri::{self, Approval, Door, Server, Upstream, socket};
use crate::ledger::Ledger;
use crate::metrics::Metrics;
use crate::pull::{Gate, Wanted};

/// How long calls under way may take to end after SIGTERM. Less than `TimeoutStopSec` of the unit.
const DRAIN: Duration = Duration::from_secs(30);

/// How long calls that were ended have to clean up.
const CLEAN_UP: Duration = Duration::from_secs(3);

/// Runs until told to stop.
pub(super) async fn run(
    path: Option<PathBuf>,
    config: Config,
    level: Level,
    activated: Option<UnixListener>,
) -> Result<(), DaemonError> {
    let mut signals = Signals::new().map_err(DaemonError::Runtime)?;
    let mut gate = assemble(&config, None)?;
    gate.ledger = Arc::new(Ledger::open(&config.ledger.path, config.ledger.bounds)?);
    startup::modes(&config);
    let policy = startup::policy(&gate.trust);
    let (gates, gate) = watch::channel(Arc::new(gate));
    let listener = listen(&config, activated)?;
    let upstream = Upstream::new(&config.containerd.socket);
    let metrics = Arc::clone(&gate.borrow().metrics);
    let _scrapes = scrapes::serve(&config, &metrics).await;
    let work = TaskTracker::new();
    let door = door(upstream, &gate, &work, metrics);
    let server = cri::serve(listener, door).map_err(DaemonError::Runtime)?;
    let mut daemon = Daemon { path, config, level, gates };
    let containerd = daemon.gates.borrow().containerd.clone();
    tokio::select! {
        () = daemon.work(&mut signals, &policy, &server) => {}
        () = anchors::watch(gate.clone()) => {}
        () = scrapes::measure(gate) => {}
        () = containerd.follow_records() => {}
    }
    stop(&server, &mut signals.stop).await;
    work.close();
    let audits = daemon.gates.borrow().audits.clone();
    audits.drain().await;
    // What cancelled pulls left in containerd is given back before the runtime ends.
    let cleaned = async {
        work.wait().await;
        containerd.drain().await;
    };
    if tokio::time::timeout(CLEAN_UP, cleaned).await.is_err() {
        tracing::warn!("a lease is left to expire: containerd did not answer in time");
    }
    Ok(())
}

fn listen(config: &Config, activated: Option<UnixListener>) -> Result<UnixListener, DaemonError> {
    match activated {
        Some(listener) => Ok(listener),
        None => Ok(socket::bind(&config.socket, &config.containerd.socket)?),
    }
}

/// Each call goes through the gate that is in force when it begins.
fn door(
    upstream: Upstream,
    gate: &watch::Receiver<Arc<Gate>>,
    work: &TaskTracker,
    metrics: Arc<Metrics>,
) -> Door {
    let pull = decided(gate, work, |gate, request| async move { gate.pull(request).await });
    let admit = |gate: Arc<Gate>, images: Vec<Wanted>| async move { gate.admit_all(&images).await };
    let admit = decided(gate, work, admit);
    let admit_sandbox =
        decided(gate, work, |gate, pod| async move { gate.admit_sandbox(pod).await });
    let approve =
        decided(gate, work, |gate, image: Approval| async move { gate.approve(&image).await });
    Door::new(upstream, pull, admit, admit_sandbox, metrics).approving(approve)
}

/// What `decide` says. It works here and not on the thread that passes calls on; `work` waits for it.
/// Dropping the future ends it.
fn decided<Question, Answer, Work>(
    gate: &watch::Receiver<Arc<Gate>>,
    work: &TaskTracker,
    decide: impl Fn(Arc<Gate>, Question) -> Work + Send + Sync + 'static,
) -> Box<dyn Fn(Question) -> BoxFuture<'static, Answer> + Send + Sync>
where
    Answer: Send + 'static,
    Work: Future<Output = Answer> + Send + 'static,
{
    let (gate, work, here) = (gate.clone(), work.clone(), Handle::current());
    Box::new(move |question| {
        let decision = decide(Arc::clone(&gate.borrow()), question);
        let decision = AbortOnDropHandle::new(work.spawn_on(decision, &here));
        async {
            match decision.await.map_err(JoinError::try_into_panic) {
                Ok(answer) => answer,
                Err(Ok(panic)) => resume_unwind(panic),
                // The daemon ends.
                Err(Err(_)) => pending().await,
            }
        }
        .boxed()
    })
}

struct Daemon {
    path: Option<PathBuf>,
    config: Config,
    level: Level,
    gates: watch::Sender<Arc<Gate>>,
}

impl Daemon {
    /// Answers signals and the watchdog until it is time to stop.
    async fn work(&mut self, signals: &mut Signals, policy: &Policy, server: &Server) {
        let socket = self.config.containerd.socket.clone();
        let containerd = self.gates.borrow().containerd.clone();
        let mut probe = Some(containerd::wait(&containerd, &socket).boxed());
        let mut house = None;
        let mut watchdog = notify::watchdog().map(tokio::time::interval);
        loop {
            tokio::select! {
                node = next(&mut probe) => {
                    probe = None;
                    startup::record(&self.config, policy, node.as_ref());
                    notify::tell(&[NotifyState::Ready]);
                    house = Some(housekeeping::keep(self.gates.subscribe()).boxed());
                }
                () = next(&mut house) => house = None,
                () = tick(&mut watchdog) => {
                    server.between_calls(|| notify::tell(&[NotifyState::Watchdog]));
                }
                _ = signals.hangup.recv() => self.reload(),
                () = signals.stop.came() => return,
            }
        }
    }

    /// Reads the configuration again. One that is not valid changes nothing.
    fn reload(&mut self) {
        notify::tell_reloading();
        let read = self.reread();
        self.gates.borrow().metrics.config_read(read.is_ok());
        match read {
            Ok(()) => tracing::info!(
                MESSAGE_ID = message_id::CONFIG_READ,
                "the configuration was read again"
            ),
            Err(error) => {
                let text = chain(&error);
                tracing::error!(
                    MESSAGE_ID = message_id::CONFIG_KEPT,
                    "the configuration stays as it was: {}",
                    printable(&text)
                );
            }
        }
        notify::tell(&[NotifyState::Ready]);
    }

    fn reread(&mut self) -> Result<(), DaemonError> {
        let mut config = Config::read(self.path.as_deref())?;
        let fixed = [
            ("cri.socket", &mut config.socket, &self.config.socket),
            ("containerd.socket", &mut config.containerd.socket, &self.config.containerd.socket),
            ("ledger.path", &mut config.ledger.path, &self.config.ledger.path),
        ];
        for (key, new, old) in fixed {
            if new != old {
                tracing::warn!("`{key}` stays {} until a restart", old.display());
                new.clone_from(old);
            }
        }
        if config.metrics != self.config.metrics {
            tracing::warn!("`metrics` stays as it was until a restart");
            config.metrics.clone_from(&self.config.metrics);
        }
        let (hashing, containerd) =
            (&self.config.registry.interleave_hashing, &self.config.containerd);
        let (placing, decompressing) = (&containerd.place_layers, &containerd.decompress_layers);
        let fixed = [
            ("registry.interleave_hashing", &mut config.registry.interleave_hashing, hashing),
            ("containerd.place_layers", &mut config.containerd.place_layers, placing),
            (
                "containerd.decompress_layers",
                &mut config.containerd.decompress_layers,
                decompressing,
            ),
        ];
        for (key, new, old) in fixed {
            if new != old {
                tracing::warn!("`{key}` stays {old} until a restart");
                *new = *old;
            }
        }
        let gate = assemble(&config, Some(&self.gates.borrow()))?;
        startup::modes(&config);
        self.gates.send_replace(Arc::new(gate));
        self.level.set(config.log_level);
        self.config = config;
        Ok(())
    }
}

/// Lets calls under way end; a second signal, or the time, ends them.
async fn stop(server: &Server, again: &mut Stop) {
    notify::tell(&[NotifyState::Stopping]);
    tracing::info!("stopping: calls under way have {} s to end", DRAIN.as_secs());
    let forced = tokio::select! {
        () = server.drain() => return,
        () = again.came() => "a second signal",
        () = tokio::time::sleep(DRAIN) => "time",
    };
    tracing::warn!("calls under way are ended by {forced}");
    if tokio::time::timeout(CLEAN_UP, server.end()).await.is_err() {
        tracing::error!("calls did not clean up in {} s", CLEAN_UP.as_secs());
    }
}

struct Signals {
    hangup: Signal,
    stop: Stop,
}

/// The signals to stop: SIGTERM of the service manager, SIGINT of a terminal.
struct Stop {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        let interrupt = signal(SignalKind::interrupt())?;
        let stop = Stop { interrupt, terminate: signal(SignalKind::terminate())? };
        Ok(Self { hangup: signal(SignalKind::hangup())?, stop })
    }
}

impl Stop {
    async fn came(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

async fn next<F: Future + Unpin>(probe: &mut Option<F>) -> F::Output {
    match probe {
        Some(probe) => probe.await,
        None => pending().await,
    }
}

async fn tick(watchdog: &mut Option<tokio::time::Interval>) {
    match watchdog {
        Some(interval) => {
            interval.tick().await;
        }
        None => pending().await,
    }
}
