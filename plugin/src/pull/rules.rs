//! The policy for one reference with the keys that it names, all read at one moment.

use std::sync::Arc;
use std::time::SystemTime;

use pullgate_policy::decide;
use pullgate_policy::decision::{Decision, Listing, Subject, TrustMaterial};
use pullgate_policy::digest::{Digest, VerifiedBlob};
use pullgate_policy::document::{Applicable, Requirements};
use pullgate_policy::namespace::Namespace;
use pullgate_policy::reference::PullReference;

use crate::evidence::Evidence;
use crate::trust::{Snapshot, Trust, TrustError};

/// What decides about one reference.
#[derive(Debug)]
pub(super) struct Rules {
    trust: Arc<Snapshot>,
    reference: PullReference,
    material: TrustMaterial,
    hash: Digest,
}

impl Rules {
    /// Reads what decides about `reference` in a pod of `namespace`.
    pub(super) fn read(
        trust: &Trust,
        namespace: Option<&Namespace>,
        reference: &PullReference,
    ) -> Result<Self, TrustError> {
        Ok(Self::of(trust.snapshot(namespace)?, reference))
    }

    /// What decides about `reference` by the policy `trust`, with the keys as they are now.
    pub(super) fn of(trust: Arc<Snapshot>, reference: &PullReference) -> Self {
        let material = Snapshot::material(trust.policy().applicable(reference).requirements);
        let hash = trust.policy_hash(&material);
        Self { trust, reference: reference.clone(), material, hash }
    }

    /// The policy and registries.d.
    pub(super) const fn trust(&self) -> &Arc<Snapshot> {
        &self.trust
    }

    /// What is decided about.
    pub(super) const fn reference(&self) -> &PullReference {
        &self.reference
    }

    /// A digest over all of it.
    pub(super) const fn hash(&self) -> &Digest {
        &self.hash
    }

    /// What must hold.
    pub(super) fn requirements(&self) -> &Requirements {
        self.applicable().requirements
    }

    /// Asks the policy.
    pub(super) fn decide(
        &self,
        document: &VerifiedBlob,
        evidence: &Evidence,
        listing: Option<Listing<'_>>,
    ) -> Decision {
        let subject = Subject {
            reference: &self.reference,
            manifest: document,
            signatures: &evidence.signatures,
            searched: &evidence.searched,
            listing,
        };
        decide(self.applicable(), subject, &self.material, SystemTime::now())
    }

    fn applicable(&self) -> Applicable<'_> {
        self.trust.policy().applicable(&self.reference)
    }
}
