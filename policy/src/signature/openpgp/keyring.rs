//! The keys of a policy.

use std::time::SystemTime;

use sequoia_openpgp::Cert;
use sequoia_openpgp::cert::CertParser;
use sequoia_openpgp::parse::Parse as _;

use super::message;
use super::{KeyringError, OpenPgpError, SignedMessage};

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

    /// Verifies a binary message with exactly one signature, by a key that is valid at `now`
    /// (policy-semantics.md 3.1).
    ///
    /// # Errors
    /// [`OpenPgpError`].
    pub fn verify(&self, text: &[u8], now: SystemTime) -> Result<SignedMessage, OpenPgpError> {
        message::check_structure(text)?;
        message::verify(text, &self.certs, now)
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
