//! `pullgate policy lint`: mistakes in a policy, and every host that may be contacted because of it.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::Path;
use std::time::SystemTime;

use pullgate_policy::document::{Dialect, Policy};
use pullgate_policy::lint::{Finding, Severity, lint, parse};
use pullgate_policy::lookaside::Lookaside;
use pullgate_policy::scope;
use serde::Serialize;

use crate::audit::printable;
use crate::config::Config;
use crate::ctl::output::Report;
use crate::ctl::{Context, CtlError, Exit};
use crate::registry;
use crate::trust::{self, Snapshot};

pub(super) fn run(file: Option<&Path>, context: &Context) -> Result<Exit, CtlError> {
    let settings = context.config.trust();
    let (path, text) = match file {
        Some(file) => (file.to_owned(), crate::ctl::read(file)?),
        None => {
            let path = settings.policy_path()?;
            let text = trust::key_file(&path).map_err(trust::TrustError::from)?;
            (path, text)
        }
    };
    let dialect = settings.dialect(&path);
    let linted = Linted::new(&path, &text, dialect, &context.config)?;
    context.output.print(&linted)?;
    Ok(linted.exit())
}

/// What is wrong with a policy.
#[derive(Debug, Serialize)]
pub(super) struct Linted {
    file: String,
    pub(super) findings: Vec<Found>,
    /// Every host that may be contacted, and why.
    contacts: Vec<Contact>,
}

/// A mistake and its place.
#[derive(Debug, Serialize)]
pub(super) struct Found {
    severity: &'static str,
    kind: &'static str,
    file: String,
    line: Option<usize>,
    column: Option<usize>,
    message: String,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
struct Contact {
    host: String,
    why: String,
}

impl Linted {
    pub(super) fn new(
        path: &Path,
        text: &[u8],
        dialect: Dialect,
        config: &Config,
    ) -> Result<Self, CtlError> {
        let file = path.display().to_string();
        let lookaside = config.trust().lookaside()?;
        let (findings, contacts) = match parse(text, dialect) {
            Ok(policy) => {
                let material = policy.all_requirements().map(Snapshot::material);
                let material = material.reduce(|mut all, more| {
                    all.extend(more);
                    all
                });
                let material = material.unwrap_or_default();
                let found = lint(text, &policy, &lookaside, &material, SystemTime::now());
                (found, contacts(&policy, &lookaside, config)?)
            }
            Err(finding) => (vec![*finding], Vec::new()),
        };
        let findings = findings.into_iter().map(|finding| Found::new(finding, &file)).collect();
        Ok(Self { file, findings, contacts })
    }

    /// Whether the policy would refuse everything.
    pub(super) fn is_broken(&self) -> bool {
        self.findings.iter().any(|found| found.severity == "error")
    }

    fn exit(&self) -> Exit {
        match (self.is_broken(), self.findings.is_empty()) {
            (true, _) => Exit::Usage,
            (false, false) => Exit::Rejected,
            (false, true) => Exit::Accepted,
        }
    }
}

impl Found {
    fn new(finding: Finding, policy: &str) -> Self {
        let Finding { file, position, mistake } = finding;
        Self {
            severity: match mistake.severity() {
                Severity::Error => "error",
                Severity::Warning => "warning",
            },
            kind: mistake.name(),
            file: file.unwrap_or_else(|| policy.to_owned()),
            line: position.map(|position| position.line),
            column: position.map(|position| position.column),
            message: mistake.to_string(),
        }
    }

    pub(super) fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        let place = match (self.line, self.column) {
            (Some(line), Some(column)) => format!(":{line}:{column}"),
            (_, _) => String::new(),
        };
        let (file, message) = (printable(&self.file), printable(&self.message));
        writeln!(out, "{file}{place}: {}: {message}", self.severity)
    }
}

/// Registries with their mirrors, and signature stores.
fn contacts(
    policy: &Policy,
    lookaside: &Lookaside,
    config: &Config,
) -> Result<Vec<Contact>, CtlError> {
    let mut hosts: BTreeMap<String, String> = BTreeMap::new();
    for (scope, _requirements) in policy.scopes("docker") {
        let Some(sample) = scope::sample(scope) else { continue };
        if scope.starts_with('*') {
            hosts.entry(scope.to_owned()).or_insert_with(|| "registries".to_owned());
            continue;
        }
        let domain = sample.reference().domain();
        for host in registry::hosts(&config.registry.config_path, domain)? {
            let why = if host == domain {
                "registry".to_owned()
            } else {
                format!("serves {domain} (hosts.toml)")
            };
            hosts.entry(host).or_insert(why);
        }
    }
    for base in lookaside.bases() {
        if let Ok(Some(host)) = base.host() {
            let why = format!("signatures of {} ({})", base.section, base.file);
            hosts.entry(host).or_insert(why);
        }
    }
    Ok(hosts.into_iter().map(|(host, why)| Contact { host, why }).collect())
}

impl Report for Linted {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        for found in &self.findings {
            found.text(out)?;
        }
        let count = |severity| self.findings.iter().filter(|it| it.severity == severity).count();
        let (errors, warnings) = (count("error"), count("warning"));
        writeln!(out, "{}: {errors} errors, {warnings} warnings", printable(&self.file))?;
        for Contact { host, why } in &self.contacts {
            writeln!(out, "may contact {}: {}", printable(host), printable(why))?;
        }
        if !self.is_broken() {
            writeln!(
                out,
                "may contact the registry of any image that a pod names, for its manifest"
            )?;
        }
        Ok(())
    }
}
