//! The signer's certificate: issued by an authority of the policy, to whom the policy names.

use std::time::{Duration, SystemTime};

use rustls_pki_types::{CertificateDer, TrustAnchor, UnixTime};
use webpki::{EndEntityCert, KeyUsage};
use x509_cert::Certificate;
use x509_cert::der::asn1::ObjectIdentifier;
use x509_cert::der::pem::LineEnding;
use x509_cert::der::{Decode as _, Encode as _, EncodePem as _};
use x509_cert::ext::pkix::ExtendedKeyUsage;

use super::key::{KeyError, PublicKey};
use super::pem::{self, PemError};
use super::subject::Subject;
use super::window::{Window, shown};
use crate::limits;
use crate::signature::anchor::{Anchor, Kind};
use crate::strict::excerpt;

static CODE_SIGNING: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.3");
const ANY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.37.0");

/// Certificate authorities that the policy trusts.
#[derive(Debug)]
pub struct Authorities {
    roots: Vec<Certificate>,
    intermediates: Vec<Certificate>,
    window: Window,
}

impl Authorities {
    /// Reads PEM files of roots and of intermediates.
    ///
    /// # Errors
    /// [`CertificateError`] if one cannot be read, or if there is no root.
    pub fn parse(roots: &[u8], intermediates: Option<&[u8]>) -> Result<Self, CertificateError> {
        let roots = certificates(roots)?;
        if roots.is_empty() {
            return Err(CertificateError::NoCertificate);
        }
        let intermediates = intermediates.map(certificates).transpose()?;
        if intermediates.as_ref().is_some_and(Vec::is_empty) {
            return Err(CertificateError::NoCertificate);
        }
        let intermediates = intermediates.unwrap_or_default();
        Ok(Self { roots, intermediates, window: Window::ALWAYS })
    }

    /// The authority with this chain of DER certificates, its root last, in use in `window`.
    pub(super) fn of_chain(chain: &[Vec<u8>], window: Window) -> Result<Self, CertificateError> {
        let mut intermediates = from_der(chain)?;
        let root = intermediates.pop().ok_or(CertificateError::NoCertificate)?;
        Ok(Self { roots: vec![root], intermediates, window })
    }

    /// Its roots, each until a certificate of the authority ends or the authority went out of use.
    pub(super) fn describe(&self, now: SystemTime) -> Result<Vec<Anchor>, CertificateError> {
        let between = self.intermediates.iter().map(validity);
        let window = between.fold(self.window, Window::and);
        let root = |root| {
            let (_, end) = window.and(validity(root)).ends();
            Ok(Anchor { expires: end, ..describe(root, now)? })
        };
        self.roots.iter().map(root).collect()
    }

    /// The key of `signer`, if these authorities vouched for it at the time `at` and it names `subject`.
    ///
    /// # Errors
    /// [`CertificateError`].
    pub fn key(
        &self,
        signer: &SignerCertificate,
        subject: &Subject,
        at: SystemTime,
    ) -> Result<PublicKey, CertificateError> {
        let mut between = signer.between.clone();
        between.extend(self.intermediates.iter().cloned());
        self.vouch(&signer.leaf, &between, at)?;
        if !self.window.contains(at) {
            let (time, window) = (shown(at).to_string(), self.window.to_string());
            return Err(CertificateError::OutOfUse { time, window });
        }
        subject.named_by(&signer.leaf)?;
        Ok(PublicKey::new(&signer.leaf.tbs_certificate.subject_public_key_info)?)
    }

    /// [`Self::key`] by the first of several that vouches. Otherwise the fault is that of one that issued
    /// the certificate, if any did.
    pub(super) fn key_by_any(
        authorities: &[Self],
        signer: &SignerCertificate,
        subject: &Subject,
        at: SystemTime,
    ) -> Result<PublicKey, CertificateError> {
        let mut fault = CertificateError::NoCertificate;
        for one in authorities {
            match one.key(signer, subject, at) {
                Ok(key) => return Ok(key),
                Err(error) if fault.is_of_a_stranger() => fault = error,
                Err(_) => {}
            }
        }
        Err(fault)
    }

    fn vouch(
        &self,
        leaf: &Certificate,
        between: &[Certificate],
        at: SystemTime,
    ) -> Result<(), CertificateError> {
        // webpki takes a root for granted; containers/image wants it valid and for this use.
        let usable = |root: &&Certificate| validity(root).contains(at) && signs_code(root);
        let roots = self.roots.iter().filter(usable).map(der).collect::<Result<Vec<_>, _>>()?;
        if roots.is_empty() {
            let valid = self.roots.iter().map(|root| validity(root).to_string());
            let (time, valid) = (shown(at).to_string(), valid.collect::<Vec<_>>().join(", "));
            return Err(CertificateError::RootsExpired { time, valid });
        }
        let anchors: Vec<TrustAnchor<'_>> = roots
            .iter()
            .map(webpki::anchor_from_trusted_cert)
            .collect::<Result<_, _>>()
            .map_err(|error| CertificateError::Chain(error.to_string()))?;
        let between = between.iter().map(der).collect::<Result<Vec<_>, _>>()?;
        let leaf = der(leaf)?;
        let since = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        EndEntityCert::try_from(&leaf)
            .and_then(|leaf| {
                leaf.verify_for_usage(
                    webpki::ALL_VERIFICATION_ALGS,
                    &anchors,
                    &between,
                    UnixTime::since_unix_epoch(since),
                    KeyUsage::required_if_present(CODE_SIGNING.as_bytes()),
                    None,
                    None,
                )
                .map(drop)
            })
            .map_err(CertificateError::of_chain)
    }
}

/// A signer's certificate and what may stand between it and a root. Nobody has vouched for it yet.
#[derive(Debug)]
pub struct SignerCertificate {
    leaf: Certificate,
    between: Vec<Certificate>,
}

impl SignerCertificate {
    /// Reads the certificate `text`, one PEM block with nothing after it. The last certificate of the
    /// attached `chain` is taken for its root and means nothing.
    ///
    /// # Errors
    /// [`CertificateError`] if one cannot be read.
    pub fn parse(text: &[u8], chain: Option<&[u8]>) -> Result<Self, CertificateError> {
        let leaf = leaf(text)?;
        let mut between = chain.map(certificates).transpose()?.unwrap_or_default();
        between.pop();
        if between.len() > limits::CHAIN {
            return Err(CertificateError::LongChain { found: between.len() });
        }
        Ok(Self { leaf, between })
    }

    /// Reads a chain of DER certificates, the signer's first.
    pub(super) fn of_chain(chain: &[Vec<u8>]) -> Result<Self, CertificateError> {
        let mut chain = from_der(chain)?.into_iter();
        let leaf = chain.next().ok_or(CertificateError::NoCertificate)?;
        Ok(Self { leaf, between: chain.collect() })
    }

    /// The signer's own certificate, as a log records it.
    pub(super) fn pem(&self) -> Result<String, CertificateError> {
        Ok(self.leaf.to_pem(LineEnding::LF)?)
    }
}

/// The signer's certificate: one PEM block with nothing after it.
///
/// # Errors
/// [`CertificateError`].
pub fn leaf(text: &[u8]) -> Result<Certificate, CertificateError> {
    Ok(Certificate::from_der(&pem::only(text)?)?)
}

/// Every certificate of a PEM text for whoever lists keys, as it stands at `now`.
pub(in crate::signature) fn describe_all(
    text: &[u8],
    now: SystemTime,
) -> Result<Vec<Anchor>, CertificateError> {
    certificates(text)?.iter().map(|certificate| describe(certificate, now)).collect()
}

fn describe(certificate: &Certificate, now: SystemTime) -> Result<Anchor, CertificateError> {
    let fault = match validity(certificate).ends() {
        (Some(start), _) if now < start => Some(format!("not valid before {}", shown(start))),
        (_, Some(end)) if end < now => Some(format!("expired on {}", shown(end))),
        _ if !signs_code(certificate) => {
            Some("not for signing code (extended key usage)".to_owned())
        }
        _ => None,
    };
    Ok(Anchor { fault, ..describe_key(certificate)? })
}

/// A certificate for whoever lists keys, whatever it is for.
pub(super) fn describe_key(certificate: &Certificate) -> Result<Anchor, CertificateError> {
    let body = &certificate.tbs_certificate;
    let key = PublicKey::new(&body.subject_public_key_info)?;
    let (created, expires) = validity(certificate).ends();
    Ok(Anchor {
        kind: Kind::Certificate,
        fingerprint: key.fingerprint(),
        names: vec![excerpt(&body.subject.to_string())],
        algorithm: key.algorithm(),
        created,
        expires,
        fault: None,
    })
}

/// The time in which a certificate says that it is valid.
pub(super) fn validity(certificate: &Certificate) -> Window {
    let validity = &certificate.tbs_certificate.validity;
    Window::new(validity.not_before.to_system_time(), validity.not_after.to_system_time())
}

fn signs_code(certificate: &Certificate) -> bool {
    match certificate.tbs_certificate.get::<ExtendedKeyUsage>() {
        Ok(Some((_critical, usages))) => {
            usages.0.iter().any(|usage| *usage == CODE_SIGNING || *usage == ANY_USAGE)
        }
        Ok(None) => true,
        Err(_malformed) => false,
    }
}

/// Every certificate of a PEM text.
fn certificates(text: &[u8]) -> Result<Vec<Certificate>, CertificateError> {
    let blocks = pem::blocks(text)?;
    if blocks.is_empty() {
        return Err(CertificateError::NoCertificate);
    }
    let mut certificates = Vec::new();
    for (label, der) in blocks {
        if label == "CERTIFICATE" {
            certificates.push(Certificate::from_der(&der)?);
        }
    }
    Ok(certificates)
}

/// Every certificate of a chain.
pub(super) fn from_der(chain: &[Vec<u8>]) -> Result<Vec<Certificate>, CertificateError> {
    Ok(chain.iter().map(|der| Certificate::from_der(der)).collect::<Result<_, _>>()?)
}

pub(super) fn der(certificate: &Certificate) -> Result<CertificateDer<'static>, CertificateError> {
    Ok(CertificateDer::from(certificate.to_der()?))
}

/// Why a certificate is not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// No path to an authority of the policy.
    #[error("no authority of the policy vouches for it: {0}")]
    Chain(String),
    /// It, or one between it and the root, had not begun to be valid.
    #[error("begins at {start}, what counts is {time}")]
    Begins {
        /// When it begins.
        start: String,
        /// When it must be valid.
        time: String,
    },
    /// Not ASN.1 DER of a certificate.
    #[error("not an X.509 certificate: {0}")]
    Der(#[from] x509_cert::der::Error),
    /// It, or one between it and the root, had ended.
    #[error("ended at {end}, what counts is {time}")]
    Ended {
        /// When it ended.
        end: String,
        /// When it must be valid.
        time: String,
    },
    /// Issued after a login elsewhere.
    #[error("was issued after a login at `{found}`, the policy expects `{expected}`")]
    Issuer {
        /// What it names.
        found: String,
        /// What the policy expects.
        expected: String,
    },
    /// Two OpenID providers, or one twice.
    #[error("names its OpenID provider more than once")]
    IssuerTwice,
    /// Its key cannot be used.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// More certificates attached than any chain has.
    #[error("comes with a chain of {found} certificates, at most {} are looked at", limits::CHAIN)]
    LongChain {
        /// How many there are.
        found: usize,
    },
    /// A file or annotation without any.
    #[error("there is no certificate in the PEM text")]
    NoCertificate,
    /// Not issued by Fulcio.
    #[error("names no OpenID provider")]
    NoIssuer,
    /// The authority was not in use.
    #[error("the policy's authority was in use {window}, the signature is of {time}")]
    OutOfUse {
        /// When the signature was made.
        time: String,
        /// When the authority was in use.
        window: String,
    },
    /// Not PEM.
    #[error(transparent)]
    Pem(#[from] PemError),
    /// The policy's roots are too old, or for another use.
    #[error("no root of the policy is valid for signing at {time}; they are valid {valid}")]
    RootsExpired {
        /// When one must be valid.
        time: String,
        /// When each of them is.
        valid: String,
    },
    /// Issued to somebody else.
    #[error("names `{found}`, the policy expects `{expected}`")]
    Subject {
        /// What it names.
        found: String,
        /// What the policy expects.
        expected: String,
    },
}

impl CertificateError {
    /// Why there is no path, with the dates of what was not valid at the time.
    #[expect(clippy::wildcard_enum_match_arm, reason = "the enum is not ours")]
    fn of_chain(error: webpki::Error) -> Self {
        let date = |time: UnixTime| {
            let since = Duration::from_secs(time.as_secs());
            shown(SystemTime::UNIX_EPOCH + since).to_string()
        };
        match error {
            webpki::Error::CertExpired { time, not_after } => {
                Self::Ended { end: date(not_after), time: date(time) }
            }
            webpki::Error::CertNotValidYet { time, not_before } => {
                Self::Begins { start: date(not_before), time: date(time) }
            }
            other => Self::Chain(other.to_string()),
        }
    }

    /// Whether it leaves open that another authority issued the certificate.
    const fn is_of_a_stranger(&self) -> bool {
        match self {
            Self::Begins { .. }
            | Self::Chain(_)
            | Self::Ended { .. }
            | Self::NoCertificate
            | Self::RootsExpired { .. } => true,
            Self::Der(_)
            | Self::Issuer { .. }
            | Self::IssuerTwice
            | Self::Key(_)
            | Self::LongChain { .. }
            | Self::NoIssuer
            | Self::OutOfUse { .. }
            | Self::Pem(_)
            | Self::Subject { .. } => false,
        }
    }
}
