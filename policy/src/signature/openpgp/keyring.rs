//! The keys of a policy.

use std::time::SystemTime;

use sequoia_openpgp::Cert;
use sequoia_openpgp::cert::CertParser;
use sequoia_openpgp::parse::Parse as _;

use sequoia_openpgp::crypto::mpi;
use sequoia_openpgp::packet::Key;
use sequoia_openpgp::packet::key::{PublicParts, UnspecifiedRole};

use super::{KeyringError, OpenPgpError, SignedMessage, Signer, standard_policy};
use super::{detached, message, signer};
use crate::signature::anchor::{Anchor, Kind};
use crate::strict::excerpt;

const ARMOR: &[u8] = b"-----BEGIN PGP PUBLIC KEY BLOCK-----";

/// Where a keybox has its magic number.
const KEYBOX: (usize, &[u8]) = (8, b"KBXf");

/// Certificates that may vouch for an image.
#[derive(Debug)]
pub struct Keyring {
    certs: Vec<Cert>,
}

impl Keyring {
    /// Reads keys from the contents of files: binary, or armored with any number of blocks and any
    /// text around them. What is not a key that this version knows is passed over: one such key in a
    /// vendor's file must not disable the others (policy-semantics.md 3.2).
    ///
    /// # Errors
    /// [`KeyringError`] for a file that can never hold keys.
    pub fn parse<'a>(files: impl IntoIterator<Item = &'a [u8]>) -> Result<Self, KeyringError> {
        let mut certs: Vec<Cert> = Vec::new();
        for file in files {
            if file.get(KEYBOX.0..).is_some_and(|rest| rest.starts_with(KEYBOX.1)) {
                return Err(KeyringError::Keybox);
            }
            for block in blocks(file) {
                let Ok(parser) = CertParser::from_bytes(block) else { continue };
                certs.extend(parser.filter_map(Result::ok).map(Cert::strip_secret_key_material));
            }
        }
        Ok(Self { certs })
    }

    /// Whether there is no key at all.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.certs.is_empty()
    }

    /// The primary fingerprints, in upper-case hexadecimal digits.
    #[must_use]
    pub fn fingerprints(&self) -> Vec<String> {
        self.certs.iter().map(|cert| cert.fingerprint().to_hex()).collect()
    }

    /// Each key as it stands at `now`.
    #[must_use]
    pub fn describe(&self, now: SystemTime) -> Vec<Anchor> {
        self.certs.iter().map(|cert| describe(cert, now)).collect()
    }

    /// Verifies a binary message with exactly one signature, by a key that is valid at `now`
    /// (policy-semantics.md 3.1).
    ///
    /// # Errors
    /// [`OpenPgpError`].
    pub fn verify(&self, text: &[u8], now: SystemTime) -> Result<SignedMessage, OpenPgpError> {
        message::check_structure(text)?;
        message::verify(text, &self.certs, now)
    }

    /// What each of the detached `signatures` of `text` says: who made it, if the key is one of these
    /// and valid at `now`.
    #[must_use]
    pub fn verify_detached(
        &self,
        text: &[u8],
        signatures: &[u8],
        now: SystemTime,
    ) -> Vec<Result<Signer, OpenPgpError>> {
        detached::verify(text, signatures, &self.certs, now)
    }
}

fn describe(cert: &Cert, now: SystemTime) -> Anchor {
    let policy = standard_policy(now);
    let valid = cert.with_policy(&policy, now);
    let primary_end = valid.as_ref().ok().and_then(|it| it.primary_key().key_expiration_time());
    let signing: Vec<_> = cert.keys().with_policy(&policy, now).for_signing().collect();
    // A key without end outlives any other.
    let signing_end = signing
        .iter()
        .map(|key| key.key_expiration_time())
        .reduce(|one, other| one.zip(other).map(|(one, other)| one.max(other)))
        .flatten();
    let outcomes =
        signing.iter().map(|key| signer::still_valid(cert, &key.key().key_handle(), &policy, now));
    let fault = match outcomes.reduce(|one, other| one.or(other)) {
        Some(outcome) => outcome.err().map(|error| error.to_string()),
        None => Some(valid.as_ref().err().map_or_else(
            || "it has no key that may sign".to_owned(),
            |error| excerpt(&error.to_string()),
        )),
    };
    let name = |id: &[u8]| excerpt(&String::from_utf8_lossy(id));
    let primary = cert.primary_key();
    Anchor {
        kind: Kind::OpenPgp,
        fingerprint: cert.fingerprint().to_hex(),
        names: cert.userids().map(|id| name(id.userid().value())).collect(),
        algorithm: algorithm(primary.key().role_as_unspecified()),
        created: Some(primary.key().creation_time()),
        expires: [primary_end, signing_end].into_iter().flatten().min(),
        fault,
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "the enum is not ours and is not exhaustive")]
fn algorithm(key: &Key<PublicParts, UnspecifiedRole>) -> String {
    let bits = key.mpis().bits().unwrap_or_default();
    match key.mpis() {
        mpi::PublicKey::RSA { .. } => format!("RSA {bits}"),
        mpi::PublicKey::DSA { .. } => format!("DSA {bits}"),
        mpi::PublicKey::EdDSA { curve, .. } => curve.to_string(),
        mpi::PublicKey::ECDSA { curve, .. } => format!("ECDSA {curve}"),
        _ => format!("{:?}", key.pk_algo()),
    }
}

/// The armored blocks of a file, or the whole of a binary one.
fn blocks(file: &[u8]) -> Vec<&[u8]> {
    let is_binary = file.first().is_some_and(|byte| byte & 0x80 != 0);
    if is_binary {
        return vec![file];
    }
    let mut starts: Vec<usize> = file
        .windows(ARMOR.len())
        .enumerate()
        .filter(|(_, window)| *window == ARMOR)
        .map(|(start, _)| start)
        .collect();
    starts.push(file.len());
    starts
        .windows(2)
        .filter_map(|pair| match pair {
            [start, end] => file.get(*start..*end),
            _ => None,
        })
        .collect()
}
