//! What a key file holds, for whoever lists, checks or watches keys. Decisions read the files by
//! themselves, with the same functions.

use std::time::SystemTime;

use super::openpgp::{Keyring, KeyringError};
use super::sigstore::{self, CertificateError, KeyError, PemError, TrustedRootError};

/// A key or certificate that a policy may trust.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Anchor {
    /// What it is.
    pub kind: Kind,
    /// As in [`Signer::fingerprint`](super::Signer::fingerprint).
    pub fingerprint: String,
    /// User IDs of an OpenPGP certificate, or the subject of an X.509 certificate; cut.
    pub names: Vec<String>,
    /// The algorithm of the key, and its size or curve.
    pub algorithm: String,
    /// Since when it is valid, if it says so.
    pub created: Option<SystemTime>,
    /// Until when it is valid, if it says so.
    pub expires: Option<SystemTime>,
    /// Why no signature that leads back to it is accepted now; none if it can be used.
    pub fault: Option<String>,
}

/// What an anchor is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A certificate of an authority, for `caPath` and the like.
    Certificate,
    /// An OpenPGP certificate, for `keyPath` of `signedBy`.
    OpenPgp,
    /// A public key in PEM, for `keyPath` of `sigstoreSigned`.
    PublicKey,
}

/// Everything in the content of a key file, as it stands at `now`.
///
/// # Errors
/// [`AnchorError`] if the file can never be used.
pub fn anchors(content: &[u8], now: SystemTime) -> Result<Vec<Anchor>, AnchorError> {
    match sigstore::label(content).as_deref() {
        Some("CERTIFICATE") => Ok(sigstore::describe_certificates(content, now)?),
        Some("PUBLIC KEY" | "RSA PUBLIC KEY") => {
            Ok(vec![sigstore::PublicKey::from_pem(content)?.describe()])
        }
        Some("PGP PRIVATE KEY BLOCK") => Err(AnchorError::Private),
        Some(label) if label.ends_with("PRIVATE KEY") => Err(AnchorError::Private),
        Some(_) | None if content.trim_ascii_start().starts_with(b"{") => {
            Ok(sigstore::TrustedRoot::parse(content)?.describe(now)?)
        }
        Some(_) | None => {
            let found = Keyring::parse([content])?.describe(now);
            if found.is_empty() { Err(AnchorError::Nothing) } else { Ok(found) }
        }
    }
}

/// Why a file holds nothing that a policy could trust.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AnchorError {
    /// A certificate cannot be read.
    #[error("not a usable certificate")]
    Certificate(#[from] CertificateError),
    /// A public key cannot be read.
    #[error("not a usable public key")]
    Key(#[from] KeyError),
    /// GnuPG's own database.
    #[error(transparent)]
    Keyring(#[from] KeyringError),
    /// Neither keys nor certificates.
    #[error("neither an OpenPGP key nor a public key or certificate in PEM")]
    Nothing,
    /// PEM that cannot be read.
    #[error(transparent)]
    Pem(#[from] PemError),
    /// A trusted root cannot be read.
    #[error("not a usable trusted root")]
    TrustedRoot(#[from] TrustedRootError),
    /// A secret, which does not belong on a node.
    #[error("a private key, which does not belong on a node: export the public one")]
    Private,
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::{AnchorError, Kind, anchors};

    #[test]
    fn openpgp_keys_are_described() {
        let file = include_bytes!("../../../tests/conformance/data/keyrings/own/ed25519-key.pgp");
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        let found = anchors(file, now).unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].kind, &*found[0].algorithm), (Kind::OpenPgp, "Ed25519"));
        assert_eq!((found[0].fingerprint.len(), found[0].fault.as_deref()), (40, None));
        let early = anchors(file, SystemTime::UNIX_EPOCH).unwrap();
        assert!(early[0].fault.is_some(), "{early:?}");
    }

    #[test]
    fn a_key_that_cannot_be_used_says_why() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        for (content, algorithm, fault) in [
            (
                &include_bytes!("../../../tests/conformance/data/keyrings/own/expired-key.pgp")[..],
                "Ed25519",
                Some("expired on 20"),
            ),
            (
                include_bytes!("../../../tests/conformance/data/keyrings/own/revoked-key.pgp"),
                "",
                Some("was revoked"),
            ),
            (
                include_bytes!("../../../tests/conformance/data/keyrings/own/rsa1024-key.pgp"),
                "RSA 1024",
                Some(""),
            ),
            (
                include_bytes!(
                    "../../../tests/conformance/data/keyrings/own/cert-only-with-signing-subkey-key.pgp"
                ),
                "",
                None,
            ),
            (
                include_bytes!("../../../tests/conformance/data/keyrings/own/p256-key.asc"),
                "ECDSA NIST P-256",
                None,
            ),
        ] {
            let found = anchors(content, now).unwrap();
            let found = found.first().unwrap();
            assert!(found.algorithm.starts_with(algorithm), "{found:?}");
            let said = found.fault.as_deref();
            assert_eq!(said.is_some(), fault.is_some(), "{found:?}");
            assert!(said.unwrap_or_default().contains(fault.unwrap_or_default()), "{found:?}");
        }
    }

    #[test]
    fn a_trusted_root_is_described() {
        let file =
            include_bytes!("../../../tests/conformance/data/sigstore-bundles/trusted_root.json");
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        let found = anchors(file, now).unwrap();
        let kinds: Vec<_> = found.iter().map(|anchor| anchor.kind).collect();
        let (certificate, key) = (Kind::Certificate, Kind::PublicKey);
        assert_eq!(kinds, [certificate, certificate, key, key, certificate]);
        // The first authority went out of use before its certificate ends.
        let date = |end| humantime::format_rfc3339_seconds(end).to_string();
        let ends: Vec<_> = found.iter().map(|anchor| anchor.expires.map(date)).collect();
        let expected =
            ["2022-12-31T23:59:59Z", "2031-10-05T13:56:58Z", "", "", "2035-04-06T06:59:43Z"];
        assert_eq!(ends, expected.map(|end| Some(end.to_owned()).filter(|end| !end.is_empty())));
        assert!(found.iter().all(|anchor| anchor.fault.is_none()), "{found:?}");
        assert!(matches!(anchors(b" {}", now), Err(AnchorError::TrustedRoot(_))));
    }

    #[test]
    fn what_is_no_key_is_said_to_be_none() {
        let now = SystemTime::UNIX_EPOCH;
        for (content, expected) in [
            (&b""[..], AnchorError::Nothing),
            (b"hello", AnchorError::Nothing),
            (
                b"-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----\nYQ==\n-----END ENCRYPTED SIGSTORE PRIVATE KEY-----\n",
                AnchorError::Private,
            ),
            (b"-----BEGIN PGP PRIVATE KEY BLOCK-----\n", AnchorError::Private),
        ] {
            assert_eq!(anchors(content, now), Err(expected), "{content:?}");
        }
        let broken = b"-----BEGIN PUBLIC KEY-----\nYQ==\n-----END PUBLIC KEY-----\n";
        assert!(matches!(anchors(broken, now), Err(AnchorError::Key(_))));
        let broken = b"-----BEGIN CERTIFICATE-----\nYQ==\n-----END CERTIFICATE-----\n";
        assert!(matches!(anchors(broken, now), Err(AnchorError::Certificate(_))));
    }
}
