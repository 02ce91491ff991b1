//! Simple signing: an OpenPGP message around the payload (containers-signature(5)).

use std::time::SystemTime;

use super::openpgp::Keyring;
use super::payload::{Format, Payload};
use super::{Claim, SignatureFault, Signer};
use crate::reference::Reference;

/// Checks one signature: who signed, that it is a payload, for this manifest, for this name. The first
/// check that fails is the fault (policy-semantics.md 3).
///
/// # Errors
/// [`SignatureFault`].
pub fn verify<R: AsRef<Reference>>(
    message: &[u8],
    keyring: &Keyring,
    claim: &Claim<'_, R>,
    now: SystemTime,
) -> Result<Signer, SignatureFault> {
    let signed = keyring.verify(message, now)?;
    claim.confirm(&Payload::parse(&signed.payload, Format::Atomic)?)?;
    Ok(signed.signer)
}
