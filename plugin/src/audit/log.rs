//! Where records go: journald with its fields when the journal reads our standard error, readable
//! text on standard error otherwise.

use std::io::{self, IsTerminal};
use std::os::unix::fs::MetadataExt;

use tracing::level_filters::LevelFilter;
use tracing_journald::{Priority, PriorityMappings};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};
use tracing_subscriber::{Layer, Registry, fmt, reload};

/// The priorities that an admin expects: `journalctl -p info` shows what the level `info` logs.
const PRIORITIES: PriorityMappings = PriorityMappings {
    error: Priority::Error,
    warn: Priority::Warning,
    info: Priority::Informational,
    debug: Priority::Debug,
    trace: Priority::Debug,
};

/// How much is logged; it can be changed while the daemon runs.
#[derive(Debug, Clone)]
pub struct Level {
    handle: reload::Handle<Targets, Registry>,
}

impl Level {
    /// Logs from `level` on.
    pub fn set(&self, level: LevelFilter) {
        if let Err(error) = self.handle.reload(targets(level)) {
            tracing::error!("the log level stays: {error}");
        }
    }
}

/// Starts logging from `level` on.
///
/// # Errors
/// [`LogError`] if logging was started before.
pub fn start(level: LevelFilter) -> Result<Level, LogError> {
    let (filter, handle) = reload::Layer::new(targets(level));
    let journal = reads_standard_error().then(|| tracing_journald::layer().ok()).flatten();
    let output = match journal {
        Some(journal) => {
            let journal = journal.with_field_prefix(None).with_priority_mappings(PRIORITIES);
            journal.with_syslog_identifier("pullgated".to_owned()).boxed()
        }
        None => fmt::layer()
            .with_writer(io::stderr)
            .with_ansi(io::stderr().is_terminal())
            .with_target(false)
            .boxed(),
    };
    tracing_subscriber::registry().with(filter).with(output).try_init().map_err(LogError)?;
    Ok(Level { handle })
}

/// Logging was started before.
#[derive(Debug, thiserror::Error)]
#[error("logging cannot be started")]
pub struct LogError(#[source] TryInitError);

/// Libraries say warnings and worse only: below that they write what passes, credentials included.
fn targets(level: LevelFilter) -> Targets {
    Targets::new().with_default(level.min(LevelFilter::WARN)).with_target("pullgate", level)
}

/// systemd.exec(5), `$JOURNAL_STREAM`: device and inode of the stream that the journal reads. A
/// daemon whose standard error was sent elsewhere inherits the variable all the same.
fn reads_standard_error() -> bool {
    let Ok(stream) = std::env::var("JOURNAL_STREAM") else { return false };
    let Ok(standard_error) = std::fs::metadata("/proc/self/fd/2") else { return false };
    stream == format!("{}:{}", standard_error.dev(), standard_error.ino())
}
