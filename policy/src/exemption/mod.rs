//! Break-glass: an exemption that enough admins have signed overrules a refusal, for some images and for
//! some hours.
//!
//! The keys that count are not those of the policy: whoever signs images cannot exempt, and whoever may
//! exempt cannot sign images.

mod error;
mod terms;

pub use error::ExemptionError;
pub use terms::Terms;

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::time::{Duration, SystemTime};

use crate::digest::Digest;
use crate::signature::Signer;
use crate::signature::openpgp::Keyring;

/// What makes a file an exemption on this node.
#[derive(Debug, Clone, Copy)]
pub struct Rules<'a> {
    /// The admins' keys.
    pub keyring: &'a Keyring,
    /// How many distinct ones of them must have signed.
    pub required: NonZeroUsize,
    /// How long an exemption may last.
    pub longest: Duration,
}

/// A detached signature as found. Nothing in it has been checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UntrustedDetached {
    /// The name of its file.
    pub name: String,
    /// One or more OpenPGP signatures, binary or armored.
    pub content: Vec<u8>,
}

/// Proof that enough admins signed these terms, and that they were in force when that was checked. Made
/// only by [`Exemption::verify`].
///
/// ```compile_fail,E0451
/// use pullgate_policy::exemption::{Exemption, Terms};
/// fn forge(terms: Terms) -> Exemption {
///     let hash = pullgate_policy::digest::Digest::sha256(b"");
///     Exemption { name: String::new(), hash, terms, signers: Vec::new() }
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exemption {
    name: String,
    hash: Digest,
    terms: Terms,
    signers: Vec<Signer>,
}

impl Exemption {
    /// Checks who signed `text`, and then what it says. `name` is the name of its file.
    ///
    /// # Errors
    /// [`ExemptionError`] if too few admins signed, the text is no exemption, or it is not in force.
    pub fn verify(
        name: &str,
        text: &[u8],
        signatures: &[UntrustedDetached],
        rules: Rules<'_>,
        now: SystemTime,
    ) -> Result<Self, ExemptionError> {
        let signers = signers(text, signatures, rules, now)?;
        let terms = Terms::parse(text)?;
        terms.in_force(rules.longest, now)?;
        Ok(Self { name: name.to_owned(), hash: Digest::sha256(text), terms, signers })
    }

    /// The name of its file.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The digest of its text: what was signed.
    #[must_use]
    pub const fn hash(&self) -> &Digest {
        &self.hash
    }

    /// What it says.
    #[must_use]
    pub const fn terms(&self) -> &Terms {
        &self.terms
    }

    /// The admins who signed, each once.
    #[must_use]
    pub fn signers(&self) -> &[Signer] {
        &self.signers
    }
}

/// The admins who signed, by primary fingerprint: who signs twice, or with two subkeys, is one admin.
fn signers(
    text: &[u8],
    signatures: &[UntrustedDetached],
    rules: Rules<'_>,
    now: SystemTime,
) -> Result<Vec<Signer>, ExemptionError> {
    let mut signers: BTreeMap<String, Signer> = BTreeMap::new();
    let mut faults = String::new();
    for UntrustedDetached { name, content } in signatures {
        for finding in rules.keyring.verify_detached(text, content, now) {
            match finding {
                Ok(signer) => {
                    signers.insert(signer.fingerprint.clone(), signer);
                }
                Err(fault) => faults += &format!("; {name}: {fault}"),
            }
        }
    }
    let (found, required) = (signers.len(), rules.required.get());
    if found < required {
        return Err(ExemptionError::TooFewSigners { found, required, faults });
    }
    Ok(signers.into_values().collect())
}

#[cfg(test)]
mod tests;
