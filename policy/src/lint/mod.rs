//! Mistakes in a policy that parses, found before they refuse a pull or let one through. Decides
//! nothing: whatever is found, [`decide`](crate::decide) does what the policy says.

mod mistake;
mod scopes;
mod trust;

use std::time::SystemTime;

pub use mistake::{Mistake, Severity};

use crate::decision::TrustMaterial;
use crate::document::{Dialect, Policy};
use crate::lookaside::Lookaside;
use crate::strict::{KeyPath, Position, position};

/// One mistake and its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The file of registries.d that it stands in; none is the policy itself.
    pub file: Option<String>,
    /// Where in the policy it stands.
    pub position: Option<Position>,
    /// What is wrong.
    pub mistake: Mistake,
}

/// The parsed policy, if it parses, and every mistake in `text`, in the order of the text.
///
/// `material` has the key files that the policy names, `lookaside` the registries.d beside it.
#[must_use]
pub fn lint(
    text: &[u8],
    policy: &Policy,
    lookaside: &Lookaside,
    material: &TrustMaterial,
    now: SystemTime,
) -> Vec<Finding> {
    let mut report = Report { text, findings: Vec::new() };
    scopes::look(policy, lookaside, &mut report);
    trust::look(text, policy, material, now, &mut report);
    scopes::look_at_registries_d(lookaside, &mut report);
    report.findings.sort_by_key(|finding| (finding.file.is_some(), finding.position));
    report.findings
}

/// Parses a policy for [`lint`].
///
/// # Errors
/// The one [`Finding`] that keeps it from being a policy.
pub fn parse(text: &[u8], dialect: Dialect) -> Result<Policy, Box<Finding>> {
    Policy::parse(text, dialect).map_err(|error| {
        let position = error.position(text);
        Box::new(Finding { file: None, position, mistake: Mistake::Invalid(error) })
    })
}

/// Collects findings.
struct Report<'a> {
    text: &'a [u8],
    findings: Vec<Finding>,
}

impl Report<'_> {
    /// A mistake at `path` of the policy.
    fn add(&mut self, path: &KeyPath, mistake: Mistake) {
        let position = position(self.text, path);
        self.findings.push(Finding { file: None, position, mistake });
    }

    /// A mistake in a file of registries.d.
    fn add_to_file(&mut self, file: &str, mistake: Mistake) {
        self.findings.push(Finding { file: Some(file.to_owned()), position: None, mistake });
    }
}

#[cfg(test)]
mod tests;
