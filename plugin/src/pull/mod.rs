//! The pull: resolve, collect, decide, ingest, publish, record.

mod approve;
mod audit;
mod error;
mod findings;
mod held;
mod image;
mod precedence;
mod present;
mod remembered;
mod row;
mod rules;
mod sandbox;
mod sweep;
mod transfer;
mod unchanged;
mod word;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use pullgate_policy::Admission;
use pullgate_policy::decision::Modes;
use pullgate_policy::digest::VerifiedBlob;
use pullgate_policy::namespace::{Namespace, NamespaceError};
use pullgate_policy::platform::Platform;
use pullgate_policy::reference::PullReference;

pub use approve::NotApproved;
pub use audit::Audits;
pub use error::{Class, PullError};
pub use findings::{Checked, Findings, Resolution};
pub use present::{Presence, Wanted};

use crate::audit::chain;
use crate::containerd::Containerd;
use crate::evidence::Collector;
use crate::ledger::{Door, Ledger};
use crate::metrics::Metrics;
use crate::registry::{AuthConfig, Credentials, Registry, Repository};
use crate::trust::{Exemptions, Trust};
use audit::PendingVerdict;
use image::Image;
use present::refuse_checkpoint;
use row::Row;
use rules::Rules;
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
    /// What was decided before.
    pub ledger: Arc<Ledger>,
    /// Where outcomes are counted.
    pub metrics: Arc<Metrics>,
}

impl Gate {
    /// Pulls one image, and records the outcome. Dropping the future ends the pull and cleans up.
    ///
    /// # Errors
    /// [`PullError`] names the stage that failed.
    pub async fn pull(self: &Arc<Self>, request: PullRequest) -> Result<ImageId, PullError> {
        self.bring_in(request, Door::Pull).await
    }

    /// A pull that `door` asks for.
    async fn bring_in(
        self: &Arc<Self>,
        request: PullRequest,
        door: Door,
    ) -> Result<ImageId, PullError> {
        let mut row = Row::begin(self, door, &request);
        match self.stages(request, &mut row).await {
            Ok(Handed { id, verdict: None }) => {
                row.end(Ok(())).await;
                Ok(id)
            }
            Ok(Handed { id, verdict: Some(pending) }) => {
                self.audits.record(pending, row);
                Ok(id)
            }
            Err(error) => {
                row.end(Err(&error)).await;
                Err(error)
            }
        }
    }

    /// Decides about one image as a pull would, from what is on the network now. Nothing is handed to
    /// containerd, and nothing is recorded.
    pub async fn check(&self, request: PullRequest) -> Checked {
        let mut findings = Findings::default();
        let judged = match Asked::of(&request, &mut findings) {
            Ok(asked) => self.judge(asked, request.auth, &mut findings).await,
            Err(error) => Err(error),
        };
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

    /// Every tag of the repository that `request` names, in the registry's order.
    ///
    /// # Errors
    /// [`PullError`] if the registry does not list them.
    pub async fn tags(&self, request: PullRequest) -> Result<Vec<String>, PullError> {
        let reference = PullReference::parse(&request.image)?;
        let credentials = Credentials::new(request.auth)?;
        let repository = self.registry.repository(reference.reference(), &credentials)?;
        Ok(repository.tags().await?)
    }

    /// The trust path. Each stage takes what the one before returned; nothing is fetched for an image
    /// that was not admitted but its manifest, and containerd sees nothing of it.
    async fn stages(
        self: &Arc<Self>,
        request: PullRequest,
        row: &mut Row,
    ) -> Result<Handed, PullError> {
        let asked = Asked::of(&request, &mut row.findings)?;
        let Some(auditing) = self.modes.auditing(&asked.reference, asked.namespace.as_ref()) else {
            let judged = self.judge(asked, request.auth, &mut row.findings).await?;
            let Judged { repository, image, admission } = judged;
            let id = self.hand_over(&repository, &image, &admission, row).await?;
            return Ok(Handed { id, verdict: None });
        };
        let (repository, image) = self.resolve(&asked.reference, request.auth).await?;
        row.findings.image = Some(Resolution::of(&image));
        let image = Arc::new(image);
        let search = Arc::clone(self).audit(asked, Arc::clone(&image));
        let pending = PendingVerdict::seek(search, self.audit_deadline);
        let admission = auditing.admit(&image.manifest.proof);
        let id = self.hand_over(&repository, &image, &admission, row).await?;
        Ok(Handed { id, verdict: Some(pending) })
    }

    /// Ingests and publishes an admitted image.
    async fn hand_over(
        &self,
        repository: &Repository,
        image: &Image,
        admission: &Admission,
        row: &mut Row,
    ) -> Result<ImageId, PullError> {
        let pinned = row.door() == Door::Sandbox
            || self.sandbox_image.as_ref() == Some(admission.reference());
        if let Some(id) = self.unchanged(admission, image, pinned).await {
            return Ok(id);
        }
        let transfer = Transfer::begin(&self.containerd, repository, self.parallel_layers).await?;
        let outcome = transfer.hand_over(admission, image, pinned).await;
        row.bytes(transfer.bytes());
        if outcome.is_err() {
            transfer.give_up().await;
        }
        outcome
    }

    /// The stages up to the policy's word.
    async fn judge(
        &self,
        asked: Asked,
        auth: AuthConfig,
        findings: &mut Findings,
    ) -> Result<Judged, PullError> {
        let Asked { reference, namespace } = asked;
        let rules = self.rules(&reference, namespace.as_ref(), findings);
        let rules = match rules {
            Err(error) if self.exemptions.covering(&reference, SystemTime::now()).is_none() => {
                return Err(error);
            }
            rules => rules,
        };
        let (repository, image) = self.resolve(&reference, auth).await?;
        let admission = self.verdict(rules, &reference, &image, findings).await?;
        Ok(Judged { repository, image, admission })
    }

    /// The verdict about an image that enters whatever it is.
    async fn audit(self: Arc<Self>, asked: Asked, image: Arc<Image>) -> Checked {
        let mut findings = Findings::default();
        let Asked { reference, namespace } = asked;
        let rules = self.rules(&reference, namespace.as_ref(), &mut findings);
        let verdict = self.verdict(rules, &reference, &image, &mut findings).await;
        Checked { findings, verdict: verdict.map(|admission| admission.basis().clone()) }
    }

    /// The policy's word or, where that is a refusal, an exemption that overrules it.
    async fn verdict(
        &self,
        rules: Result<Rules, PullError>,
        reference: &PullReference,
        image: &Image,
        findings: &mut Findings,
    ) -> Result<Admission, PullError> {
        findings.image = Some(Resolution::of(image));
        refuse_checkpoint(image, reference)?;
        let word = match rules {
            Ok(rules) => self.word(&rules, image, findings).await,
            Err(error) => Err(error),
        };
        word.or_else(|refusal| {
            self.overruled(&refusal, reference, &image.manifest.proof, findings).ok_or(refusal)
        })
    }

    /// An admission in spite of a refusal, if an exemption covers the image.
    fn overruled(
        &self,
        refusal: &PullError,
        reference: &PullReference,
        manifest: &VerifiedBlob,
        findings: &mut Findings,
    ) -> Option<Admission> {
        if !refusal.may_be_overruled() {
            return None;
        }
        let exemption = self.exemptions.covering(reference, SystemTime::now())?;
        let admission = exemption.overrule(chain(refusal), reference, manifest)?;
        findings.basis = Some(admission.basis().clone());
        Some(admission)
    }

    /// What decides about `reference` in a pod of `namespace`.
    fn rules(
        &self,
        reference: &PullReference,
        namespace: Option<&Namespace>,
        findings: &mut Findings,
    ) -> Result<Rules, PullError> {
        let rules = Rules::read(&self.trust, namespace, reference)?;
        findings.rules(&rules);
        Ok(rules)
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
}

/// What a request asks for, parsed.
struct Asked {
    reference: PullReference,
    namespace: Option<Namespace>,
}

impl Asked {
    fn of(request: &PullRequest, findings: &mut Findings) -> Result<Self, PullError> {
        let reference = PullReference::parse(&request.image)?;
        findings.reference = Some(reference.clone());
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
