//! The pull: resolve, collect, decide, ingest, publish, record.

mod audit;
mod error;
mod findings;
mod image;
mod notes;
mod transfer;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use pullgate_policy::decision::{Code, Decision, Listing, Modes, Subject};
use pullgate_policy::namespace::{Namespace, NamespaceError};
use pullgate_policy::platform::Platform;
use pullgate_policy::reference::PullReference;
use pullgate_policy::{Admission, Rejection, decide};

pub use audit::Audits;
pub use error::{Class, PullError};
pub use findings::{Checked, Findings, Resolution};

use crate::audit::{Attempt, chain};
use crate::containerd::Containerd;
use crate::evidence::{Collector, Evidence};
use crate::registry::{AuthConfig, Credentials, Registry, Repository};
use crate::trust::{Exemptions, Snapshot, Trust};
use audit::PendingVerdict;
use image::{Image, Part};
use notes::{note, note_basis};
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
    /// The annotation `kubernetes.io/service-account.name` of the pod, if somebody put it there: kubelet
    /// does not tell which account a pod runs under.
    pub service_account: String,
}

impl Pod {
    /// Its namespace, as a name that may be a part of a path. None where the request names no pod, as
    /// those for the sandbox image and those of `crictl` do.
    ///
    /// # Errors
    /// [`NamespaceError`] for what cannot be a namespace.
    pub fn namespace(&self) -> Result<Option<Namespace>, NamespaceError> {
        Some(&self.namespace)
            .filter(|name| !name.is_empty())
            .map(|name| Namespace::parse(name))
            .transpose()
    }
}

/// The image ID that PullImage answers: the digest of the image configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageId(pub String);

/// The gate: decides and hands over.
#[derive(Debug)]
pub struct Gate {
    /// Policy, registries.d and keys.
    pub trust: Arc<Trust>,
    /// Where refusals count.
    pub modes: Modes,
    /// How long a verdict may take that does not count.
    pub audit_deadline: Duration,
    /// Those that are still sought.
    pub audits: Audits,
    /// What overrules refusals.
    pub exemptions: Exemptions,
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
    pub async fn pull(self: &Arc<Self>, request: PullRequest) -> Result<ImageId, PullError> {
        let mut attempt = Attempt::begin(&request);
        match self.stages(request, &mut attempt).await {
            Ok(Handed { id, verdict: None }) => {
                attempt.accepted();
                Ok(id)
            }
            Ok(Handed { id, verdict: Some(pending) }) => {
                attempt.answered();
                self.audits.record(pending, attempt);
                Ok(id)
            }
            Err(error) => {
                match error.class() {
                    Class::Rejected => attempt.rejected(error.reason(), &chain(&error)),
                    Class::BadRequest
                    | Class::Denied
                    | Class::Internal
                    | Class::Malformed
                    | Class::NotFound
                    | Class::Runtime
                    | Class::Unavailable => attempt.failed(error.reason(), &chain(&error)),
                }
                Err(error)
            }
        }
    }

    /// Decides about one image as a pull would, from what is on the network now. Nothing is handed to
    /// containerd, and nothing is recorded.
    pub async fn check(&self, request: PullRequest) -> Checked {
        let mut attempt = Attempt::begin(&request);
        let mut findings = Findings::default();
        let judged = match Asked::of(&request, &mut attempt) {
            Ok(asked) => self.judge(asked, request.auth, &mut attempt, &mut findings).await,
            Err(error) => Err(error),
        };
        attempt.unrecorded();
        Checked { findings, verdict: judged.map(|judged| judged.admission.basis().clone()) }
    }

    /// What the reference stands for now, whatever the policy says about it.
    ///
    /// # Errors
    /// [`PullError`] if it cannot be resolved.
    pub async fn inspect(&self, request: PullRequest) -> Result<Resolution, PullError> {
        let reference = PullReference::parse(&request.image)?;
        let (_repository, image) = self.resolve(&reference, request.auth).await?;
        Ok(Resolution::of(&image))
    }

    /// The trust path. Each stage takes what the one before returned; nothing is fetched for an image
    /// that was not admitted but its manifest, and containerd sees nothing of it.
    async fn stages(
        self: &Arc<Self>,
        request: PullRequest,
        attempt: &mut Attempt,
    ) -> Result<Handed, PullError> {
        let asked = Asked::of(&request, attempt)?;
        let Some(auditing) = self.modes.auditing(&asked.reference, asked.namespace.as_ref()) else {
            let judged = self.judge(asked, request.auth, attempt, &mut Findings::default()).await?;
            let Judged { repository, image, admission } = judged;
            let id = self.hand_over(&repository, &image, &admission, attempt).await?;
            return Ok(Handed { id, verdict: None });
        };
        let (repository, image) = self.resolve(&asked.reference, request.auth).await?;
        attempt.digest(&image.manifest.descriptor.digest.to_string());
        let image = Arc::new(image);
        let search = Arc::clone(self).audit(asked, Arc::clone(&image));
        let pending = PendingVerdict::seek(search, self.audit_deadline);
        let admission = auditing.admit(&image.manifest.proof);
        let id = self.hand_over(&repository, &image, &admission, attempt).await?;
        Ok(Handed { id, verdict: Some(pending) })
    }

    /// Ingests and publishes an admitted image.
    async fn hand_over(
        &self,
        repository: &Repository,
        image: &Image,
        admission: &Admission,
        attempt: &mut Attempt,
    ) -> Result<ImageId, PullError> {
        let pinned = self.sandbox_image.as_ref() == Some(admission.reference());
        let transfer = Transfer::begin(&self.containerd, repository, self.parallel_layers).await?;
        let outcome = transfer.hand_over(admission, image, pinned).await;
        attempt.bytes(transfer.bytes());
        transfer.end().await;
        outcome
    }

    /// The stages up to the policy's word.
    async fn judge(
        &self,
        asked: Asked,
        auth: AuthConfig,
        attempt: &mut Attempt,
        findings: &mut Findings,
    ) -> Result<Judged, PullError> {
        findings.reference = Some(asked.reference.clone());
        let trust = self.trust.snapshot(asked.namespace.as_ref()).map_err(PullError::from);
        let exempted = |now| self.exemptions.covering(&asked.reference, now).is_some();
        let trust = match trust {
            Err(error) if !exempted(SystemTime::now()) => return Err(error),
            trust => trust,
        };
        findings.trust = trust.as_ref().ok().cloned();
        note(findings, attempt);

        let (repository, image) = self.resolve(&asked.reference, auth).await?;
        attempt.digest(&image.manifest.descriptor.digest.to_string());
        findings.image = Some(Resolution::of(&image));

        let verdict = self.verdict(trust, &asked.reference, &image, findings).await;
        note(findings, attempt);
        let admission = verdict?;
        note_basis(admission.basis(), attempt);
        Ok(Judged { repository, image, admission })
    }

    /// The verdict about an image that enters whatever it is.
    async fn audit(self: Arc<Self>, asked: Asked, image: Arc<Image>) -> Checked {
        let mut findings = Findings::default();
        let trust = self.trust.snapshot(asked.namespace.as_ref()).map_err(PullError::from);
        findings.trust = trust.as_ref().ok().cloned();
        let verdict = self.verdict(trust, &asked.reference, &image, &mut findings).await;
        Checked { findings, verdict: verdict.map(|admission| admission.basis().clone()) }
    }

    /// The policy's word or, where that is a refusal, an exemption that overrules it.
    async fn verdict(
        &self,
        trust: Result<Arc<Snapshot>, PullError>,
        reference: &PullReference,
        image: &Image,
        findings: &mut Findings,
    ) -> Result<Admission, PullError> {
        let word = match trust {
            Ok(trust) => self.word(&trust, reference, image, findings).await,
            Err(error) => Err(error),
        };
        word.or_else(|refusal| {
            if !refusal.may_be_overruled() {
                return Err(refusal);
            }
            let exemption = self.exemptions.covering(reference, SystemTime::now());
            let proof = &image.manifest.proof;
            exemption
                .and_then(|exemption| exemption.overrule(chain(&refusal), reference, proof))
                .ok_or(refusal)
        })
    }

    /// Collects what the policy asks for, and asks it.
    async fn word(
        &self,
        trust: &Snapshot,
        reference: &PullReference,
        image: &Image,
        findings: &mut Findings,
    ) -> Result<Admission, PullError> {
        let evidence = self.collect(trust, reference, image, &image.manifest).await?;
        findings.searched.clone_from(&evidence.searched);
        let listing = self.listing(trust, reference, image).await?;
        let listing = listing.as_ref().and_then(|(index, evidence)| {
            Listing::new(&index.proof, &index.body, &image.manifest.proof, &evidence.signatures)
        });
        let decision = decide_on(trust, reference, &image.manifest, &evidence, listing);
        findings.trace = Some(decision.trace);
        match decision.verdict {
            Ok(admission) => Ok(admission),
            Err(rejection) => Err(self.explain(trust, reference, image, rejection).await.into()),
        }
    }

    /// Resolves the reference once.
    async fn resolve(
        &self,
        reference: &PullReference,
        auth: AuthConfig,
    ) -> Result<(Repository, Image), PullError> {
        let credentials = Credentials::new(auth)?;
        let repository = self.registry.repository(reference.reference(), &credentials)?;
        let image = Image::resolve(&repository, reference, &self.platform).await?;
        Ok((repository, image))
    }

    /// The signatures of one document of the image, unless the verdict does not depend on any.
    async fn collect(
        &self,
        trust: &Snapshot,
        reference: &PullReference,
        image: &Image,
        document: &Part,
    ) -> Result<Evidence, PullError> {
        if !trust.policy().applicable(reference).requirements.needs_signatures() {
            return Ok(Evidence::default());
        }
        let digest = &document.descriptor.digest;
        Ok(self.collector.collect(trust.lookaside(), &image.source, digest).await?)
    }

    /// The index with its signatures, if the policy may accept the image because of them.
    async fn listing<'a>(
        &self,
        trust: &Snapshot,
        reference: &PullReference,
        image: &'a Image,
    ) -> Result<Option<(&'a Part, Evidence)>, PullError> {
        let Some((index, _)) = &image.index else { return Ok(None) };
        if !trust.policy().applicable(reference).requirements.may_accept_index() {
            return Ok(None);
        }
        Ok(Some((index, self.collect(trust, reference, image, index).await?)))
    }

    /// The reason of a refusal, or a better one where only the index is signed: most tools sign that
    /// alone unless told otherwise. The image stays refused whatever is found.
    async fn explain(
        &self,
        trust: &Snapshot,
        reference: &PullReference,
        image: &Image,
        rejection: Rejection,
    ) -> Rejection {
        let Some((index, _)) = &image.index else { return rejection };
        if rejection.code() != Code::SignatureMissing {
            return rejection;
        }
        let Ok(evidence) = self.collect(trust, reference, image, index).await else {
            return rejection;
        };
        match decide_on(trust, reference, index, &evidence, None).verdict {
            Ok(accepted) => Rejection::index_only(&image.manifest.descriptor.digest, &accepted),
            Err(_) => rejection,
        }
    }
}

/// What a request asks for, parsed.
struct Asked {
    reference: PullReference,
    namespace: Option<Namespace>,
}

impl Asked {
    fn of(request: &PullRequest, attempt: &mut Attempt) -> Result<Self, PullError> {
        let reference = PullReference::parse(&request.image)?;
        attempt.reference(&reference.to_string());
        Ok(Self { reference, namespace: request.pod.namespace()? })
    }
}

/// An image that the policy accepts, and where it is.
struct Judged {
    repository: Repository,
    image: Image,
    admission: Admission,
}

/// An image that containerd shows.
struct Handed {
    id: ImageId,
    /// The verdict that did not count, in audit mode.
    verdict: Option<PendingVerdict>,
}

/// Asks the policy.
fn decide_on(
    trust: &Snapshot,
    reference: &PullReference,
    document: &Part,
    evidence: &Evidence,
    listing: Option<Listing<'_>>,
) -> Decision {
    let applicable = trust.policy().applicable(reference);
    let subject = Subject {
        reference,
        manifest: &document.proof,
        signatures: &evidence.signatures,
        searched: &evidence.searched,
        listing,
    };
    let material = Snapshot::material(applicable.requirements);
    decide(applicable, subject, &material, SystemTime::now())
}
