//! `sigstoreSigned`: at least one cosign signature that leads back to the requirement's keys or
//! authorities, over this manifest, for this name.

use std::time::SystemTime;

use super::material::pieces;
use super::{Code, Rejection, TrustMaterial, Verdict};
use crate::document::{SigstoreSigned, Source, TrustRoot};
use crate::signature::UntrustedSignature;
use crate::signature::sigstore::{self, Authorities, PublicKey, Root};

const NAME: &str = "sigstoreSigned";

pub(super) fn evaluate(
    requirement: &SigstoreSigned,
    subject: super::Subject<'_>,
    material: &TrustMaterial,
    now: SystemTime,
) -> Verdict {
    let root = match root(&requirement.root, material) {
        Ok(root) => root,
        Err(rejection) => return Verdict::rejected(NAME, rejection),
    };
    let (covers, identity) = (requirement.covers, &requirement.identity);
    let examined = subject.examine(covers, identity, |claim, signature| match signature {
        UntrustedSignature::Sigstore(attachment)
            if attachment.media_type == sigstore::MEDIA_TYPE =>
        {
            Some(sigstore::verify(attachment, &root, claim, now))
        }
        UntrustedSignature::Sigstore(_) | UntrustedSignature::Simple(_) => None,
    });
    Verdict::of(NAME, examined, subject)
}

/// Everything that the requirement trusts, ready to verify with.
///
/// # Errors
/// [`Rejection`] if any of it cannot be read or used, even if the rest would do.
pub fn root(root: &TrustRoot, material: &TrustMaterial) -> Result<Root, Rejection> {
    Ok(match root {
        TrustRoot::Keys { keys: source, rekor: None } => Root::Keys(keys(source, material)?),
        TrustRoot::Keys { keys: source, rekor: Some(rekor) } => {
            Root::LoggedKeys { keys: keys(source, material)?, log: log(rekor, material)? }
        }
        TrustRoot::Fulcio { fulcio, rekor } => Root::Fulcio {
            authorities: authorities(&fulcio.ca, None, material)?,
            subject: sigstore::Subject::Account {
                issuer: fulcio.oidc_issuer.clone(),
                account: fulcio.account.clone(),
            },
            log: log(rekor, material)?,
        },
        TrustRoot::Pki(pki) => Root::Pki {
            authorities: authorities(&pki.roots, pki.intermediates.as_ref(), material)?,
            subject: sigstore::Subject::Named {
                email: pki.subject_email.clone(),
                hostname: pki.subject_hostname.clone(),
            },
        },
    })
}

fn keys(source: &Source, material: &TrustMaterial) -> Result<Vec<PublicKey>, Rejection> {
    let keys = pieces(source, material)?.into_iter().map(|(name, content)| {
        PublicKey::from_pem(content).map_err(|error| unusable(&name, &error))
    });
    keys.collect()
}

fn log(source: &Source, material: &TrustMaterial) -> Result<Vec<PublicKey>, Rejection> {
    let keys = keys(source, material)?;
    if keys.iter().all(PublicKey::is_ecdsa) {
        return Ok(keys);
    }
    Err(Rejection::new(Code::KeyUnusable, "a Rekor key that is not ECDSA".to_owned()))
}

fn authorities(
    roots: &Source,
    intermediates: Option<&Source>,
    material: &TrustMaterial,
) -> Result<Authorities, Rejection> {
    let join = |source| -> Result<(String, Vec<u8>), Rejection> {
        let (names, texts): (Vec<_>, Vec<_>) = pieces(source, material)?.into_iter().unzip();
        Ok((names.join(", "), texts.join(&b'\n')))
    };
    let (name, roots) = join(roots)?;
    let intermediates = intermediates.map(join).transpose()?;
    let name = intermediates
        .as_ref()
        .map_or_else(|| name.clone(), |(other, _)| format!("{name}, {other}"));
    let intermediates = intermediates.map(|(_, text)| text);
    Authorities::parse(&roots, intermediates.as_deref()).map_err(|error| unusable(&name, &error))
}

fn unusable(name: &str, error: &dyn std::error::Error) -> Rejection {
    Rejection::new(Code::KeyUnusable, format!("{name}: {error}"))
}
