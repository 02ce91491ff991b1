//! `pullgate doctor`: which doors of the node are armed, and what could slip past.
//!
//! [`Node`] is one look at the node. Each check is a file with a pure function over that look.

mod canary;
mod clock;
mod confinement;
mod expiry;
mod finding;
mod hosts;
mod kubelet;
mod ledger;
mod look;
mod policy;
mod process;
mod proxy;
mod sockets;
mod unpack;
mod verifier;
mod versions;

use std::io::{self, Write};
use std::path::PathBuf;

use clap::Args;
use nix::unistd::{chdir, chroot};
use serde::Serialize;

use super::output::Report;
use super::{Context, CtlError, Exit};
use crate::audit::printable;
use finding::{Finding, Said, State};
use look::Node;

/// Every check, in the order of the report.
const CHECKS: [(&str, Check); 12] = [
    ("kubelet", kubelet::check),
    ("cri", versions::check),
    ("sockets", sockets::check),
    ("verifier", verifier::check),
    ("hosts", hosts::check),
    ("policy", policy::check),
    ("keys", expiry::check),
    ("clock", clock::check),
    ("proxy", proxy::check),
    ("ledger", ledger::check),
    ("confinement", confinement::check),
    ("unpack", unpack::check),
];

/// The check that is made only where it is asked for.
const CANARY: &str = "canary";

type Check = fn(&Node) -> Vec<Said>;

/// Show which doors of this node are armed, and what could slip past
#[derive(Debug, Args)]
pub(super) struct Doctor {
    /// Look at the files of another root, such as a node's image; nothing that runs is looked at
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
    /// Pull images that must be refused, from a registry on loopback that is served for it
    #[arg(long, conflicts_with = "root")]
    canary: bool,
}

impl Doctor {
    /// Goes below `--root`, so that every path means what it means there. To be called before any file
    /// is read.
    pub(super) fn enter_root(&self) -> Result<(), CtlError> {
        let Some(root) = &self.root else { return Ok(()) };
        let failed =
            |source: nix::Error| CtlError::Root { root: root.clone(), source: source.into() };
        chroot(root).map_err(failed)?;
        chdir("/").map_err(failed)
    }

    pub(super) fn run(&self, context: &Context) -> Result<Exit, CtlError> {
        let named = context.path.as_deref();
        let node = Node::look(context.config.clone(), named, self.root.is_some());
        let node = node.map_err(CtlError::Node)?;
        let flown =
            if self.canary { canary::fly(&node).map_err(CtlError::Node)? } else { Vec::new() };
        let diagnosis = Diagnosis::of(&node, flown);
        context.output.print(&diagnosis)?;
        Ok(diagnosis.state.exit())
    }
}

/// What the report counts, on one line.
pub(super) fn summary(context: &Context) -> Result<String, CtlError> {
    let node = Node::look(context.config.clone(), context.path.as_deref(), false)?;
    Ok(Diagnosis::of(&node, Vec::new()).count())
}

/// The report. Its members are documented in the README.
#[derive(Debug, Serialize)]
struct Diagnosis {
    /// The worst state found.
    state: State,
    findings: Vec<Finding>,
}

impl Diagnosis {
    fn of(node: &Node, flown: Vec<Said>) -> Self {
        let findings: Vec<Finding> = CHECKS
            .iter()
            .flat_map(|(name, check)| {
                let mut said = check(node);
                if said.is_empty() {
                    said.push(look::not_running());
                }
                said.into_iter().map(|said| said.by(name))
            })
            .chain(flown.into_iter().map(|said| said.by(CANARY)))
            .collect();
        let worst = findings.iter().map(|finding| finding.state).max();
        Self { state: worst.unwrap_or(State::Unknown), findings }
    }

    fn count(&self) -> String {
        let count = |state| self.findings.iter().filter(|found| found.state == state).count();
        format!(
            "{} armed, {} open, {} unusable, {} unknown",
            count(State::Armed),
            count(State::Open),
            count(State::Unusable),
            count(State::Unknown)
        )
    }
}

impl Report for Diagnosis {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        for Finding { check, state, what, fix } in &self.findings {
            writeln!(out, "{:<9} {check:<12} {}", state.name(), printable(what))?;
            if let Some(fix) = fix {
                writeln!(out, "{:<22} -> {}", "", printable(fix))?;
            }
        }
        writeln!(out, "{}", self.count())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{CANARY, CHECKS};

    #[test]
    fn every_check_has_a_name_of_its_own_and_a_line_in_the_readme() {
        let readme = concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md");
        let readme = std::fs::read_to_string(readme).unwrap();
        let names: BTreeSet<&str> = CHECKS.iter().map(|(name, _)| *name).chain([CANARY]).collect();
        assert_eq!(names.len(), CHECKS.len() + 1, "two checks of one name");
        for name in names {
            assert!(readme.contains(&format!("| `{name}` |")), "{name} is not in the README");
        }
    }
}
