//! The pull: resolve, collect, decide, ingest, publish, record.

mod error;
mod image;
mod transfer;

use std::sync::Arc;
use std::time::SystemTime;

use pullgate_policy::decision::{Basis, Subject};
use pullgate_policy::platform::Platform;
use pullgate_policy::reference::PullReference;
use pullgate_policy::{Admission, decide};

pub use error::{Class, PullError};

use crate::audit::{Attempt, Signer, chain};
use crate::containerd::Containerd;
use crate::evidence::{Collector, Evidence};
use crate::registry::{AuthConfig, Credentials, Registry};
use crate::trust::{Snapshot, Trust};
use image::Image;
use transfer::Transfer;

/// What kubelet asks for. Nothing in it has been checked.
#[derive(Debug)]
pub struct PullRequest {
    /// `image.image` of the request.
    pub image: String,
    /// `auth` of the request.
    pub auth: AuthConfig,
    /// Whose pod it is for.
    pub pod: Pod,
    /// The runtime handler that the image is for; none is the default one.
    pub runtime_handler: Option<String>,
}

/// The pod that a pull is for, as far as the request tells.
#[derive(Debug, Clone, Default)]
pub struct Pod {
    /// `sandbox_config.metadata.namespace`.
    pub namespace: String,
    /// `sandbox_config.metadata.name`.
    pub name: String,
    /// `sandbox_config.metadata.uid`.
    pub uid: String,
}

/// The image ID that PullImage answers: the digest of the image configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageId(pub String);

/// The gate: decides and hands over.
#[derive(Debug)]
pub struct Gate {
    /// Policy, registries.d and keys.
    pub trust: Arc<Trust>,
    /// The registry client.
    pub registry: Registry,
    /// The reader of signature stores.
    pub collector: Collector,
    /// Where admitted images go.
    pub containerd: Containerd,
    /// Layers fetched at the same time.
    pub parallel_layers: usize,
    /// The image that containerd keeps for sandboxes: it must not be collected.
    pub sandbox_image: Option<PullReference>,
    /// What this node runs.
    pub platform: Platform,
}

impl Gate {
    /// Pulls one image, and records the outcome. Dropping the future ends the pull and cleans up.
    ///
    /// # Errors
    /// [`PullError`] names the stage that failed.
    pub async fn pull(&self, request: PullRequest) -> Result<ImageId, PullError> {
        let mut attempt = Attempt::begin(&request);
        let outcome = self.stages(request, &mut attempt).await;
        match &outcome {
            Ok(_) => attempt.accepted(),
            Err(error) => match error.class() {
                Class::Rejected => attempt.rejected(error.reason(), &chain(error)),
                Class::BadRequest
                | Class::Denied
                | Class::Internal
                | Class::Malformed
                | Class::NotFound
                | Class::Runtime
                | Class::Unavailable => attempt.failed(error.reason(), &chain(error)),
            },
        }
        outcome
    }

    /// The trust path. Each stage takes what the one before returned; nothing is fetched for an image
    /// that was not admitted but its manifest, and containerd sees nothing of it.
    async fn stages(
        &self,
        request: PullRequest,
        attempt: &mut Attempt,
    ) -> Result<ImageId, PullError> {
        let reference = PullReference::parse(&request.image)?;
        attempt.reference(&reference.to_string());
        let trust = self.trust.snapshot()?;
        attempt.policy_file(&trust.policy_path().display().to_string());

        let credentials = Credentials::new(request.auth)?;
        let repository = self.registry.repository(reference.reference(), &credentials)?;
        let image = Image::resolve(&repository, &reference, &self.platform).await?;
        attempt.digest(&image.manifest.descriptor.digest.to_string());

        let evidence = self.collect(&trust, &reference, &image).await?;
        let admission = admit(&trust, &reference, &image, &evidence, attempt)?;

        let pinned = self.sandbox_image.as_ref() == Some(&reference);
        let transfer = Transfer::begin(&self.containerd, &repository, self.parallel_layers).await?;
        let outcome = transfer.hand_over(&admission, &image, pinned).await;
        attempt.bytes(transfer.bytes());
        transfer.end().await;
        outcome
    }

    /// The signatures of the image, unless the verdict does not depend on any.
    async fn collect(
        &self,
        trust: &Snapshot,
        reference: &PullReference,
        image: &Image,
    ) -> Result<Evidence, PullError> {
        if !trust.policy().applicable(reference).requirements.needs_signatures() {
            return Ok(Evidence::default());
        }
        let digest = &image.manifest.descriptor.digest;
        Ok(self.collector.collect(trust.lookaside(), &image.source, digest).await?)
    }
}

/// Asks the policy, and notes what it says.
fn admit(
    trust: &Snapshot,
    reference: &PullReference,
    image: &Image,
    evidence: &Evidence,
    attempt: &mut Attempt,
) -> Result<Admission, PullError> {
    let applicable = trust.policy().applicable(reference);
    let subject = Subject {
        reference,
        manifest: &image.manifest.proof,
        signatures: &evidence.signatures,
        searched: &evidence.searched,
    };
    let material = Snapshot::material(applicable.requirements);
    let decision = decide(applicable, subject, &material, SystemTime::now());
    attempt.scope(&decision.trace.scope);
    tracing::debug!(PULL_ID = attempt.id(), trace = ?decision.trace, "decided");
    let admission = decision.verdict?;
    match admission.basis() {
        Basis::Signed(signers) => {
            attempt.reason("SIGNED");
            let signers: Vec<Signer> = signers
                .iter()
                .map(|signer| Signer {
                    identity: signer.name.clone().unwrap_or_default(),
                    fingerprint: signer.fingerprint.clone(),
                })
                .collect();
            attempt.signers(&signers);
        }
        Basis::Unverified => attempt.reason("UNVERIFIED"),
    }
    Ok(admission)
}
