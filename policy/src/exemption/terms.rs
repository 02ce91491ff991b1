//! What an exemption says, as its signers wrote it.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use super::ExemptionError;
use crate::reference::PullReference;
use crate::scope;
use crate::strict::{Node, excerpt, json};

const MEMBERS: [&str; 5] = ["not_after", "not_before", "reason", "scopes", "who"];

/// The terms of an exemption.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    scopes: BTreeSet<String>,
    not_before: SystemTime,
    not_after: SystemTime,
    reason: String,
    who: String,
}

impl Terms {
    /// Parses the text of an exemption: as strict as policy.json.
    ///
    /// # Errors
    /// [`ExemptionError`] names the key path and the expected form.
    pub fn parse(text: &[u8]) -> Result<Self, ExemptionError> {
        let document = json(text)?;
        let root = document.root().object()?.only(&MEMBERS)?;
        let scopes = root.require("scopes")?;
        let scopes = scopes
            .list()?
            .map(|scope| Ok(scope.string()?.to_owned()))
            .collect::<Result<BTreeSet<_>, ExemptionError>>()?;
        if scopes.is_empty() {
            return Err(ExemptionError::Empty { path: root.require("scopes")?.path() });
        }
        let terms = Self {
            scopes,
            not_before: time(root.require("not_before")?)?,
            not_after: time(root.require("not_after")?)?,
            reason: said(root.require("reason")?)?,
            who: said(root.require("who")?)?,
        };
        if terms.not_after <= terms.not_before {
            return Err(ExemptionError::Backwards);
        }
        Ok(terms)
    }

    /// Whether one of the scopes speaks for `reference`. The grammar is that of policy.json; the empty
    /// scope speaks for every image.
    #[must_use]
    pub fn covers(&self, reference: &PullReference) -> bool {
        self.scopes.contains("")
            || scope::candidates(reference.reference())
                .iter()
                .any(|scope| self.scopes.contains(scope))
    }

    /// When it begins.
    #[must_use]
    pub const fn not_before(&self) -> SystemTime {
        self.not_before
    }

    /// When it ends by itself.
    #[must_use]
    pub const fn not_after(&self) -> SystemTime {
        self.not_after
    }

    /// Why it was given.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// Who asked for it.
    #[must_use]
    pub fn who(&self) -> &str {
        &self.who
    }

    /// Refuses terms that are not in force at `now`, or would be for longer than `longest`.
    pub(super) fn in_force(
        &self,
        longest: Duration,
        now: SystemTime,
    ) -> Result<(), ExemptionError> {
        let lasts = self.not_after.duration_since(self.not_before).unwrap_or(Duration::MAX);
        if lasts > longest {
            return Err(ExemptionError::TooLong { lasts, longest });
        }
        if now < self.not_before {
            return Err(ExemptionError::NotYet { begin: date(self.not_before) });
        }
        if now >= self.not_after {
            return Err(ExemptionError::Ended { end: date(self.not_after) });
        }
        Ok(())
    }
}

/// A point in time in UTC, as RFC 3339 writes it.
fn time(node: Node<'_>) -> Result<SystemTime, ExemptionError> {
    let text = node.string()?;
    let time = humantime::parse_rfc3339(text).ok();
    time.ok_or_else(|| ExemptionError::Time { path: node.path(), found: excerpt(text) })
}

fn said(node: Node<'_>) -> Result<String, ExemptionError> {
    let text = node.string()?.trim();
    if text.is_empty() {
        return Err(ExemptionError::Empty { path: node.path() });
    }
    Ok(text.to_owned())
}

fn date(time: SystemTime) -> String {
    humantime::format_rfc3339_seconds(time).to_string()
}
