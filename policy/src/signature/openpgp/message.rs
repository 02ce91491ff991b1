//! Signed messages. sequoia's own verifier takes more than one signature, armour and old keys; the
//! checks here take exactly what containers/image takes with GnuPG, and nothing else.

use std::cell::RefCell;
use std::io::Read as _;
use std::time::SystemTime;

use sequoia_openpgp::packet::Tag;
use sequoia_openpgp::parse::stream::{
    MessageLayer, MessageStructure, VerificationHelper, VerificationResult, VerifierBuilder,
};
use sequoia_openpgp::parse::{Dearmor, PacketParserBuilder, PacketParserResult, Parse as _};
use sequoia_openpgp::{Cert, KeyHandle, Packet};

use super::signer::Judge;
use super::{OpenPgpError, SignedMessage, Signer, standard_policy};
use crate::limits;
use crate::strict::excerpt;

/// The packets of a message: one-pass signature, literal data, signature, in a compressed packet or
/// not. Everything else is refused before a signature is looked at, so that no text but the signed one
/// can be taken for it (CVE-2018-12020, CVE-2025-47934).
pub(super) fn check_structure(text: &[u8]) -> Result<(), OpenPgpError> {
    if text.first().is_none_or(|byte| byte & 0x80 == 0) {
        return Err(OpenPgpError::Armored);
    }
    let broken = |_| OpenPgpError::Structure { found: "a broken packet" };
    let parser = PacketParserBuilder::from_bytes(text).map_err(broken)?;
    let mut next =
        parser.dearmor(Dearmor::Disabled).max_recursion_depth(1).build().map_err(broken)?;
    let mut expected =
        [Expect::Compressed, Expect::OnePass, Expect::Literal, Expect::Signature].iter();
    let mut depth = 0;
    while let PacketParserResult::Some(mut packet) = next {
        let found = Expect::of(&packet.packet)?;
        // The compressed packet may be left out.
        let wanted = expected
            .find(|wanted| !(matches!(wanted, Expect::Compressed) && found != Expect::Compressed));
        if wanted != Some(&found) {
            return Err(OpenPgpError::Structure { found: "packets in another order" });
        }
        if packet.recursion_depth() != depth {
            return Err(OpenPgpError::Structure { found: "a packet outside the compressed one" });
        }
        match found {
            Expect::Compressed => depth = 1,
            Expect::Literal => {
                let limit = limits::PAYLOAD_BYTES as u64 + 1;
                let read = std::io::copy(&mut (&mut packet).take(limit), &mut std::io::sink());
                let truncated = |_| OpenPgpError::Structure { found: "a truncated text" };
                if read.map_err(truncated)? == limit {
                    return Err(OpenPgpError::TooLarge);
                }
            }
            Expect::OnePass | Expect::Signature => {}
        }
        next = packet.recurse().map_err(broken)?.1;
    }
    if expected.next().is_some() {
        return Err(OpenPgpError::Structure { found: "a message that ends early" });
    }
    Ok(())
}

/// What belongs in a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expect {
    Compressed,
    OnePass,
    Literal,
    Signature,
}

impl Expect {
    fn of(packet: &Packet) -> Result<Self, OpenPgpError> {
        let known = [
            (Tag::CompressedData, Self::Compressed),
            (Tag::OnePassSig, Self::OnePass),
            (Tag::Literal, Self::Literal),
            (Tag::Signature, Self::Signature),
        ];
        // A packet that sequoia could not parse keeps its tag.
        let found = known.into_iter().find(|(tag, _)| *tag == packet.tag());
        match (packet, found) {
            (Packet::Unknown(_), _) | (_, None) => {
                Err(OpenPgpError::Structure { found: "a packet that does not belong there" })
            }
            (_, Some((_, expected))) => Ok(expected),
        }
    }
}

/// Verifies a message of the right structure.
pub(super) fn verify(
    text: &[u8],
    certs: &[Cert],
    now: SystemTime,
) -> Result<SignedMessage, OpenPgpError> {
    let policy = standard_policy(now);
    let finding = RefCell::new(None);
    let judge = Judge { certs, policy: &policy, now };
    let helper = Helper { judge, finding: &finding };
    let payload = VerifierBuilder::from_bytes(text)
        .and_then(|builder| builder.with_policy(&policy, now, helper))
        .and_then(|verifier| {
            let mut payload = Vec::new();
            verifier.take(limits::PAYLOAD_BYTES as u64 + 1).read_to_end(&mut payload)?;
            Ok(payload)
        });
    // What was found precedes what sequoia makes of it: it wraps our own words.
    match (finding.into_inner(), payload) {
        (Some(Err(fault)), _) => Err(fault),
        (_, Err(error)) => Err(OpenPgpError::BadSignature { reason: excerpt(&error.to_string()) }),
        (Some(Ok(_)), Ok(payload)) if payload.len() > limits::PAYLOAD_BYTES => {
            Err(OpenPgpError::TooLarge)
        }
        (Some(Ok(signer)), Ok(payload)) => Ok(SignedMessage { payload, signer }),
        (None, Ok(_)) => Err(OpenPgpError::Structure { found: "no signature" }),
    }
}

/// Answers sequoia's questions and keeps the finding.
struct Helper<'a> {
    judge: Judge<'a>,
    finding: &'a RefCell<Option<Result<Signer, OpenPgpError>>>,
}

impl VerificationHelper for Helper<'_> {
    /// A signature may name any number of keys, and each would be tried. Signing tools name one.
    fn get_certs(&mut self, ids: &[KeyHandle]) -> sequoia_openpgp::Result<Vec<Cert>> {
        if ids.len() > 1 {
            let fault = OpenPgpError::Structure { found: "a signature that names several keys" };
            let refused = sequoia_openpgp::anyhow::anyhow!(fault.to_string());
            self.finding.replace(Some(Err(fault)));
            return Err(refused);
        }
        Ok(self.judge.named(ids))
    }

    fn check(&mut self, structure: MessageStructure<'_>) -> sequoia_openpgp::Result<()> {
        let finding = self.find(structure);
        let refused = finding.as_ref().err().map(ToString::to_string);
        self.finding.replace(Some(finding));
        match refused {
            None => Ok(()),
            Some(text) => Err(sequoia_openpgp::anyhow::anyhow!(text)),
        }
    }
}

impl Helper<'_> {
    fn find(&self, structure: MessageStructure<'_>) -> Result<Signer, OpenPgpError> {
        let mut results: Vec<VerificationResult<'_>> = Vec::new();
        for layer in structure {
            match layer {
                MessageLayer::SignatureGroup { results: found } => results.extend(found),
                MessageLayer::Compression { .. } => {}
                MessageLayer::Encryption { .. } => {
                    return Err(OpenPgpError::Structure { found: "an encrypted text" });
                }
            }
        }
        let (Some(result), true) = (results.pop(), results.is_empty()) else {
            return Err(OpenPgpError::Structure { found: "another number of signatures" });
        };
        self.judge.signer(result)
    }
}
