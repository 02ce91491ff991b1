//! `pullgate`: what an admin asks of the node's gate. Each command is a file here, and [`Arguments`] is
//! the one table of them: parser, help, manual and completions are made from it.

mod check;
mod credentials;
mod doctor;
mod error;
mod exit;
mod explain;
mod history;
mod inspect;
mod keys;
mod output;
mod policy;
mod progress;
mod replace;
mod scrub;
mod status;
mod verifier;
mod verify;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::error::ErrorKind;
use clap::{CommandFactory as _, Parser, Subcommand};
use pullgate_policy::namespace::Namespace;

pub use error::CtlError;
pub use exit::Exit;

use crate::audit::{chain, printable};
use crate::config::Config;
use crate::daemon;
use crate::pull::{Gate, Pod, PullRequest};
use crate::registry::AuthConfig;
use crate::trust::{Snapshot, Trust};
use output::{Format, Output};

/// Ask the gate for container images of this node
#[derive(Debug, Parser)]
#[command(name = "pullgate", version)]
pub struct Arguments {
    /// Read this configuration instead of /etc/pullgate/config.toml
    #[arg(long, global = true, value_name = "PATH")]
    config: Option<PathBuf>,
    /// How the answer is printed
    #[arg(long, short, global = true, value_enum, value_name = "FORMAT", default_value_t)]
    output: Format,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Check(check::Check),
    Doctor(doctor::Doctor),
    Explain(explain::Command),
    History(history::History),
    Inspect(inspect::Inspect),
    Keys(keys::Keys),
    #[command(subcommand)]
    Policy(policy::Command),
    Scrub(scrub::Scrub),
    #[command(hide = true, name = verifier::SUBCOMMAND)]
    Verifier(verifier::Verifier),
    Status(status::Status),
    Verify(verify::Verify),
}

/// The table of commands, for manual pages and completions.
#[must_use]
pub fn command() -> clap::Command {
    Arguments::command()
}

/// Runs one command. The exit codes are those of [`Exit`].
#[must_use]
pub fn main() -> ExitCode {
    let arguments = match Arguments::try_parse_from(arguments()) {
        Ok(arguments) => arguments,
        Err(error) => {
            let asked = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
            let printed = error.print().is_ok();
            return if asked && printed { Exit::Accepted } else { Exit::Usage }.into();
        }
    };
    match run(arguments) {
        Ok(exit) => exit.into(),
        Err(error) => {
            output::complain(&format!("pullgate: {}", printable(&chain(&error))));
            error.exit().into()
        }
    }
}

/// The command line. containerd calls an image verifier without a subcommand.
fn arguments() -> Vec<OsString> {
    let mut arguments: Vec<OsString> = std::env::args_os().collect();
    if arguments.get(1).is_some_and(|first| first == verifier::FIRST_ARGUMENT) {
        arguments.insert(1, verifier::SUBCOMMAND.into());
    }
    arguments
}

fn run(arguments: Arguments) -> Result<Exit, CtlError> {
    let output = Output::new(arguments.output);
    let path = arguments.config;
    let context = || -> Result<Context, CtlError> {
        Ok(Context { config: Config::read(path.as_deref())?, output, path: path.clone() })
    };
    match arguments.command {
        Command::Check(command) => command.run(&context()?),
        Command::Doctor(doctor) => {
            doctor.enter_root()?;
            doctor.run(&context()?)
        }
        Command::Explain(command) => command.run(output),
        Command::History(history) => history.run(&context()?),
        Command::Inspect(command) => command.run(&context()?),
        Command::Keys(command) => command.run(&context()?),
        Command::Policy(command) => command.run(&context()?),
        Command::Scrub(scrub) => scrub.run(&context()?),
        Command::Verifier(verifier) => Ok(verifier.run(context())),
        Command::Status(status::Status {}) => status::Status::run(&context()?),
        Command::Verify(command) => command.run(output),
    }
}

/// What commands about this node work with.
#[derive(Debug)]
struct Context {
    config: Config,
    output: Output,
    /// The configuration file that the command line names.
    path: Option<PathBuf>,
}

impl Context {
    /// Runs work that waits for others.
    fn block_on<T>(&self, work: impl Future<Output = T>) -> Result<T, CtlError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        Ok(runtime.block_on(work))
    }

    /// The daemon's own gate. To be called where work waits.
    fn gate(&self) -> Result<Gate, CtlError> {
        Ok(daemon::assemble(&self.config, None)?)
    }

    /// The policy in force for the pods of a namespace.
    fn snapshot(&self, namespace: Option<&str>) -> Result<Arc<Snapshot>, CtlError> {
        let namespace = namespace_of(namespace)?;
        Ok(Trust::new(self.config.trust()).snapshot(namespace.as_ref())?)
    }
}

/// A namespace of the command line.
fn namespace_of(name: Option<&str>) -> Result<Option<Namespace>, CtlError> {
    Ok(name.map(Namespace::parse).transpose()?)
}

/// What kubelet would ask for.
fn request(image: &str, auth: AuthConfig, namespace: String) -> PullRequest {
    let pod = Pod { namespace, ..Pod::default() };
    PullRequest { image: image.to_owned(), auth, pod, runtime_handler: None }
}

/// A file that the command line names. The admin answers for it.
fn read(file: &Path) -> Result<Vec<u8>, CtlError> {
    std::fs::read(file).map_err(|source| CtlError::Read { file: file.to_owned(), source })
}
