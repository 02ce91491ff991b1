//! The verdict. [`decide`] is pure, total and, where the policy is enforced, the only maker of an
//! [`Admission`].

mod code;
mod exempt;
mod material;
mod mode;
mod signed_by;
mod sigstore_signed;
mod subject;
mod trace;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::SystemTime;

use crate::digest::Digest;
use crate::document::{Applicable, Requirement};
use crate::exemption::Exemption;
use crate::reference::PullReference;
use crate::signature::Signer;

pub use code::Code;
pub use mode::{Auditing, Mode, Modes};
pub use sigstore_signed::root;
pub use subject::{Listing, Subject};
pub use trace::{Examined, Outcome, Trace, Verdict};

/// Key and certificate files by path, as read for this decision; an unreadable one carries the
/// reason.
pub type TrustMaterial = BTreeMap<PathBuf, Result<Vec<u8>, String>>;

/// Decides whether the image may enter the node: every requirement must accept it, in the order of the
/// policy (policy-semantics.md 1.5).
#[must_use]
pub fn decide(
    policy: Applicable<'_>,
    subject: Subject<'_>,
    material: &TrustMaterial,
    now: SystemTime,
) -> Decision {
    let mut trace = Trace::new(policy.scope);
    let mut signers: Vec<Signer> = Vec::new();
    for requirement in policy.requirements.iter() {
        let verdict = evaluate(requirement, subject, material, now);
        let refusal = match &verdict.outcome {
            Outcome::Accepted(by) => {
                signers.extend(
                    by.iter()
                        .filter(|signer| !signers.contains(signer))
                        .cloned()
                        .collect::<Vec<_>>(),
                );
                None
            }
            Outcome::Refused(rejection) => Some(rejection.clone()),
        };
        trace.verdicts.push(verdict);
        if let Some(rejection) = refusal {
            return Decision { trace, verdict: Err(rejection) };
        }
    }
    if trace.verdicts.is_empty() {
        let rejection =
            Rejection::new(Code::PolicyReject, "the policy requires nothing".to_owned());
        return Decision { trace, verdict: Err(rejection) };
    }
    let admission = Admission {
        reference: subject.reference.clone(),
        manifest: subject.manifest.digest().clone(),
        basis: if signers.is_empty() { Basis::Unverified } else { Basis::Signed(signers) },
    };
    Decision { trace, verdict: Ok(admission) }
}

fn evaluate(
    requirement: &Requirement,
    subject: Subject<'_>,
    material: &TrustMaterial,
    now: SystemTime,
) -> Verdict {
    let name = requirement.name();
    match requirement {
        Requirement::InsecureAcceptAnything => Verdict::accepted(name),
        Requirement::Reject => {
            let text = "the policy rejects this image (`reject`)";
            Verdict::refused(name, Code::PolicyReject, text)
        }
        Requirement::SignedBaseLayer(_) => {
            let text = "`signedBaseLayer` is never satisfied, as in containers/image";
            Verdict::refused(name, Code::BaseLayerUnsupported, text)
        }
        Requirement::SignedBy(signed_by) => signed_by::evaluate(signed_by, subject, material, now),
        Requirement::SigstoreSigned(signed) => {
            sigstore_signed::evaluate(signed, subject, material, now)
        }
    }
}

/// A verdict with the whole reasoning.
#[derive(Debug)]
pub struct Decision {
    /// How the verdict came about.
    pub trace: Trace,
    /// The verdict.
    pub verdict: Result<Admission, Rejection>,
}

/// Proof that this manifest may enter the node for this reference. Made only by [`decide`], where the
/// configuration says `audit` by [`Auditing::admit`], and after a refusal by [`Exemption::overrule`]; the
/// basis tells which.
///
/// ```compile_fail,E0451
/// use pullgate_policy::decision::{Admission, Basis};
/// fn forge(reference: pullgate_policy::reference::PullReference) -> Admission {
///     let manifest = pullgate_policy::digest::Digest::sha256(b"");
///     Admission { reference, manifest, basis: Basis::Unverified }
/// }
/// ```
#[must_use]
#[derive(Debug)]
pub struct Admission {
    reference: PullReference,
    manifest: Digest,
    basis: Basis,
}

/// What an admission rests on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Basis {
    /// The node's configuration: a verdict is sought, and changes nothing. It holds for this once: the
    /// configuration may change.
    Audited,
    /// An exemption that enough admins signed, where the policy refuses. It holds for this once: the
    /// exemption ends by itself, and may be removed.
    Exempted {
        /// The exemption.
        exemption: Box<Exemption>,
        /// The refusal that it overrules, in words.
        refusal: String,
    },
    /// Signatures, and who made them.
    Signed(Vec<Signer>),
    /// `insecureAcceptAnything`: nobody vouches for the image.
    Unverified,
}

impl Admission {
    /// The reference that was accepted.
    #[must_use]
    pub const fn reference(&self) -> &PullReference {
        &self.reference
    }

    /// The manifest that was accepted.
    #[must_use]
    pub const fn manifest(&self) -> &Digest {
        &self.manifest
    }

    /// What the admission rests on.
    #[must_use]
    pub const fn basis(&self) -> &Basis {
        &self.basis
    }
}

/// The policy does not accept the image.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Rejection {
    code: Code,
    message: String,
}

impl Rejection {
    const fn new(code: Code, message: String) -> Self {
        Self { code, message }
    }

    /// The reason of a refused image whose index the policy would accept: signatures of the manifest
    /// that runs count, as in containers/image (policy-semantics.md 1.6).
    #[must_use]
    pub fn index_only(manifest: &Digest, index: &Admission) -> Self {
        let index = index.manifest();
        let text = format!(
            "only the index {index} is signed, and what counts is a signature of this platform's \
             manifest {manifest}: sign every manifest (`cosign sign --recursive`)"
        );
        Self::new(Code::IndexOnlySigned, text)
    }

    /// The stable reason.
    #[must_use]
    pub const fn code(&self) -> Code {
        self.code
    }

    /// The reason in words: the same for the same image, policy and signatures.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }
}

#[cfg(test)]
mod tests;
