//! What the record of a pull says about its verdict.

use pullgate_policy::decision::Basis;
use pullgate_policy::signature;

use super::Findings;
use crate::audit::{Attempt, Reason, Signer};

/// Notes for the record which policy decides, and where in it.
pub(super) fn note(findings: &Findings, attempt: &mut Attempt) {
    if let Some(trust) = &findings.trust {
        attempt.policy_file(&trust.policy_path().display().to_string());
    }
    if let Some(trace) = &findings.trace {
        attempt.scope(&trace.scope);
        tracing::debug!(PULL_ID = attempt.id(), ?trace, "decided");
    }
}

/// Notes for the record what an acceptance rests on.
pub(super) fn note_basis(basis: &Basis, attempt: &mut Attempt) {
    match basis {
        // The record is that of the verdict, which is still to come.
        Basis::Audited => {}
        Basis::Exempted { exemption, refusal } => {
            attempt.reason(Reason::Exempted);
            attempt.signers(&signers(exemption.signers()));
            let terms = exemption.terms();
            let (name, who, why) = (exemption.name(), terms.who(), terms.reason());
            let words = format!("under the exemption {name} of {who} ({why}), despite: {refusal}");
            attempt.exemption(&format!("{name} {}", exemption.hash()), &words);
        }
        Basis::Signed(found) => {
            attempt.reason(Reason::Signed);
            attempt.signers(&signers(found));
        }
        Basis::Unverified => attempt.reason(Reason::Unverified),
    }
}

fn signers(found: &[signature::Signer]) -> Vec<Signer> {
    let signer = |signer: &signature::Signer| Signer {
        identity: signer.name.clone().unwrap_or_default(),
        fingerprint: signer.fingerprint.clone(),
    };
    found.iter().map(signer).collect()
}
