//! `pullgate`: what an admin asks of the node's gate. Each command is a file here, and [`Arguments`] is
//! the one table of them: parser, help, manual and completions are made from it.

mod doctor;
mod error;
mod exit;
mod explain;
mod history;
mod output;
mod policy;
mod scrub;
mod verifier;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{CommandFactory as _, Parser, Subcommand};

pub use error::CtlError;
pub use exit::Exit;

use crate::audit::{chain, printable};
use crate::config::Config;
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
    Doctor(doctor::Doctor),
    Explain(explain::Command),
    History(history::History),
    #[command(subcommand)]
    Policy(policy::Command),
    Scrub(scrub::Scrub),
    #[command(hide = true, name = verifier::SUBCOMMAND)]
    Verifier(verifier::Verifier),
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
        Command::Doctor(doctor) => {
            doctor.enter_root()?;
            doctor.run(&context()?)
        }
        Command::Explain(command) => command.run(output),
        Command::History(history) => history.run(&context()?),
        Command::Policy(command) => command.run(&context()?),
        Command::Scrub(scrub) => scrub.run(&context()?),
        Command::Verifier(verifier) => Ok(verifier.run(context())),
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
