//! What each outcome leaves: one record in the journal, and one row in the ledger.

use std::sync::Arc;
use std::time::SystemTime;

use pullgate_policy::decision::Basis;
use pullgate_policy::signature;

use super::{Checked, Findings, Gate, PullError, PullRequest};
use crate::audit::{self, Attempt, Outcome, Reason, chain};
use crate::ledger::{Digests, Door, Entry, Evidence, Ledger, Signer};

/// A row that is not written yet. Dropped before its outcome, it tells that the client went away.
#[derive(Debug)]
pub(super) struct Row {
    ledger: Arc<Ledger>,
    /// None once it has its outcome.
    open: Option<(Attempt, Entry)>,
    door: Door,
    /// What comes to light, stage by stage.
    pub(super) findings: Findings,
}

impl Row {
    /// Begins the row of the answer to `request`, for which `door` asks.
    pub(super) fn begin(gate: &Gate, door: Door, request: &PullRequest) -> Self {
        let attempt = Attempt::begin(request, door, &gate.metrics);
        let entry = Entry {
            at: SystemTime::now(),
            door,
            pull_id: attempt.id().to_owned(),
            name: request.image.clone(),
            image: None,
            policy: None,
            scope: None,
            outcome: Outcome::Abandoned,
            reason: Reason::Abandoned.code().to_owned(),
            message: String::new(),
            signers: Vec::new(),
            namespace: request.pod.namespace.clone(),
            pod: request.pod.name.clone(),
        };
        let (ledger, open) = (Arc::clone(&gate.ledger), Some((attempt, entry)));
        Self { ledger, open, door, findings: Findings::default() }
    }

    /// What was asked.
    pub(super) const fn door(&self) -> Door {
        self.door
    }

    /// How many bytes of content came over the network.
    pub(super) const fn bytes(&mut self, bytes: u64) {
        if let Some((attempt, _)) = &mut self.open {
            attempt.bytes(bytes);
        }
    }

    /// The client has its answer, and the verdict is still to come.
    pub(super) fn answered(&mut self) {
        if let Some((attempt, _)) = &mut self.open {
            attempt.answered();
        }
    }

    /// Records the outcome.
    pub(super) async fn end(mut self, outcome: Result<(), &PullError>) {
        let Some((attempt, mut entry, evidence)) = self.close() else { return };
        match outcome {
            Ok(()) => {
                attempt.accepted();
            }
            Err(error) => {
                let text = chain(error);
                if error.is_rejection() {
                    entry.outcome = Outcome::Rejected;
                    attempt.rejected(error.reason(), &text);
                } else {
                    entry.outcome = Outcome::Failed;
                    attempt.failed(error.reason(), &text);
                }
                refuse(&mut entry, error.reason(), text);
            }
        }
        self.ledger.record(entry, evidence).await;
    }

    /// Records the verdict that did not count.
    pub(super) async fn audited(mut self, checked: Checked) {
        let (reference, image) = (self.findings.reference.take(), self.findings.image.take());
        self.findings = checked.findings;
        // A verdict that was not reached in time knows nothing.
        self.findings.reference = self.findings.reference.take().or(reference);
        self.findings.image = self.findings.image.take().or(image);
        let Some((attempt, mut entry, evidence)) = self.close() else { return };
        match checked.verdict {
            Ok(_basis) => {
                attempt.accepted();
            }
            Err(error) => {
                let text = chain(&error);
                entry.outcome = Outcome::Audited;
                attempt.would_reject(error.reason(), &text);
                refuse(&mut entry, error.reason(), text);
            }
        }
        self.ledger.record(entry, evidence).await;
    }

    /// Fills in what was found.
    fn close(&mut self) -> Option<(Attempt, Entry, Evidence)> {
        let (mut attempt, mut entry) = self.open.take()?;
        let findings = std::mem::take(&mut self.findings);
        note(&findings, &mut attempt);
        if let Some(reference) = findings.reference {
            entry.name = reference.to_string();
        }
        entry.image = findings.image.map(|image| Digests {
            manifest: image.manifest,
            config: image.config,
            index: image.index,
        });
        entry.policy = findings.policy;
        entry.scope = findings.trace.map(|trace| trace.scope);
        if let Some(basis) = findings.basis {
            entry.outcome = basis_of(&basis).outcome();
            basis_of(&basis).code().clone_into(&mut entry.reason);
            entry.signers = signers(&basis);
        }
        Some((attempt, entry, findings.evidence))
    }
}

impl Drop for Row {
    fn drop(&mut self) {
        if let Some((attempt, mut entry, evidence)) = self.close() {
            drop(attempt);
            refuse(&mut entry, Reason::Abandoned, String::new());
            self.ledger.note(entry, evidence);
        }
    }
}

/// Notes for the journal what was found.
fn note(findings: &Findings, attempt: &mut Attempt) {
    if let Some(reference) = &findings.reference {
        attempt.reference(&reference.to_string());
    }
    if let Some(trust) = &findings.trust {
        attempt.policy_file(&trust.policy_path().display().to_string());
    }
    if let Some(image) = &findings.image {
        attempt.digest(&image.manifest.to_string());
    }
    if let Some(trace) = &findings.trace {
        attempt.scope(&trace.scope);
        tracing::debug!(PULL_ID = attempt.id(), ?trace, "decided");
    }
    if let Some(basis) = &findings.basis {
        attempt.reason(basis_of(basis));
        if let Basis::Exempted { exemption, refusal } = basis {
            let (name, terms) = (exemption.name(), exemption.terms());
            let (who, why) = (terms.who(), terms.reason());
            let words = format!("under the exemption {name} of {who} ({why}), despite: {refusal}");
            attempt.exemption(&format!("{name} {}", exemption.hash()), &words);
        }
        let signers = signers(basis).into_iter().map(|signer| audit::Signer {
            identity: signer.name.unwrap_or_default(),
            fingerprint: signer.fingerprint,
        });
        attempt.signers(&signers.collect::<Vec<_>>());
    }
}

/// The reason of an acceptance.
const fn basis_of(basis: &Basis) -> Reason {
    match basis {
        Basis::Exempted { .. } => Reason::Exempted,
        Basis::Signed(_) => Reason::Signed,
        Basis::Audited | Basis::Unverified => Reason::Unverified,
    }
}

fn signers(basis: &Basis) -> Vec<Signer> {
    let signers = match basis {
        Basis::Exempted { exemption, .. } => exemption.signers(),
        Basis::Signed(signers) => signers,
        Basis::Audited | Basis::Unverified => &[],
    };
    let signer = |signer: &signature::Signer| Signer {
        name: signer.name.clone(),
        fingerprint: signer.fingerprint.clone(),
    };
    signers.iter().map(signer).collect()
}

fn refuse(entry: &mut Entry, reason: Reason, message: String) {
    reason.code().clone_into(&mut entry.reason);
    entry.message = message;
    entry.signers = Vec::new();
}
