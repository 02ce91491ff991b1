//! `pullgated`: configuration, socket and gate joined, from start to drain.

mod command;
mod containerd;
mod lifecycle;
mod notify;
mod startup;

pub use command::main;

use crate::config::Config;
use crate::pull::Gate;

/// Builds the gate that `config` describes. Nothing is connected to yet.
///
/// # Errors
/// [`AssemblyError`] if a part cannot be made.
fn assemble(_config: &Config) -> Result<Gate, AssemblyError> {
    Ok(Gate::default())
}

/// Why there is no gate.
#[derive(Debug, thiserror::Error)]
pub enum AssemblyError {}
