//! `signedBy`: at least one OpenPGP signature by one of the keys, over this manifest, for this name.

use std::time::SystemTime;

use super::material::pieces;
use super::{Code, Rejection, Subject, TrustMaterial, Verdict};
use crate::document::{KeyType, SignedBy, Source};
use crate::signature::openpgp::Keyring;
use crate::signature::{UntrustedSignature, simple};

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
        Err(rejection) => return Verdict::rejected(NAME, rejection),
    };
    let (covers, identity) = (requirement.covers, &requirement.identity);
    let examined = subject.examine(covers, identity, |claim, signature| match signature {
        UntrustedSignature::Simple(message) => Some(simple::verify(message, &keyring, claim, now)),
        UntrustedSignature::Bundle(_) | UntrustedSignature::Sigstore(_) => None,
    });
    Verdict::of(NAME, examined, subject)
}

/// All keys of the requirement. One file that cannot be read denies, even if another key would match
/// (policy-semantics.md 1.3).
fn keyring(source: &Source, material: &TrustMaterial) -> Result<Keyring, Rejection> {
    let files = pieces(source, material)?;
    let names = files.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ");
    let keyring = Keyring::parse(files.iter().map(|(_, content)| *content))
        .map_err(|error| Rejection::new(Code::KeyUnusable, format!("{names}: {error}")))?;
    if keyring.is_empty() {
        return Err(Rejection::new(Code::KeyUnusable, format!("{names}: No public keys imported")));
    }
    Ok(keyring)
}
