//! `pullgate policy install`: a policy that parses takes the place of the one in force, at once.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::lint::Found;
use super::proposal::Proposal;
use crate::audit::printable;
use crate::ctl::output::Report;
use crate::ctl::replace::replace;
use crate::ctl::{Context, CtlError, Exit};

pub(super) fn run(
    file: &Path,
    namespace: Option<&str>,
    context: &Context,
) -> Result<Exit, CtlError> {
    let Proposal { text, target, linted, .. } = Proposal::read(file, namespace, context)?;
    if linted.is_broken() {
        let findings = linted.findings;
        context.output.print(&Installed { findings, ..Installed::default() })?;
        return Ok(Exit::Usage);
    }
    let failed = |source| CtlError::Write { file: target.clone(), source };
    if let Some(folder) = target.parent() {
        std::fs::create_dir_all(folder).map_err(failed)?;
    }
    let mut old = target.clone().into_os_string();
    old.push(".old");
    let old = PathBuf::from(old);
    let kept = match std::fs::read(&target) {
        Ok(content) => {
            replace(&old, &content)
                .map_err(|source| CtlError::Write { file: old.clone(), source })?;
            Some(old.display().to_string())
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(source) => return Err(CtlError::Read { file: target, source }),
    };
    replace(&target, &text).map_err(failed)?;
    let installed = Some(target.display().to_string());
    context.output.print(&Installed { installed, kept, findings: linted.findings })?;
    Ok(Exit::Accepted)
}

/// What was done.
#[derive(Debug, Default, Serialize)]
struct Installed {
    /// The file that is in force now; null if nothing was changed.
    installed: Option<String>,
    /// Where the one before it is kept.
    kept: Option<String>,
    findings: Vec<Found>,
}

impl Report for Installed {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        for found in &self.findings {
            found.text(out)?;
        }
        match &self.installed {
            Some(file) => writeln!(out, "installed {}", printable(file))?,
            None => writeln!(out, "not installed: every pull would be refused")?,
        }
        match &self.kept {
            Some(old) => writeln!(out, "the one before it is kept as {}", printable(old)),
            None => Ok(()),
        }
    }
}
