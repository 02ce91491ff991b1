//! `pullgate policy`: the policy in force.

use std::io::{self, Write};

use clap::Subcommand;
use pullgate_policy::document::{Requirement, Requirements};
use serde::Serialize;

use super::output::{Report, table};
use super::{Context, CtlError, Exit};
use crate::audit::printable;
use crate::trust::Trust;

/// Look at the policy
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Show the policy in force, scope by scope
    Show,
}

impl Command {
    pub(super) fn run(&self, context: &Context) -> Result<Exit, CtlError> {
        match self {
            Self::Show => show(context),
        }
    }
}

fn show(context: &Context) -> Result<Exit, CtlError> {
    let snapshot = Trust::new(context.config.trust()).snapshot(None)?;
    let policy = snapshot.policy();
    let scoped = policy.transports().flat_map(|transport| {
        policy.scopes(transport).map(move |(scope, requirements)| Scope {
            transport: transport.to_owned(),
            scope: scope.to_owned(),
            requirements: names(requirements),
        })
    });
    let default = Scope {
        transport: String::new(),
        scope: String::new(),
        requirements: names(policy.default_requirements()),
    };
    let shown = Shown {
        file: snapshot.policy_path().display().to_string(),
        hash: snapshot.fingerprint().to_string(),
        scopes: scoped.chain([default]).collect(),
    };
    context.output.print(&shown)?;
    Ok(Exit::Accepted)
}

fn names(requirements: &Requirements) -> Vec<&'static str> {
    requirements.iter().map(Requirement::name).collect()
}

#[derive(Serialize)]
struct Shown {
    file: String,
    hash: String,
    scopes: Vec<Scope>,
}

/// One list of requirements; the global default has neither transport nor scope.
#[derive(Serialize)]
struct Scope {
    transport: String,
    scope: String,
    requirements: Vec<&'static str>,
}

impl Report for Shown {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "policy {} ({})", printable(&self.file), self.hash)?;
        let rows: Vec<_> = self
            .scopes
            .iter()
            .map(|scope| {
                let transport = Some(scope.transport.as_str()).filter(|name| !name.is_empty());
                let place = Some(scope.scope.as_str()).filter(|name| !name.is_empty());
                [
                    printable(transport.unwrap_or("default")).into_owned(),
                    printable(place.unwrap_or("*")).into_owned(),
                    scope.requirements.join(", "),
                ]
            })
            .collect();
        table(out, ["TRANSPORT", "SCOPE", "REQUIREMENTS"], &rows)
    }
}
