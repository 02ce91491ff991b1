//! `pullgated`: configuration, socket and gate joined, from start to drain.

mod anchors;
mod command;
mod containerd;
mod housekeeping;
mod lifecycle;
mod notify;
mod scrapes;
mod startup;

pub use command::{command, main};

use std::io;
use std::sync::Arc;
use std::time::Duration;

use pullgate_policy::platform::Platform;
use pullgate_policy::reference::{PullReference, ReferenceError};

use crate::config::Config;
use crate::containerd::Containerd;
use crate::evidence::{Collector, EvidenceError};
use crate::hash::Hashing;
use crate::ledger::{Ledger, LedgerError};
use crate::pull::Gate;
use crate::registry::{Registry, Settings};
use crate::trust::Trust;

/// Pause before a request is repeated that a registry refused for the moment.
const PAUSE: Duration = Duration::from_secs(1);

/// Builds the gate that `config` describes. Nothing is connected to yet. What outlives a change of
/// the configuration is taken over from the `previous` gate: the connection to containerd, the verdicts
/// that are still sought, the ledger, the metrics, and the last good policy unless another one is
/// configured. A first gate forgets when it ends: the daemon gives it the ledger of the node.
///
/// # Errors
/// [`AssemblyError`] if a part cannot be made.
pub(crate) fn assemble(config: &Config, previous: Option<&Gate>) -> Result<Gate, AssemblyError> {
    let no_progress = config.registry.no_progress_timeout;
    let sandbox_image = config.containerd.sandbox_image.as_deref().map(PullReference::parse);
    let trust = config.trust();
    let known = previous.map(|gate| &gate.trust).filter(|known| *known.settings() == trust);
    let metrics = previous.map_or_else(Arc::default, |gate| Arc::clone(&gate.metrics));
    Ok(Gate {
        trust: known
            .cloned()
            .unwrap_or_else(|| Arc::new(Trust::new(trust).counted_by(metrics.policy()))),
        modes: config.mode.modes.clone(),
        audit_deadline: config.mode.audit_deadline,
        audits: previous.map(|gate| gate.audits.clone()).unwrap_or_default(),
        exemptions: config.break_glass.clone(),
        registry: Registry::new(Settings {
            config_path: config.registry.config_path.clone(),
            no_progress,
            pause: PAUSE,
        }),
        collector: Collector::new(no_progress)?,
        containerd: match previous {
            Some(gate) => gate.containerd.clone(),
            None => Containerd::new(&config.containerd.socket)
                .hashed_by(hashing(config)?)
                .layers_placed(config.containerd.place_layers)
                .layers_decompressed(config.containerd.decompress_layers),
        },
        parallel_layers: config.registry.max_parallel_layers.get(),
        sandbox_image: sandbox_image.transpose().map_err(AssemblyError::SandboxImage)?,
        platform: Platform::new(std::env::consts::OS, std::env::consts::ARCH, ""),
        ledger: match previous {
            Some(gate) => Arc::clone(&gate.ledger),
            None => Arc::new(Ledger::in_memory(config.ledger.bounds)?),
        },
        metrics,
    })
}

fn hashing(config: &Config) -> Result<Hashing, AssemblyError> {
    if config.registry.interleave_hashing {
        return Hashing::interleaved().map_err(AssemblyError::Hashing);
    }
    Ok(Hashing::by_each_pull())
}

/// Why there is no gate.
#[derive(Debug, thiserror::Error)]
pub enum AssemblyError {
    /// Signature stores cannot be read.
    #[error(transparent)]
    Evidence(#[from] EvidenceError),
    /// There is no room for the thread that hashes.
    #[error("no thread for `registry.interleave_hashing`")]
    Hashing(#[source] io::Error),
    /// There is no room for a ledger, not even in memory.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// `containerd.sandbox_image` is no reference.
    #[error("`containerd.sandbox_image` is not an image reference")]
    SandboxImage(#[source] ReferenceError),
}
