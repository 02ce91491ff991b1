//! Public keys, and signatures made with them.

use aws_lc_rs::digest::SHA256;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P384_SHA256_ASN1, ECDSA_P384_SHA384_ASN1, ECDSA_P521_SHA256_ASN1,
    ECDSA_P521_SHA512_ASN1, ED25519, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey,
    VerificationAlgorithm,
};
use sha2::{Digest as _, Sha256};
use x509_cert::der::asn1::{Any, BitString, ObjectIdentifier, Uint};
use x509_cert::der::{Decode as _, Encode as _, EncodePem as _};
use x509_cert::spki::{AlgorithmIdentifierOwned, SubjectPublicKeyInfoOwned};

use super::pem::{self, PemError};
use crate::digest::Digest;
use crate::signature::anchor::{Anchor, Kind};

const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const ED_25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");
const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");

const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const P384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
const P521: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.35");

/// With SHA-256, with the hash that belongs to the key, and the key's curve.
type Algorithms =
    (&'static dyn VerificationAlgorithm, &'static dyn VerificationAlgorithm, &'static str);

/// A public key that signatures can be verified with.
#[derive(Debug, Clone)]
pub struct PublicKey {
    algorithm: &'static dyn VerificationAlgorithm,
    native: &'static dyn VerificationAlgorithm,
    kind: ObjectIdentifier,
    curve: &'static str,
    bits: Vec<u8>,
    spki: Vec<u8>,
    pem: String,
}

impl PublicKey {
    /// Reads the first PEM block: `PUBLIC KEY`, or PKCS #1 `RSA PUBLIC KEY`.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn from_pem(text: &[u8]) -> Result<Self, KeyError> {
        let (label, der) = pem::first(text)?;
        match label.as_str() {
            "PUBLIC KEY" => Self::new(&SubjectPublicKeyInfoOwned::from_der(&der)?),
            "RSA PUBLIC KEY" => {
                let algorithm =
                    AlgorithmIdentifierOwned { oid: RSA, parameters: Some(Any::null()) };
                let subject_public_key = BitString::from_bytes(&der)?;
                Self::new(&SubjectPublicKeyInfoOwned { algorithm, subject_public_key })
            }
            _ => Err(KeyError::Label { found: label }),
        }
    }

    /// The key of a certificate.
    pub(super) fn new(info: &SubjectPublicKeyInfoOwned) -> Result<Self, KeyError> {
        let kind = info.algorithm.oid;
        let (algorithm, native, curve): Algorithms = match kind {
            EC => {
                let curve = info.algorithm.parameters.as_ref().ok_or(KeyError::Curve)?;
                match curve.decode_as::<ObjectIdentifier>()? {
                    P256 => (&ECDSA_P256_SHA256_ASN1, &ECDSA_P256_SHA256_ASN1, "P-256"),
                    P384 => (&ECDSA_P384_SHA256_ASN1, &ECDSA_P384_SHA384_ASN1, "P-384"),
                    P521 => (&ECDSA_P521_SHA256_ASN1, &ECDSA_P521_SHA512_ASN1, "P-521"),
                    _ => return Err(KeyError::Curve),
                }
            }
            ED_25519 => (&ED25519, &ED25519, ""),
            RSA => (&RSA_PKCS1_2048_8192_SHA256, &RSA_PKCS1_2048_8192_SHA256, ""),
            _ => return Err(KeyError::Algorithm { oid: kind.to_string() }),
        };
        let bits = info.subject_public_key.as_bytes().ok_or(KeyError::Bits)?.to_vec();
        let pem = info.to_pem(x509_cert::der::pem::LineEnding::LF)?;
        let key = Self { algorithm, native, kind, curve, bits, spki: info.to_der()?, pem };
        match aws_lc_rs::signature::ParsedPublicKey::new(key.algorithm, &key.bits) {
            Ok(_) => Ok(key),
            Err(_) => Err(KeyError::Bits),
        }
    }

    /// Reads a SubjectPublicKeyInfo.
    ///
    /// # Errors
    /// [`KeyError`].
    pub(super) fn from_der(der: &[u8]) -> Result<Self, KeyError> {
        Self::new(&SubjectPublicKeyInfoOwned::from_der(der)?)
    }

    /// Whether `signature` was made with this key over the SHA-256 digest of `message`.
    #[must_use]
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(self.algorithm, &self.bits).verify(message, signature).is_ok()
    }

    /// [`Self::verify`], or with the hash that belongs to the curve, as the signers of bundles choose.
    pub(super) fn verify_native(&self, message: &[u8], signature: &[u8]) -> bool {
        let native = UnparsedPublicKey::new(self.native, &self.bits);
        self.verify(message, signature) || native.verify(message, signature).is_ok()
    }

    /// Whether `signature` was made with this key over a message with this SHA-256 digest. Ed25519 does
    /// not sign digests.
    pub(super) fn verify_digest(&self, message: &Digest, signature: &[u8]) -> bool {
        let Ok(bytes) = hex::decode(message.hex()) else { return false };
        let digest = aws_lc_rs::digest::Digest::import_less_safe(&bytes, &SHA256);
        let key = UnparsedPublicKey::new(self.algorithm, &self.bits);
        digest.is_ok_and(|digest| key.verify_digest(&digest, signature).is_ok())
    }

    /// The SHA-256 digest of the SubjectPublicKeyInfo, by which a log names its key.
    pub(super) fn id(&self) -> [u8; 32] {
        Sha256::digest(&self.spki).into()
    }

    /// The SHA-256 digest of the SubjectPublicKeyInfo, in upper-case hexadecimal digits.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        Digest::sha256(&self.spki).hex().to_uppercase()
    }

    /// The key for whoever lists keys. One that cannot be used has not become a [`PublicKey`].
    pub(in crate::signature) fn describe(&self) -> Anchor {
        Anchor {
            kind: Kind::PublicKey,
            fingerprint: self.fingerprint(),
            names: Vec::new(),
            algorithm: self.algorithm(),
            created: None,
            expires: None,
            fault: None,
        }
    }

    /// The algorithm, and the size or curve.
    pub(super) fn algorithm(&self) -> String {
        match self.kind {
            ED_25519 => "Ed25519".to_owned(),
            RSA => {
                let numbers = Vec::<Uint>::from_der(&self.bits).unwrap_or_default();
                let bytes = numbers.first().map(|modulus| modulus.as_bytes().len());
                format!("RSA {}", bytes.unwrap_or_default() * 8)
            }
            _ => format!("ECDSA {}", self.curve),
        }
    }

    /// The key in PEM.
    pub(super) fn pem(&self) -> Vec<u8> {
        self.pem.clone().into_bytes()
    }

    /// Whether it can sign a message of which only the digest is known.
    pub(super) fn signs_digests(&self) -> bool {
        self.kind != ED_25519
    }

    /// Whether it is an elliptic-curve key, the only kind that a transparency log has.
    #[must_use]
    pub fn is_ecdsa(&self) -> bool {
        self.kind == EC
    }
}

/// Why text is no public key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// A kind of key that sigstore does not use.
    #[error("a key of the algorithm {oid}, expected ECDSA, Ed25519 or RSA")]
    Algorithm {
        /// Its object identifier.
        oid: String,
    },
    /// The key itself is malformed or too weak.
    #[error("the key is malformed, or RSA with less than 2048 bits")]
    Bits,
    /// An elliptic curve that sigstore does not use.
    #[error("an elliptic curve other than P-256, P-384 and P-521")]
    Curve,
    /// Not ASN.1 DER of the right form.
    #[error("the key is not a SubjectPublicKeyInfo: {0}")]
    Der(#[from] x509_cert::der::Error),
    /// PEM of something else.
    #[error("a PEM block `{found}`, expected `PUBLIC KEY`")]
    Label {
        /// The block's label.
        found: String,
    },
    /// Not PEM.
    #[error(transparent)]
    Pem(#[from] PemError),
}
