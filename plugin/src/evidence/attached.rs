//! Signatures that the image's own registry keeps, read with the pull's credentials.

use pullgate_policy::digest::Digest;
use pullgate_policy::limits;
use pullgate_policy::signature::{UntrustedAttachment, UntrustedSignature, extension, sigstore};

use super::{Evidence, EvidenceError};
use crate::registry::Source;

/// What the registry's extension for signatures has.
pub(super) async fn of_extension(
    source: &Source,
    digest: &Digest,
    evidence: &mut Evidence,
) -> Result<(), EvidenceError> {
    let location = format!("{}@{digest}", source.physical().repository());
    let path = format!("signatures/{digest}");
    let answer = source.extension(&path, limits::SIGNATURE_BYTES).await?;
    let found = extension::parse(&answer)
        .map_err(|source| EvidenceError::Extension { location: location.clone(), source })?;
    let location = format!("the signature extension for {location}");
    if found.len() > limits::SIGNATURES {
        return Err(EvidenceError::TooMany { location, limit: limits::SIGNATURES });
    }
    evidence.signatures.extend(found);
    evidence.searched.push(location);
    Ok(())
}

/// What cosign attached under the manifest's own tag.
pub(super) async fn of_sigstore(
    source: &Source,
    digest: &Digest,
    evidence: &mut Evidence,
) -> Result<(), EvidenceError> {
    let tag = sigstore::attachment_tag(digest);
    let location = format!("{}:{tag}", source.physical().repository());
    evidence.searched.push(location.clone());
    let Some((body, media_type)) = source.tagged(&tag).await? else { return Ok(()) };
    let attached = sigstore::attached(&body, &media_type)
        .map_err(|source| EvidenceError::Attachment { location: location.clone(), source })?;
    let bytes = attached.iter().fold(0, |sum: u64, one| sum.saturating_add(one.descriptor.size));
    if bytes > limits::SIGNATURES_BYTES as u64 {
        return Err(EvidenceError::AllTooLarge { location, limit: limits::SIGNATURES_BYTES });
    }
    for sigstore::Attached { descriptor, annotations } in attached {
        let (payload, _proof) = source.small_blob(&descriptor, limits::SIGNATURE_BYTES).await?;
        evidence.signatures.push(UntrustedSignature::Sigstore(UntrustedAttachment {
            media_type: descriptor.media_type,
            payload: payload.to_vec(),
            annotations,
        }));
    }
    Ok(())
}
