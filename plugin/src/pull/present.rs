//! Images that are on the node already: a container, a pod's sandbox or an image volume may be made of
//! one only if the policy accepts it for that pod, however it came there.
//!
//! What has a row in the ledger is answered from it. Anything else is decided again: from the evidence
//! that the ledger keeps, or else from the registry.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use pullgate_policy::Admission;
use pullgate_policy::decision::Listing;
use pullgate_policy::digest::Digest;
use pullgate_policy::manifest::checkpoint;
use pullgate_policy::namespace::Namespace;
use pullgate_policy::reference::PullReference;
use tokio::time::timeout;

use super::audit::PendingVerdict;
use super::findings::{Checked, Findings};
use super::held::Held;
use super::image::Image;
use super::row::Row;
use super::rules::Rules;
use super::{Gate, Pod, PullError, PullRequest};
use crate::containerd::present::Present;
use crate::evidence::Evidence;
use crate::ledger::Door;
use crate::registry::AuthConfig;

/// How long the registry may take: kubelet gives a container two minutes to be created.
const PATIENCE: Duration = Duration::from_secs(60);

/// The most names under which one image is looked for.
const NAMES: usize = 16;

/// An image that something is to be made of. Nothing in it has been checked.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// The image as kubelet names it: mostly its ID.
    pub image: String,
    /// What the pod says, where kubelet passes it on.
    pub user_specified: String,
    /// Whose pod it is.
    pub pod: Pod,
}

/// Whether the image is there. If it is, the policy accepts it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// It is on the node, and accepted.
    Accepted,
    /// It is not on the node.
    Absent,
}

impl Wanted {
    /// A request for the same image, for the record.
    pub(super) fn request(&self, name: Option<&PullReference>) -> PullRequest {
        PullRequest {
            image: name.map_or_else(|| self.image.clone(), PullReference::to_string),
            auth: AuthConfig::default(),
            pod: self.pod.clone(),
            runtime_handler: None,
        }
    }
}

/// Whom a decision may ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// The ledger and containerd.
    Node,
    /// The registry.
    Registry,
}

impl Reach {
    const ALL: [Self; 2] = [Self::Node, Self::Registry];
}

/// An image on the node, and what it may be accepted as.
#[derive(Debug)]
pub(super) struct Question {
    pub(super) present: Present,
    pub(super) names: Vec<PullReference>,
    pub(super) namespace: Option<Namespace>,
}

impl Gate {
    /// Whether a container may be made of all these images. It is absent if one of them is.
    ///
    /// # Errors
    /// [`PullError`] tells why not.
    pub async fn admit_all(self: &Arc<Self>, images: &[Wanted]) -> Result<Presence, PullError> {
        let mut presence = Presence::Accepted;
        for wanted in images {
            if self.admit(wanted, Door::Create).await? == Presence::Absent {
                presence = Presence::Absent;
            }
        }
        Ok(presence)
    }

    /// Whether something may be made of an image.
    ///
    /// # Errors
    /// [`PullError`] tells why not.
    pub async fn admit(
        self: &Arc<Self>,
        wanted: &Wanted,
        door: Door,
    ) -> Result<Presence, PullError> {
        if matches!(self.known_by_id(wanted).await, Ok(true)) {
            self.metrics.ledger_asked(true);
            return Ok(Presence::Accepted);
        }
        let question = match self.question(wanted).await {
            Ok(None) => return Ok(Presence::Absent),
            Ok(Some(question)) => question,
            Err(error) => {
                let row = Row::begin(self, door, &wanted.request(None));
                row.end(Err(&error)).await;
                return Err(error);
            }
        };
        let remembered = matches!(self.remembered(&question).await, Ok(Some(_name)));
        self.metrics.ledger_asked(remembered);
        if remembered {
            return Ok(Presence::Accepted);
        }
        let mut row = Row::begin(self, door, &wanted.request(question.names.first()));
        if self.audits_only(&question) {
            let search = Arc::clone(self).audit_present(question);
            self.audits.record(PendingVerdict::seek(search, self.audit_deadline), row);
            return Ok(Presence::Accepted);
        }
        let outcome = self.decide_again(&question, &Reach::ALL, &mut row.findings).await;
        row.end(outcome.as_ref().map(|_admission| ())).await;
        outcome.map(|_admission| Presence::Accepted)
    }

    /// Whether a refusal is only recorded, under whichever of the names: the pod may have meant any.
    fn audits_only(&self, question: &Question) -> bool {
        let Question { names, namespace, .. } = question;
        let audits = |name| self.modes.auditing(name, namespace.as_ref()).is_some();
        !names.is_empty() && names.iter().all(audits)
    }

    /// The verdict about an image that is used whatever it is.
    async fn audit_present(self: Arc<Self>, question: Question) -> Checked {
        let mut findings = Findings::default();
        let verdict = self.decide_again(&question, &Reach::ALL, &mut findings).await;
        Checked { findings, verdict: verdict.map(|admission| admission.basis().clone()) }
    }

    /// The image on the node, and the names under which it may be accepted. None if it is not there.
    pub(super) async fn question(&self, wanted: &Wanted) -> Result<Option<Question>, PullError> {
        refuse_path(&wanted.image)?;
        match self.containerd.present(&wanted.image).await? {
            Some(present) => Ok(Some(self.question_about(wanted, present).await?)),
            None => Ok(None),
        }
    }

    /// What is asked about an image that is `present`.
    pub(super) async fn question_about(
        &self,
        wanted: &Wanted,
        present: Present,
    ) -> Result<Question, PullError> {
        let namespace = wanted.pod.namespace()?;
        let names = match named(&wanted.user_specified)? {
            Some(named) => vec![named],
            None => self.names(&wanted.image, &present).await,
        };
        Ok(Question { present, names, namespace })
    }

    /// Without the pod's own word, any name of this very image will do, or of this very repository
    /// where `image` is a digest there.
    async fn names(&self, image: &str, present: &Present) -> Vec<PullReference> {
        let asked = PullReference::parse(image).ok();
        let asked = asked.filter(|asked| present.names.contains(&asked.to_string()));
        let known = self.ledger.names(present.id.clone()).await.unwrap_or_default();
        let all = present.names.iter().chain(&known);
        let all = all.filter_map(|name| PullReference::parse(name).ok());
        let same = |name: &PullReference| {
            asked.as_ref().is_none_or(|asked| {
                let (name, asked) = (name.reference(), asked.reference());
                asked.digest().is_some() && name.repository() == asked.repository()
            })
        };
        let mut names: Vec<PullReference> = asked.iter().cloned().collect();
        for name in all.filter(same) {
            if !names.contains(&name) && names.len() < NAMES {
                names.push(name);
            }
        }
        names
    }

    /// Decides without a row, under each name, from what is in each reach.
    pub(super) async fn decide_again(
        &self,
        question: &Question,
        reaches: &[Reach],
        findings: &mut Findings,
    ) -> Result<Admission, PullError> {
        let mut refusal = None;
        for reach in reaches {
            for name in &question.names {
                match self.decide_as(name, question, *reach, findings).await {
                    Ok(admission) => return Ok(admission),
                    // The policy's own word tells more than that nobody could be asked.
                    Err(PullError::Unverified { .. })
                        if matches!(refusal, Some(PullError::Rejected(_))) => {}
                    Err(error) => refusal = Some(error),
                }
            }
        }
        let unknown = || PullError::unverified(&question.present.id, None);
        let refusal = refusal.unwrap_or_else(unknown);
        for name in &question.names {
            if let Some(held) = self.held(name, &question.present).await? {
                let proof = &held.manifest.proof;
                if let Some(admission) = self.overruled(&refusal, name, proof, findings) {
                    return Ok(admission);
                }
            }
        }
        Err(refusal)
    }

    /// Decides about the image under one name, from what is in reach.
    async fn decide_as(
        &self,
        name: &PullReference,
        question: &Question,
        reach: Reach,
        findings: &mut Findings,
    ) -> Result<Admission, PullError> {
        let rules = self.rules(name, question.namespace.as_ref(), findings)?;
        let Some(held) = self.held(name, &question.present).await? else {
            return Err(PullError::unverified(name, None));
        };
        findings.image = Some(held.resolution(name));
        match reach {
            Reach::Node => self.by_evidence(&rules, &held, findings).await,
            Reach::Registry => {
                let asked = timeout(PATIENCE, self.by_registry(&rules, &held, findings));
                match asked.await {
                    Ok(Err(error)) if !error.is_rejection() => {
                        Err(PullError::unverified(name, Some(error)))
                    }
                    Ok(outcome) => outcome,
                    Err(_elapsed) => Err(PullError::unverified(name, None)),
                }
            }
        }
    }

    /// Decides from the evidence that the ledger keeps.
    async fn by_evidence(
        &self,
        rules: &Rules,
        held: &Held,
        findings: &mut Findings,
    ) -> Result<Admission, PullError> {
        let manifest = &held.manifest;
        let Some(evidence) = self.kept(rules, &manifest.descriptor.digest).await else {
            return Err(PullError::unverified(rules.reference(), None));
        };
        let of_index = match &held.index {
            Some((index, _)) if rules.requirements().may_accept_index() => {
                self.kept(rules, &index.descriptor.digest).await.map(|evidence| (index, evidence))
            }
            Some(_) | None => None,
        };
        let listing = of_index.as_ref().and_then(|(index, evidence)| {
            Listing::new(&index.proof, &index.body, &manifest.proof, &evidence.signatures)
        });
        Ok(findings.decision(rules.decide(&manifest.proof, &evidence, listing))?)
    }

    /// The evidence that the ledger keeps of a document; none if nobody has looked for it yet.
    async fn kept(&self, rules: &Rules, document: &Digest) -> Option<Evidence> {
        if !rules.requirements().needs_signatures() {
            return Some(Evidence::default());
        }
        let repository = rules.reference().reference().repository();
        let search = self.ledger.search(repository, document.clone()).await.ok()??;
        Some(Evidence { signatures: search.signatures, searched: search.searched })
    }

    /// Decides from what the registry has for the very image that is on the node.
    async fn by_registry(
        &self,
        rules: &Rules,
        held: &Held,
        findings: &mut Findings,
    ) -> Result<Admission, PullError> {
        let by_digest = rules.reference().reference().at_digest(held.top().clone());
        let by_digest = PullReference::parse(&by_digest.to_string())?;
        let (_repository, image) = self.resolve(&by_digest, AuthConfig::default()).await?;
        if image.manifest.descriptor.digest != held.manifest.descriptor.digest {
            return Err(PullError::unverified(rules.reference(), None));
        }
        refuse_checkpoint(&image, rules.reference())?;
        self.word(rules, &image, findings).await
    }
}

/// The name that the pod gives its image; none where it gives an ID, or kubelet does not tell.
fn named(user_specified: &str) -> Result<Option<PullReference>, PullError> {
    if user_specified.is_empty() || user_specified.parse::<Digest>().is_ok() {
        return Ok(None);
    }
    Ok(Some(PullReference::parse(user_specified)?))
}

/// containerd 2.1 and later restore a checkpoint from a file of this name, and pull the image that the
/// file names by themselves. They look from their own folder, which is the root.
pub(super) fn refuse_path(image: &str) -> Result<(), PullError> {
    let path = image.starts_with(['/', '.']) || Path::new("/").join(image).is_file();
    if path && !image.is_empty() {
        return Err(PullError::Checkpoint { image: image.to_owned() });
    }
    Ok(())
}

/// Refuses an image that is a checkpoint.
pub(super) fn refuse_checkpoint(image: &Image, name: &PullReference) -> Result<(), PullError> {
    let index = image.index.as_ref().map(|(part, _)| part);
    let mut parts = index.into_iter().chain([&image.manifest]);
    if parts.any(|part| checkpoint(&part.body)) {
        return Err(PullError::Checkpoint { image: name.to_string() });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{named, refuse_path};

    #[test]
    fn no_path_is_an_image() {
        for path in ["/var/lib/checkpoint.tar", "./checkpoint.tar", "../etc/passwd", "etc/passwd"] {
            refuse_path(path).expect_err(path);
        }
        for image in ["", "busybox", "registry.example/app:1", "etc", "sha256:00"] {
            refuse_path(image).expect(image);
        }
    }

    #[test]
    fn an_id_is_no_name() {
        let id = format!("sha256:{}", "0".repeat(64));
        assert_eq!(named("").unwrap(), None);
        assert_eq!(named(&id).unwrap(), None);
        assert_eq!(named("app").unwrap().unwrap().to_string(), "docker.io/library/app:latest");
        named("UPPER/app").unwrap_err();
    }
}
