//! `[mode]`: where refusals count.

use std::collections::BTreeMap;
use std::time::Duration;

use pullgate_policy::decision::{self, Modes};
use pullgate_policy::namespace::Namespace;

use super::raw::{Applied, RawMode};
use super::{ConfigError, Parser};

/// What becomes of a refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mode {
    /// The mode of every image.
    pub modes: Modes,
    /// How long a verdict may take that changes nothing.
    pub audit_deadline: Duration,
}

impl Parser<'_> {
    pub(super) fn mode(&self, raw: RawMode) -> Result<Mode, ConfigError> {
        let mut namespaces = BTreeMap::new();
        for (name, applied) in raw.namespaces {
            let namespace = Namespace::parse(&name);
            let namespace = namespace
                .ok()
                .ok_or_else(|| self.wrong("mode.namespaces", &name, "a namespace's name"))?;
            namespaces.insert(namespace, applied.into());
        }
        if raw.scopes.contains_key("") {
            let expected = "a scope of policy.json; for every image there is `mode.default`";
            return Err(self.wrong("mode.scopes", "", expected));
        }
        let scopes = raw.scopes.into_iter().map(|(scope, applied)| (scope, applied.into()));
        let deadline = raw.audit_deadline.as_deref().unwrap_or("1m");
        Ok(Mode {
            modes: Modes {
                default: raw.default.unwrap_or(Applied::Enforce).into(),
                scopes: scopes.collect(),
                namespaces,
            },
            audit_deadline: self.timeout("mode.audit_deadline", deadline)?,
        })
    }
}

impl From<Applied> for decision::Mode {
    fn from(applied: Applied) -> Self {
        match applied {
            Applied::Audit => Self::Audit,
            Applied::Enforce => Self::Enforce,
        }
    }
}
