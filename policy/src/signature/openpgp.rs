//! OpenPGP: keyrings, and signed messages verified with sequoia-openpgp.

mod detached;
mod error;
mod keyring;
mod message;
mod signer;

pub use error::{KeyringError, OpenPgpError};
pub use keyring::Keyring;

use std::time::SystemTime;

use sequoia_openpgp::cert::Cert;
use sequoia_openpgp::policy::{HashAlgoSecurity, StandardPolicy};
use sequoia_openpgp::types::HashAlgorithm;

use super::Signer;
use crate::strict::excerpt;

impl Signer {
    fn of(cert: &Cert, policy: &StandardPolicy<'_>, now: SystemTime) -> Self {
        let valid = cert.with_policy(policy, now).ok();
        let user_id = valid.and_then(|valid| {
            let user_id = valid.primary_userid().ok()?;
            Some(excerpt(&String::from_utf8_lossy(user_id.userid().value())))
        });
        Self { fingerprint: cert.fingerprint().to_hex(), name: user_id }
    }
}

/// A message whose signature was verified.
#[derive(Debug)]
pub struct SignedMessage {
    /// What was signed.
    pub payload: Vec<u8>,
    /// Who signed it.
    pub signer: Signer,
}

/// What counts as sound at the moment `now`. Old vendor keys bind their parts with SHA-1, which nobody
/// can forge without the vendor's help; over data SHA-1 is refused (policy-semantics.md 3.2).
fn standard_policy(now: SystemTime) -> StandardPolicy<'static> {
    let mut policy = StandardPolicy::at(now);
    policy.accept_hash_property(HashAlgorithm::SHA1, HashAlgoSecurity::SecondPreImageResistance);
    policy
}

#[cfg(test)]
mod tests;
