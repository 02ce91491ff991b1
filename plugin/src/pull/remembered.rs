//! Images that were accepted before: what the ledger says counts if containerd still holds just that.

use std::sync::Arc;

use pullgate_policy::reference::PullReference;
use tokio::task::yield_now;

use super::present::{Question, Wanted, refuse_path};
use super::rules::Rules;
use super::{Gate, PullError};
use crate::containerd::present::{Present, Target};
use crate::ledger::{Digests, Verdict};

impl Gate {
    /// Whether the ledger knows the image that is wanted by its ID. containerd takes a whole ID for that
    /// image or for none, so CRI need not be asked what it stands for: only the record of that ID counts.
    pub(super) async fn known_by_id(&self, wanted: &Wanted) -> Result<bool, PullError> {
        let Ok(id) = wanted.image.parse() else { return Ok(false) };
        refuse_path(&wanted.image)?;
        let accepted = async {
            // containerd is asked first, and looks while files are read here.
            yield_now().await;
            let question = self.question_about(wanted, Present { id, names: Vec::new() }).await?;
            let accepted = self.accepted(&question).await?;
            Ok::<_, PullError>(accepted.into_iter().map(|(_name, digests)| digests).collect())
        };
        let (record, accepted) = tokio::join!(self.containerd.target(&wanted.image), accepted);
        let accepted: Vec<Digests> = accepted?;
        Ok(record?.is_some_and(|target| accepted.iter().any(|digests| is_target(&target, digests))))
    }

    /// The name under which the ledger knows that the image is accepted.
    pub(super) async fn remembered<'a>(
        &self,
        question: &'a Question,
    ) -> Result<Option<&'a PullReference>, PullError> {
        for (name, digests) in self.accepted(question).await? {
            if self.holds(name, &digests).await? {
                return Ok(Some(name));
            }
        }
        Ok(None)
    }

    /// Each name under which the last verdict about the image was an acceptance, and as what.
    async fn accepted<'a>(
        &self,
        question: &'a Question,
    ) -> Result<Vec<(&'a PullReference, Digests)>, PullError> {
        let Question { present, names, namespace } = question;
        let trust = self.trust.snapshot(namespace.as_ref())?;
        let mut accepted = Vec::new();
        for name in names {
            let policy = Rules::of(Arc::clone(&trust), name).hash().clone();
            let verdict = self.ledger.verdict(name.to_string(), present.id.clone(), policy).await;
            // A ledger that cannot be read knows nothing.
            if let Ok(Some(Verdict::Accepted(digests))) = verdict
                && digests.config == present.id
            {
                accepted.push((name, digests));
            }
        }
        Ok(accepted)
    }

    /// Whether containerd's record of the image, or else of the name, is what was accepted.
    async fn holds(&self, name: &PullReference, digests: &Digests) -> Result<bool, PullError> {
        for record in [digests.config.to_string(), name.to_string()] {
            if self
                .containerd
                .target(&record)
                .await?
                .is_some_and(|target| is_target(&target, digests))
            {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// Whether a record stands for what was accepted: the index, or the manifest itself.
fn is_target(target: &Target, digests: &Digests) -> bool {
    [digests.top(), &digests.manifest].contains(&&target.digest)
}
