//! The reasoning behind a verdict, for the journal and for whoever asks why.

use super::{Code, Rejection};
use crate::signature::openpgp::Signer;
use crate::signature::simple::SignatureFault;

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
        let outcome = Outcome::Refused(Rejection::new(code, text.to_owned()));
        Self { requirement, examined: Vec::new(), outcome }
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
