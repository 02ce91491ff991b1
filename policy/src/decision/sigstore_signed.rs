//! `sigstoreSigned`: at least one cosign signature that leads back to the requirement's keys or
//! authorities, over this manifest, for this name.

use std::cell::Cell;
use std::time::SystemTime;

use super::material::pieces;
use super::{Code, Rejection, TrustMaterial, Verdict};
use crate::document::{SigstoreSigned, Source, TrustRoot, TrustedSigner};
use crate::identity::SignedIdentity;
use crate::limits;
use crate::signature::sigstore::{
    self, Authorities, Log, PublicKey, Root, TrustedRoot, Window, Witnesses, bundle,
};
use crate::signature::{SignatureFault, Signer, UntrustedSignature};

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
    let accepts = requirement.accepts_bundles();
    let trials = Cell::new(limits::KEY_TRIALS);
    let within_limit = |verify: &dyn Fn() -> Result<Signer, SignatureFault>| {
        let left = trials.get().checked_sub(root.trials()).ok_or(SignatureFault::NotExamined)?;
        trials.set(left);
        verify()
    };
    let examined = subject.examine(covers, identity, |claim, signature| match signature {
        UntrustedSignature::Bundle(bundle) => {
            accepts.then(|| within_limit(&|| bundle::verify(bundle, &root, claim, now)))
        }
        UntrustedSignature::Sigstore(attachment)
            if attachment.media_type == sigstore::MEDIA_TYPE =>
        {
            Some(within_limit(&|| sigstore::verify(attachment, &root, claim, now)))
        }
        UntrustedSignature::Sigstore(_) | UntrustedSignature::Simple(_) => None,
    });
    let bundles = subject.count(covers, |it| matches!(it, UntrustedSignature::Bundle(_)));
    if examined.is_empty() && bundles > 0 {
        return Verdict::rejected(NAME, bundles_only(bundles, identity));
    }
    Verdict::of(NAME, examined, subject)
}

/// The reason of an image that has no signature but bundles, which the requirement does not accept.
fn bundles_only(found: usize, identity: &SignedIdentity) -> Rejection {
    let mut text = format!(
        "A signature was required, but the only ones are {found} sigstore bundle(s), as cosign 3 makes \
         them: they name no image. Accept them for the image's own repository with \
         \"digestBound\": \"ownRepository\" in pullgate's own policy or \
         policy.digest_bound_signatures in config.toml, or sign with \
         `cosign sign --new-bundle-format=false --use-signing-config=false`"
    );
    if !identity.is_of_repository() {
        text +=
            "; only the signedIdentity types matchRepository and exactRepository can accept them";
    }
    Rejection::new(Code::BundleNotEnabled, text)
}

/// Everything that the requirement trusts, ready to verify with.
///
/// # Errors
/// [`Rejection`] if any of it cannot be read or used, even if the rest would do.
pub fn root(root: &TrustRoot, material: &TrustMaterial) -> Result<Root, Rejection> {
    Ok(match root {
        TrustRoot::Keys { keys: source, rekor: None } => Root::Keys(keys(source, material)?),
        TrustRoot::Keys { keys: source, rekor: Some(rekor) } => {
            Root::LoggedKeys { keys: keys(source, material)?, witnesses: logs(rekor, material)? }
        }
        TrustRoot::Fulcio { fulcio, rekor } => Root::Fulcio {
            authorities: vec![authorities(&fulcio.ca, None, material)?],
            subject: sigstore::Subject::Account {
                issuer: fulcio.identity.oidc_issuer.clone(),
                account: fulcio.identity.account.clone(),
            },
            witnesses: logs(rekor, material)?,
        },
        TrustRoot::Trusted { root, signer } => {
            let TrustedRoot { authorities, witnesses } = trusted(root, material)?;
            match signer {
                TrustedSigner::Fulcio(identity) => Root::Fulcio {
                    authorities,
                    subject: sigstore::Subject::Account {
                        issuer: identity.oidc_issuer.clone(),
                        account: identity.account.clone(),
                    },
                    witnesses,
                },
                TrustedSigner::Keys(source) => {
                    Root::LoggedKeys { keys: keys(source, material)?, witnesses }
                }
            }
        }
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

fn logs(source: &Source, material: &TrustMaterial) -> Result<Witnesses, Rejection> {
    let keys = keys(source, material)?;
    if !keys.iter().all(PublicKey::is_ecdsa) {
        return Err(Rejection::new(Code::KeyUnusable, "a Rekor key that is not ECDSA".to_owned()));
    }
    let logs = keys.into_iter().map(|key| Log::new(key, Window::ALWAYS)).collect();
    Ok(Witnesses { logs, clocks: Vec::new() })
}

/// All trusted roots of a source together.
fn trusted(source: &Source, material: &TrustMaterial) -> Result<TrustedRoot, Rejection> {
    let mut all = TrustedRoot { authorities: Vec::new(), witnesses: Witnesses::default() };
    for (name, content) in pieces(source, material)? {
        let one = TrustedRoot::parse(content).map_err(|error| unusable(&name, &error))?;
        all.authorities.extend(one.authorities);
        all.witnesses.logs.extend(one.witnesses.logs);
        all.witnesses.clocks.extend(one.witnesses.clocks);
    }
    Ok(all)
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
    let cause = error.source().map(|cause| format!(": {cause}")).unwrap_or_default();
    Rejection::new(Code::KeyUnusable, format!("{name}: {error}{cause}"))
}
