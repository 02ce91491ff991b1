//! `pullgate policy show`: the policy in force.

use std::io::{self, Write};

use pullgate_policy::document::{Requirement, Requirements};
use pullgate_policy::reference::PullReference;
use serde::Serialize;

use crate::audit::printable;
use crate::ctl::keys::{self, Held};
use crate::ctl::output::{Report, table};
use crate::ctl::{Context, CtlError, Exit};
use crate::pull::PullError;
use crate::trust::Snapshot;

pub(super) fn run(
    image: Option<&str>,
    namespace: Option<&str>,
    context: &Context,
) -> Result<Exit, CtlError> {
    let snapshot = context.snapshot(namespace)?;
    match image {
        Some(image) => {
            let reference = PullReference::parse(image).map_err(PullError::from)?;
            context.output.print(&Decisive::new(&snapshot, &reference))?;
        }
        None => context.output.print(&Shown::new(&snapshot))?,
    }
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

impl Shown {
    fn new(snapshot: &Snapshot) -> Self {
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
        Self {
            file: snapshot.policy_path().display().to_string(),
            hash: snapshot.fingerprint().to_string(),
            scopes: scoped.chain([default]).collect(),
        }
    }
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

/// What decides about one image.
#[derive(Serialize)]
struct Decisive {
    reference: String,
    file: String,
    hash: String,
    scope: String,
    requirements: Vec<Required>,
    /// The signature store of registries.d, if one is configured.
    lookaside: Option<String>,
    use_sigstore_attachments: bool,
}

#[derive(Serialize)]
struct Required {
    #[serde(rename = "type")]
    kind: &'static str,
    trusts: Vec<Held>,
}

impl Decisive {
    fn new(snapshot: &Snapshot, reference: &PullReference) -> Self {
        let applicable = snapshot.policy().applicable(reference);
        let name = reference.reference();
        let requirements = applicable.requirements.iter().map(|requirement| Required {
            kind: requirement.name(),
            trusts: keys::of(requirement),
        });
        Self {
            reference: reference.to_string(),
            file: snapshot.policy_path().display().to_string(),
            hash: snapshot.fingerprint().to_string(),
            scope: applicable.scope.to_owned(),
            requirements: requirements.collect(),
            lookaside: snapshot.lookaside().base(name).map(str::to_owned),
            use_sigstore_attachments: snapshot.lookaside().use_sigstore_attachments(name),
        }
    }
}

impl Report for Decisive {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "{}", printable(&self.reference))?;
        writeln!(out, "  policy      {} ({})", printable(&self.file), self.hash)?;
        writeln!(out, "  scope       {}", printable(&self.scope))?;
        let lookaside = self.lookaside.as_deref().unwrap_or("the built-in one");
        writeln!(out, "  lookaside   {}", printable(lookaside))?;
        let looked = if self.use_sigstore_attachments { "looked at" } else { "not looked at" };
        writeln!(out, "  attachments {looked}")?;
        for (position, required) in self.requirements.iter().enumerate() {
            writeln!(out, "  requirement {}, {}", position + 1, required.kind)?;
            for held in &required.trusts {
                writeln!(out, "    trusts    {}", printable(&held.line()))?;
            }
        }
        Ok(())
    }
}
