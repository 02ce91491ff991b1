//! Bundles, which manifests hold that refer to the image's own. They are read where the image was served,
//! with the pull's credentials.

use bytes::Bytes;
use pullgate_policy::digest::Digest;
use pullgate_policy::limits;
use pullgate_policy::manifest::{ManifestError, OCI_INDEX};
use pullgate_policy::signature::sigstore::{attached_bundles, fallback_tag, referrers};
use pullgate_policy::signature::{FoundIn, UntrustedBundle, UntrustedSignature};

use super::{Evidence, EvidenceError};
use crate::registry::Source;

/// Every bundle of the manifest `digest`.
pub(super) async fn of_bundles(
    source: &Source,
    digest: &Digest,
) -> Result<Evidence, EvidenceError> {
    let (location, pages) = lists(source, digest).await?;
    let mut evidence = Evidence { searched: vec![location.clone()], ..Evidence::default() };
    let unreadable =
        |source: ManifestError| EvidenceError::Attachment { location: location.clone(), source };
    let mut manifests = Vec::new();
    for (body, media_type) in pages {
        manifests.extend(referrers(&body, &media_type).map_err(unreadable)?);
    }
    if manifests.len() > limits::REFERRERS {
        return Err(EvidenceError::TooMany { location, limit: limits::REFERRERS });
    }
    let mut left = limits::BUNDLES_BYTES;
    for manifest in manifests {
        let (body, _proof) = source.manifest(&manifest).await?;
        for descriptor in attached_bundles(&body).map_err(unreadable)? {
            let (text, _proof) = source.small_blob(&descriptor, left).await?;
            left -= text.len();
            evidence.signatures.push(UntrustedSignature::Bundle(UntrustedBundle {
                text: text.to_vec(),
                found_in: FoundIn::new(source.logical(), source.physical()),
            }));
        }
    }
    Ok(evidence)
}

/// The lists of manifests that refer to `digest`, and where they are: what the registry says, or else what
/// clients keep under a tag.
async fn lists(
    source: &Source,
    digest: &Digest,
) -> Result<(String, Vec<(Bytes, String)>), EvidenceError> {
    let repository = source.physical().repository();
    if let Some(pages) = source.referrers(digest, limits::REFERRER_PAGES).await? {
        let pages = pages.into_iter().map(|body| (body, OCI_INDEX.to_owned())).collect();
        return Ok((format!("the referrers of {repository}@{digest}"), pages));
    }
    let tag = fallback_tag(digest);
    let list = source.tagged(&tag).await?;
    Ok((format!("{repository}:{tag}"), list.into_iter().collect()))
}
