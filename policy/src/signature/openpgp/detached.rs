//! Detached signatures: any number of them over one text, binary or armored, by any of the keys.

use std::cell::RefCell;
use std::time::SystemTime;

use sequoia_openpgp::parse::Parse as _;
use sequoia_openpgp::parse::stream::{
    DetachedVerifierBuilder, MessageLayer, MessageStructure, VerificationHelper,
};
use sequoia_openpgp::{Cert, KeyHandle};

use super::signer::Judge;
use super::{OpenPgpError, Signer, standard_policy};
use crate::strict::excerpt;

/// What each signature says of `text`.
pub(super) fn verify(
    text: &[u8],
    signatures: &[u8],
    certs: &[Cert],
    now: SystemTime,
) -> Vec<Result<Signer, OpenPgpError>> {
    let policy = standard_policy(now);
    let findings = RefCell::new(Vec::new());
    let judge = Judge { certs, policy: &policy, now };
    let helper = Helper { judge, findings: &findings };
    let verified = DetachedVerifierBuilder::from_bytes(signatures)
        .and_then(|builder| builder.with_policy(&policy, now, helper))
        .and_then(|mut verifier| verifier.verify_bytes(text));
    let mut findings = findings.into_inner();
    if let Err(error) = verified {
        findings.push(Err(OpenPgpError::BadSignature { reason: excerpt(&error.to_string()) }));
    }
    findings
}

struct Helper<'a> {
    judge: Judge<'a>,
    findings: &'a RefCell<Vec<Result<Signer, OpenPgpError>>>,
}

impl VerificationHelper for Helper<'_> {
    fn get_certs(&mut self, ids: &[KeyHandle]) -> sequoia_openpgp::Result<Vec<Cert>> {
        Ok(self.judge.named(ids))
    }

    fn check(&mut self, structure: MessageStructure<'_>) -> sequoia_openpgp::Result<()> {
        let mut findings = self.findings.borrow_mut();
        for layer in structure {
            match layer {
                MessageLayer::SignatureGroup { results } => {
                    findings.extend(results.into_iter().map(|result| self.judge.signer(result)));
                }
                MessageLayer::Compression { .. } | MessageLayer::Encryption { .. } => {
                    let found = "a message in the place of a signature";
                    findings.push(Err(OpenPgpError::Structure { found }));
                }
            }
        }
        Ok(())
    }
}
