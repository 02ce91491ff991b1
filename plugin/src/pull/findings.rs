//! What comes to light on the way to a verdict: a refusal leaves what was found before it.

use std::sync::Arc;

use pullgate_policy::decision::{Basis, Decision, Trace};
use pullgate_policy::digest::Digest;
use pullgate_policy::platform::Platform;
use pullgate_policy::reference::{PullReference, Reference};
use pullgate_policy::{Admission, Rejection};

use super::PullError;
use super::image::Image;
use super::rules::Rules;
use crate::audit::Reason;
use crate::ledger::Evidence;
use crate::trust::Snapshot;

/// A verdict with the whole reasoning.
#[derive(Debug)]
pub struct Checked {
    /// What was found, as far as it came.
    pub findings: Findings,
    /// What the acceptance rests on, or the stage that refused.
    pub verdict: Result<Basis, PullError>,
}

impl Checked {
    /// The stable reason code.
    #[must_use]
    pub fn reason(&self) -> Reason {
        match &self.verdict {
            Ok(Basis::Signed(_)) => Reason::Signed,
            Ok(Basis::Exempted { .. }) => Reason::Exempted,
            Ok(Basis::Audited | Basis::Unverified) => Reason::Unverified,
            Err(error) => error.reason(),
        }
    }
}

/// What was found, stage by stage. What is missing was not reached.
#[derive(Debug, Default)]
pub struct Findings {
    /// The reference in its full form.
    pub reference: Option<PullReference>,
    /// The policy in force.
    pub trust: Option<Arc<Snapshot>>,
    /// A digest over everything that decides, keys included.
    pub policy: Option<Digest>,
    /// What the reference stands for.
    pub image: Option<Resolution>,
    /// Where signatures were looked for.
    pub searched: Vec<String>,
    /// What each requirement says.
    pub trace: Option<Trace>,
    /// What an acceptance rests on.
    pub basis: Option<Basis>,
    /// What the verdict was made from.
    pub evidence: Evidence,
}

impl Findings {
    /// What decides, and about what.
    pub(super) fn rules(&mut self, rules: &Rules) {
        self.reference = Some(rules.reference().clone());
        self.trust = Some(Arc::clone(rules.trust()));
        self.policy = Some(rules.hash().clone());
    }

    /// What the policy says.
    pub(super) fn decision(&mut self, decision: Decision) -> Result<Admission, Rejection> {
        self.trace = Some(decision.trace);
        let admission = decision.verdict?;
        self.basis = Some(admission.basis().clone());
        Ok(admission)
    }
}

/// What a reference stands for on this node, by digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolution {
    /// The index, if the reference names one.
    pub index: Option<Digest>,
    /// The platforms that the index lists; none for what is no image, such as an attestation.
    pub platforms: Vec<(Option<Platform>, Digest)>,
    /// The manifest of the image for this node.
    pub manifest: Digest,
    /// The configuration, whose digest is the image ID.
    pub config: Digest,
    /// The name at the endpoint that served it.
    pub physical: Reference,
}

impl Resolution {
    pub(super) fn of(image: &Image) -> Self {
        let listed = image.index.iter().flat_map(|(_, index)| &index.manifests);
        Self {
            index: image.index.as_ref().map(|(part, _)| part.descriptor.digest.clone()),
            platforms: listed.map(|child| (child.platform.clone(), child.digest.clone())).collect(),
            manifest: image.manifest.descriptor.digest.clone(),
            config: image.content.config().digest.clone(),
            physical: image.source.physical().clone(),
        }
    }

    /// What the reference names: the index, or else the manifest. Repo digests are made of it.
    #[must_use]
    pub fn top(&self) -> &Digest {
        self.index.as_ref().unwrap_or(&self.manifest)
    }
}
