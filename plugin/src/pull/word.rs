//! The policy's word on an image: what it asks for is collected, and it is asked.

use pullgate_policy::decision::{Code, Listing};
use pullgate_policy::{Admission, Rejection};

use super::findings::Findings;
use super::image::{Image, Part};
use super::rules::Rules;
use super::{Gate, PullError};
use crate::evidence::Evidence;
use crate::ledger::Search;

impl Gate {
    /// Collects what the policy asks for, and asks it.
    pub(super) async fn word(
        &self,
        rules: &Rules,
        image: &Image,
        findings: &mut Findings,
    ) -> Result<Admission, PullError> {
        let evidence = self.collect(rules, image, &image.manifest, findings).await?;
        findings.searched.clone_from(&evidence.searched);
        let listing = self.listing(rules, image, findings).await?;
        let listing = listing.as_ref().and_then(|(index, evidence)| {
            Listing::new(&index.proof, &index.body, &image.manifest.proof, &evidence.signatures)
        });
        let decision = rules.decide(&image.manifest.proof, &evidence, listing);
        match findings.decision(decision) {
            Ok(admission) => Ok(admission),
            Err(rejection) => {
                Err(self.explain(rules, image, (evidence, rejection), findings).await.into())
            }
        }
    }

    /// The signatures of one document of the image, unless the verdict does not depend on any.
    async fn collect(
        &self,
        rules: &Rules,
        image: &Image,
        document: &Part,
        findings: &mut Findings,
    ) -> Result<Evidence, PullError> {
        if !rules.requirements().needs_signatures() {
            return Ok(Evidence::default());
        }
        let digest = &document.descriptor.digest;
        let lookaside = rules.trust().lookaside();
        let mut found = self.collector.collect(lookaside, &image.source, digest).await?;
        if rules.requirements().may_accept_bundles() {
            found = found.and(self.collector.bundles(lookaside, &image.source, digest).await?);
        }
        let kept = &mut findings.evidence;
        kept.documents.push((digest.clone(), document.body.clone()));
        kept.searches.push(Search {
            repository: rules.reference().reference().repository(),
            document: digest.clone(),
            searched: found.searched.clone(),
            signatures: found.signatures.clone(),
        });
        Ok(found)
    }

    /// The index with its signatures, if the policy may accept the image because of them.
    async fn listing<'a>(
        &self,
        rules: &Rules,
        image: &'a Image,
        findings: &mut Findings,
    ) -> Result<Option<(&'a Part, Evidence)>, PullError> {
        let Some((index, _)) = &image.index else { return Ok(None) };
        if !rules.requirements().may_accept_index() {
            return Ok(None);
        }
        Ok(Some((index, self.collect(rules, image, index, findings).await?)))
    }

    /// The reason of a refusal, or a better one where there are signatures that do not count: bundles
    /// which the policy does not accept, or of the index alone, as most tools sign unless told otherwise.
    /// The image stays refused whatever is found.
    async fn explain(
        &self,
        rules: &Rules,
        image: &Image,
        (evidence, rejection): (Evidence, Rejection),
        findings: &mut Findings,
    ) -> Rejection {
        if rejection.code() != Code::SignatureMissing {
            return rejection;
        }
        let own = self.decide_on_everything(rules, image, &image.manifest, evidence);
        if let Err(better) = own.await
            && better.code() == Code::BundleNotEnabled
        {
            return better;
        }
        let Some((index, _)) = &image.index else { return rejection };
        let Ok(evidence) = self.collect(rules, image, index, findings).await else {
            return rejection;
        };
        match self.decide_on_everything(rules, image, index, evidence).await {
            Ok(accepted) => Rejection::index_only(&image.manifest.descriptor.digest, &accepted),
            Err(better) if better.code() == Code::BundleNotEnabled => better,
            Err(_) => rejection,
        }
    }

    /// What the policy says of a document if it also sees the bundles that it does not accept. Those that
    /// cannot be read are left out: they would not change the verdict.
    async fn decide_on_everything(
        &self,
        rules: &Rules,
        image: &Image,
        document: &Part,
        evidence: Evidence,
    ) -> Result<Admission, Rejection> {
        let digest = &document.descriptor.digest;
        let mut bundles = Evidence::default();
        if rules.requirements().passes_bundles_over() {
            let lookaside = rules.trust().lookaside();
            let found = self.collector.bundles(lookaside, &image.source, digest).await;
            bundles = found.unwrap_or_default();
        }
        rules.decide(&document.proof, &evidence.and(bundles), None).verdict
    }
}
