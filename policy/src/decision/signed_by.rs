//! `signedBy`: at least one OpenPGP signature by one of the keys, over this manifest, for this name.

use std::time::SystemTime;

use super::{Code, Examined, Outcome, Rejection, Subject, TrustMaterial, Verdict};
use crate::document::{KeyType, SignedBy, Source};
use crate::signature::UntrustedSignature;
use crate::signature::openpgp::Keyring;
use crate::signature::simple::{self, Claim};

const NAME: &str = "signedBy";

pub(super) fn evaluate(
    requirement: &SignedBy,
    subject: Subject<'_>,
    material: &TrustMaterial,
    now: SystemTime,
) -> Verdict {
    if requirement.key_type != KeyType::GpgKeys {
        let text = format!(
            "keyType `{}` is not supported, as in containers/image: use GPGKeys",
            requirement.key_type.name()
        );
        return Verdict::refused(NAME, Code::KeyTypeUnsupported, &text);
    }
    let keyring = match keyring(&requirement.keys, material) {
        Ok(keyring) => keyring,
        Err(rejection) => {
            let outcome = Outcome::Refused(rejection);
            return Verdict { requirement: NAME, examined: Vec::new(), outcome };
        }
    };
    let claim = Claim {
        manifest: subject.manifest.digest(),
        identity: &requirement.identity,
        image: Some(subject.reference),
    };
    let examined: Vec<Examined> = subject
        .signatures
        .iter()
        .enumerate()
        .filter_map(|(index, signature)| match signature {
            UntrustedSignature::Simple(message) => Some((index + 1, message)),
            UntrustedSignature::Sigstore { .. } => None,
        })
        .map(|(number, message)| Examined {
            number,
            finding: simple::verify(message, &keyring, &claim, now),
        })
        .collect();
    let outcome = conclude(&examined, subject);
    Verdict { requirement: NAME, examined, outcome }
}

/// One accepted signature suffices. Otherwise the reason is that of the signature that came closest.
fn conclude(examined: &[Examined], subject: Subject<'_>) -> Outcome {
    let signers: Vec<_> =
        examined.iter().filter_map(|one| one.finding.as_ref().ok()).cloned().collect();
    if !signers.is_empty() {
        return Outcome::Accepted(signers);
    }
    let faults = examined.iter().filter_map(|one| {
        let fault = one.finding.as_ref().err()?;
        Some((Code::of(fault), one.number, fault))
    });
    // `max_by_key` takes the last of equals: count down, so that the first signature is named.
    let closest =
        faults.max_by_key(|(code, number, _)| (code.closeness(), std::cmp::Reverse(*number)));
    let searched = subject.searched.join(", ");
    Outcome::Refused(match closest {
        None if searched.is_empty() => Rejection::new(Code::SignatureMissing, MISSING.to_owned()),
        None => Rejection::new(Code::SignatureMissing, format!("{MISSING} (searched {searched})")),
        Some((code, number, fault)) => {
            let cause = std::error::Error::source(fault);
            let cause = cause.map(|cause| format!(": {cause}")).unwrap_or_default();
            let message =
                format!("None of the signatures were accepted: signature {number}: {fault}{cause}");
            Rejection::new(code, message)
        }
    })
}

/// containers/image's own words: runbooks and alerts look for them.
const MISSING: &str = "A signature was required, but no signature exists";

/// All keys of the requirement. One file that cannot be read denies, even if another key would match
/// (policy-semantics.md 1.3).
fn keyring(source: &Source, material: &TrustMaterial) -> Result<Keyring, Rejection> {
    let mut files: Vec<(String, &[u8])> = Vec::new();
    match source {
        Source::Data(pieces) => {
            files.extend(pieces.iter().map(|piece| ("keyData".to_owned(), piece.as_slice())));
        }
        Source::Paths(paths) => {
            for path in paths {
                let content = material.get(path).ok_or_else(|| unread(&path.display()))?;
                match content {
                    Ok(content) => files.push((path.display().to_string(), content)),
                    Err(why) => {
                        return Err(Rejection::new(Code::KeyFileUnreadable, why.clone()));
                    }
                }
            }
        }
    }
    let names = files.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ");
    let keyring = Keyring::parse(files.iter().map(|(_, content)| *content))
        .map_err(|error| Rejection::new(Code::KeyUnusable, format!("{names}: {error}")))?;
    if keyring.is_empty() {
        return Err(Rejection::new(Code::KeyUnusable, format!("{names}: No public keys imported")));
    }
    Ok(keyring)
}

fn unread(path: &dyn std::fmt::Display) -> Rejection {
    Rejection::new(Code::KeyFileUnreadable, format!("{path} was not read"))
}
