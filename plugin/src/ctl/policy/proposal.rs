//! A policy that is to take the place of the one in force.

use std::path::{Path, PathBuf};

use pullgate_policy::document::Dialect;

use super::lint::Linted;
use crate::ctl::{Context, CtlError, namespace_of, read};
use crate::trust::TrustError;

/// What the command line proposes, and what is wrong with it.
#[derive(Debug)]
pub(super) struct Proposal {
    pub(super) text: Vec<u8>,
    /// Where it would go.
    pub(super) target: PathBuf,
    pub(super) dialect: Dialect,
    pub(super) linted: Linted,
}

impl Proposal {
    /// Reads it as what it would be in its place.
    pub(super) fn read(
        file: &Path,
        namespace: Option<&str>,
        context: &Context,
    ) -> Result<Self, CtlError> {
        let text = read(file)?;
        let target = target(namespace, context)?;
        let dialect = context.config.trust().dialect(&target);
        let linted = Linted::new(file, &text, dialect, &context.config)?;
        Ok(Self { text, target, dialect, linted })
    }
}

fn target(namespace: Option<&str>, context: &Context) -> Result<PathBuf, CtlError> {
    let settings = context.config.trust();
    if let Some(namespace) = namespace_of(namespace)? {
        return Ok(settings.namespaces.join(format!("{namespace}.json")));
    }
    match settings.policy_path() {
        // The vendor's file is not ours to change: one in /etc takes its place.
        Ok(path) if path.starts_with("/usr") => Ok(PathBuf::from("/etc/containers/policy.json")),
        // What a link points to is replaced, not the link.
        Ok(path) => Ok(path.canonicalize().unwrap_or(path)),
        Err(TrustError::NoPolicy { .. }) => Ok(PathBuf::from("/etc/pullgate/policy.json")),
        Err(error) => Err(error.into()),
    }
}
