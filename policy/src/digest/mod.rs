//! Content digests, and the proof that bytes have one.

mod lanes;
mod state;

use std::fmt;
use std::str::FromStr;

use sha2::{Digest as _, Sha256};

pub use lanes::Lanes;
use state::State;

/// Digest algorithms that the image specifications register. Only SHA-256 is ever verified, as in
/// containers/image; the others parse, so that a reference that names them is refused for the right
/// reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Algorithm {
    /// `sha256`.
    Sha256,
    /// `sha384`.
    Sha384,
    /// `sha512`.
    Sha512,
}

impl Algorithm {
    /// The name before the colon.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha384 => "sha384",
            Self::Sha512 => "sha512",
        }
    }

    const fn hex_length(self) -> usize {
        match self {
            Self::Sha256 => 64,
            Self::Sha384 => 96,
            Self::Sha512 => 128,
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        [Self::Sha256, Self::Sha384, Self::Sha512].into_iter().find(|known| known.name() == name)
    }
}

/// A digest in its one canonical spelling, `algorithm:lower-case hex` (OCI image-spec, descriptor,
/// "Digests"). A value of this type is safe inside a path or URL: CVE-2024-3727 is what happens
/// where it is not.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest {
    algorithm: Algorithm,
    hex: String,
}

impl Digest {
    /// The SHA-256 digest of `bytes`.
    #[must_use]
    pub fn sha256(bytes: &[u8]) -> Self {
        Self { algorithm: Algorithm::Sha256, hex: hex::encode(Sha256::digest(bytes)) }
    }

    fn of(state: State) -> Self {
        Self { algorithm: Algorithm::Sha256, hex: hex::encode(state.finish()) }
    }

    /// The algorithm.
    #[must_use]
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The lower-case hexadecimal part.
    #[must_use]
    pub fn hex(&self) -> &str {
        &self.hex
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.algorithm.name(), self.hex)
    }
}

impl FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        let (name, hex) = text.split_once(':').ok_or(DigestError::NoAlgorithm)?;
        let algorithm = Algorithm::from_name(name).ok_or(DigestError::UnknownAlgorithm)?;
        let found = hex.len();
        if found != algorithm.hex_length() {
            return Err(DigestError::Length { algorithm, found });
        }
        if !hex.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(DigestError::NotLowerHex);
        }
        Ok(Self { algorithm, hex: hex.to_owned() })
    }
}

/// Why a text is not a digest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DigestError {
    /// The hexadecimal part has the wrong length.
    #[error("{} takes {} hexadecimal digits, found {found}", algorithm.name(), algorithm.hex_length())]
    Length {
        /// The algorithm that was named.
        algorithm: Algorithm,
        /// The length found.
        found: usize,
    },
    /// There is no colon.
    #[error("a digest has the form sha256:<64 hexadecimal digits>")]
    NoAlgorithm,
    /// A character other than 0-9 and a-f.
    #[error("a digest is written in lower-case hexadecimal digits")]
    NotLowerHex,
    /// The algorithm is not registered.
    #[error("unknown digest algorithm, expected sha256, sha384 or sha512")]
    UnknownAlgorithm,
}

/// The instructions that SHA-256 runs on here, for the start-up record. The choice is made by the
/// `sha2` crate when the program runs; this asks the processor the same question.
#[must_use]
pub fn sha256_instructions() -> &'static str {
    #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
    if std::arch::is_x86_feature_detected!("sha") && std::arch::is_x86_feature_detected!("sse4.1") {
        return "x86 SHA-NI";
    }
    #[cfg(target_arch = "aarch64")]
    if std::arch::is_aarch64_feature_detected!("sha2") {
        return "ARMv8 SHA2";
    }
    "portable"
}

/// Proof that bytes with this digest and size were read to their end. Made only by
/// [`Verifier::finish`] and [`Tailed::finish`].
///
/// ```compile_fail,E0451
/// use pullgate_policy::digest::{Digest, VerifiedBlob};
///
/// let unproven = VerifiedBlob { digest: Digest::sha256(b"trust me"), size: 8 };
/// ```
#[must_use]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedBlob {
    digest: Digest,
    size: u64,
}

impl VerifiedBlob {
    /// What the bytes hashed to.
    #[must_use]
    pub const fn digest(&self) -> &Digest {
        &self.digest
    }

    /// How many bytes there were.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }
}

/// Hashes a stream of known length and digest, and refuses the first byte too many.
#[derive(Debug)]
pub struct Verifier {
    expected: Digest,
    size: u64,
    left: u64,
    state: State,
}

impl Verifier {
    /// A verifier of exactly `size` bytes with the digest `expected`.
    ///
    /// # Errors
    /// [`BlobMismatch::Unsupported`] unless the algorithm is SHA-256.
    pub fn new(expected: &Digest, size: u64) -> Result<Self, BlobMismatch> {
        match expected.algorithm {
            Algorithm::Sha256 => {
                Ok(Self { expected: expected.clone(), size, left: size, state: State::new() })
            }
            Algorithm::Sha384 | Algorithm::Sha512 => {
                Err(BlobMismatch::Unsupported { algorithm: expected.algorithm })
            }
        }
    }

    /// Verifies bytes that are all at hand.
    ///
    /// # Errors
    /// [`BlobMismatch`] if they are not the bytes that `expected` names.
    pub fn verify(expected: &Digest, bytes: &[u8]) -> Result<VerifiedBlob, BlobMismatch> {
        let mut verifier = Self::new(expected, bytes.len() as u64)?;
        verifier.update(bytes)?;
        verifier.finish()
    }

    /// Takes the next bytes of the stream.
    ///
    /// # Errors
    /// [`BlobMismatch::TooLong`] if they reach past the declared size; none of them is hashed then.
    pub fn update(&mut self, bytes: &[u8]) -> Result<(), BlobMismatch> {
        self.count(bytes)?;
        self.state.update(bytes);
        Ok(())
    }

    /// Ends the stream.
    ///
    /// # Errors
    /// [`BlobMismatch`] if bytes are missing or the digest differs.
    pub fn finish(self) -> Result<VerifiedBlob, BlobMismatch> {
        if self.left > 0 {
            return Err(BlobMismatch::TooShort { expected: self.size, missing: self.left });
        }
        let found = Digest::of(self.state);
        if found != self.expected {
            return Err(BlobMismatch::Digest { expected: self.expected, found });
        }
        Ok(VerifiedBlob { digest: found, size: self.size })
    }

    fn count(&mut self, bytes: &[u8]) -> Result<(), BlobMismatch> {
        let Some(left) = self.left.checked_sub(bytes.len() as u64) else {
            return Err(BlobMismatch::TooLong { expected: self.size });
        };
        self.left = left;
        Ok(())
    }
}

/// Verifies a stream whose length nobody declared, and proves the digest of what it becomes with a
/// tail.
#[derive(Debug)]
pub struct Tailed {
    expected: Digest,
    size: u64,
    state: State,
}

impl Tailed {
    /// A verifier of bytes with the digest `expected`.
    ///
    /// # Errors
    /// [`BlobMismatch::Unsupported`] unless the algorithm is SHA-256.
    pub fn new(expected: &Digest) -> Result<Self, BlobMismatch> {
        Verifier::new(expected, 0).map(|Verifier { expected, size, state, .. }| Self {
            expected,
            size,
            state,
        })
    }

    /// Takes the next bytes of the stream.
    pub fn update(&mut self, bytes: &[u8]) {
        self.size = self.size.saturating_add(bytes.len() as u64);
        self.state.update(bytes);
    }

    /// Ends the stream. The proof is of its bytes with `tail` behind them.
    ///
    /// # Errors
    /// [`BlobMismatch::Digest`] if the bytes before the tail are not the expected ones.
    pub fn finish(mut self, tail: &[u8]) -> Result<VerifiedBlob, BlobMismatch> {
        let found = Digest::of(self.state.clone());
        if found != self.expected {
            return Err(BlobMismatch::Digest { expected: self.expected, found });
        }
        self.update(tail);
        Ok(VerifiedBlob { digest: Digest::of(self.state), size: self.size })
    }
}

/// How bytes differ from what their descriptor promised.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BlobMismatch {
    /// The bytes are others.
    #[error("expected {expected}, found {found}")]
    Digest {
        /// What was promised.
        expected: Digest,
        /// What came.
        found: Digest,
    },
    /// More bytes than declared.
    #[error("longer than the declared {expected} bytes")]
    TooLong {
        /// The declared size.
        expected: u64,
    },
    /// Fewer bytes than declared.
    #[error("ended {missing} bytes before the declared {expected}")]
    TooShort {
        /// The declared size.
        expected: u64,
        /// How many bytes did not come.
        missing: u64,
    },
    /// Content is addressed by SHA-256 only.
    #[error("content is verified by sha256 only, not by {}", algorithm.name())]
    Unsupported {
        /// The algorithm that was asked for.
        algorithm: Algorithm,
    },
}

#[cfg(test)]
mod tests;
