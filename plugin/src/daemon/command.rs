//! The command line, and how the program ends.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};

use super::{AssemblyError, lifecycle};
use crate::audit::log::{self, LogError};
use crate::audit::{chain, printable};
use crate::config::{Config, ConfigError, DEFAULT_PATH};
use crate::cri::socket::{self, SocketError};
use crate::ledger::LedgerError;

/// The gate for container images between kubelet and containerd
#[derive(Debug, Parser)]
#[command(name = "pullgated", version)]
struct Arguments {
    /// Read this configuration instead of /etc/pullgate/config.toml
    #[arg(long, value_name = "PATH")]
    config: Option<PathBuf>,
    /// Say whether the configuration is valid, and end
    #[arg(long)]
    check_config: bool,
}

/// The table of options, for the completions.
#[must_use]
pub fn command() -> clap::Command {
    Arguments::command()
}

/// Runs the daemon until it is told to stop. Exit code 2 is for the command line and the
/// configuration, 3 for what the daemon did not get from its surroundings.
#[must_use]
pub fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            let asked = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
            let printed = error.print().is_ok();
            return if asked && printed { ExitCode::SUCCESS } else { ExitCode::from(USAGE) };
        }
    };
    match run(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            error.report();
            ExitCode::from(error.exit_code())
        }
    }
}

const USAGE: u8 = 2;
const INFRASTRUCTURE: u8 = 3;

/// Why the daemon ended before it was told to.
#[derive(Debug, thiserror::Error)]
pub(super) enum DaemonError {
    /// The gate cannot be built.
    #[error("the gate cannot be built")]
    Assembly(#[from] AssemblyError),
    /// The configuration is not valid.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Logging cannot be started.
    #[error(transparent)]
    Log(#[from] LogError),
    /// There is no room for a ledger, not even in memory.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The runtime or the signal handlers cannot be had from the operating system.
    #[error("the runtime cannot be started")]
    Runtime(#[source] std::io::Error),
    /// There is no socket to serve.
    #[error(transparent)]
    Socket(#[from] SocketError),
}

impl DaemonError {
    /// Writes the error where it is read: what comes before logging goes to standard error.
    fn report(&self) {
        let text = chain(self);
        match self {
            Self::Config(_) | Self::Log(_) => {
                say(&mut std::io::stderr(), &format!("pullgated: {}", printable(&text)));
            }
            Self::Assembly(_) | Self::Ledger(_) | Self::Runtime(_) | Self::Socket(_) => {
                tracing::error!("{}", printable(&text));
            }
        }
    }

    const fn exit_code(&self) -> u8 {
        match self {
            Self::Config(_) => USAGE,
            Self::Assembly(_)
            | Self::Ledger(_)
            | Self::Log(_)
            | Self::Runtime(_)
            | Self::Socket(_) => INFRASTRUCTURE,
        }
    }
}

fn run(arguments: Arguments) -> Result<(), DaemonError> {
    let config = Config::read(arguments.config.as_deref())?;
    if arguments.check_config {
        let path = arguments.config.unwrap_or_else(|| PathBuf::from(DEFAULT_PATH));
        let found = if path.exists() { "valid" } else { "does not exist; the defaults hold" };
        say(&mut std::io::stdout(), &format!("{}: {found}", path.display()));
        return Ok(());
    }
    let level = log::start(config.log_level)?;
    let activated = socket::activated()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(DaemonError::Runtime)?;
    runtime.block_on(lifecycle::run(arguments.config, config, level, activated))
}

/// A line to a stream that may be closed: there is nobody left to tell then.
fn say(stream: &mut dyn Write, line: &str) {
    writeln!(stream, "{line}").unwrap_or_default();
}
