//! The gate without a daemon around it: it decides in this process, and hands nothing over.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use pullgate::containerd::Containerd;
use pullgate::evidence::Collector;
use pullgate::ledger::{Bounds, Ledger};
use pullgate::pull::{Audits, Gate};
use pullgate::registry::{Registry, Settings};
use pullgate::trust::{Exemptions, Trust};
use pullgate_policy::decision::Modes;
use pullgate_policy::platform::Platform;

/// A gate that decides by `trust`, where no peer may be silent for longer than `patience`.
#[must_use]
pub fn deciding(trust: Arc<Trust>, patience: Duration) -> Gate {
    Gate {
        trust,
        modes: Modes::enforce(),
        audit_deadline: patience,
        audits: Audits::default(),
        exemptions: Exemptions { folder: "/nowhere".into(), admins: None },
        registry: Registry::new(Settings {
            config_path: Vec::new(),
            no_progress: patience,
            pause: Duration::from_millis(10),
        }),
        collector: Collector::new(patience).expect("a client"),
        containerd: Containerd::new(Path::new("/nowhere")),
        parallel_layers: 1,
        sandbox_image: None,
        platform: Platform::new(std::env::consts::OS, std::env::consts::ARCH, ""),
        ledger: Arc::new(
            Ledger::in_memory(Bounds { max_rows: 1000, retention: patience }).expect("memory"),
        ),
        metrics: Arc::default(),
    }
}
