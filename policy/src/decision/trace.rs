//! The reasoning behind a verdict, for the journal and for whoever asks why.

use super::{Code, Rejection, Subject};
use crate::signature::{SignatureFault, Signer};

/// How a verdict came about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trace {
    /// Where in policy.json the requirements stand.
    pub scope: String,
    /// Each requirement that was looked at, in the order of the policy: the first that refuses is the
    /// last.
    pub verdicts: Vec<Verdict>,
}

impl Trace {
    pub(super) fn new(scope: &str) -> Self {
        Self { scope: scope.to_owned(), verdicts: Vec::new() }
    }
}

/// What one requirement says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// Its type, as it is written in policy.json.
    pub requirement: &'static str,
    /// Every signature of the right kind, `signature-1` first.
    pub examined: Vec<Examined>,
    /// The result.
    pub outcome: Outcome,
}

impl Verdict {
    pub(super) const fn accepted(requirement: &'static str) -> Self {
        Self { requirement, examined: Vec::new(), outcome: Outcome::Accepted(Vec::new()) }
    }

    pub(super) fn refused(requirement: &'static str, code: Code, text: &str) -> Self {
        Self::rejected(requirement, Rejection::new(code, text.to_owned()))
    }

    pub(super) const fn rejected(requirement: &'static str, rejection: Rejection) -> Self {
        Self { requirement, examined: Vec::new(), outcome: Outcome::Refused(rejection) }
    }

    /// What the signatures of the right kind add up to.
    pub(super) fn of(
        requirement: &'static str,
        examined: Vec<Examined>,
        subject: Subject<'_>,
    ) -> Self {
        let outcome = conclude(&examined, subject);
        Self { requirement, examined, outcome }
    }
}

/// The result of one requirement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It accepts the image, because of these signers if it looks at signatures.
    Accepted(Vec<Signer>),
    /// It does not.
    Refused(Rejection),
}

/// One signature that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Examined {
    /// Its number in the store, from 1.
    pub number: usize,
    /// Who signed, or what is wrong with it.
    pub finding: Result<Signer, SignatureFault>,
}

/// One accepted signature suffices. Otherwise the reason is that of the signature that came closest.
fn conclude(examined: &[Examined], subject: Subject<'_>) -> Outcome {
    let signers: Vec<_> =
        examined.iter().filter_map(|one| one.finding.as_ref().ok()).cloned().collect();
    if !signers.is_empty() {
        return Outcome::Accepted(signers);
    }
    let faults = examined.iter().filter_map(|one| {
        let fault = one.finding.as_ref().err()?;
        Some((Code::of(fault), one.number, fault))
    });
    // What lies behind a limit may be good: that is the reason then. `max_by_key` takes the last of
    // equals: count down, so that the first signature is named.
    let closest = faults.max_by_key(|(code, number, fault)| {
        let unseen = **fault == SignatureFault::NotExamined;
        (unseen, code.closeness(), std::cmp::Reverse(*number))
    });
    let searched = subject.searched.join(", ");
    Outcome::Refused(match closest {
        None if searched.is_empty() => Rejection::new(Code::SignatureMissing, MISSING.to_owned()),
        None => Rejection::new(Code::SignatureMissing, format!("{MISSING} (searched {searched})")),
        Some((code, number, fault)) => {
            let cause = std::error::Error::source(fault);
            let cause = cause.map(|cause| format!(": {cause}")).unwrap_or_default();
            let message =
                format!("None of the signatures were accepted: signature {number}: {fault}{cause}");
            Rejection::new(code, message)
        }
    })
}

/// containers/image's own words: runbooks and alerts look for them.
const MISSING: &str = "A signature was required, but no signature exists";
