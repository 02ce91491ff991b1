//! PEM as Go's `encoding/pem` reads it where the difference matters (policy-semantics.md 4).

use crate::limits;

const BEGIN: &[u8] = b"-----BEGIN ";

/// The DER content of the only block: text may stand before it, nothing after it.
pub(super) fn only(text: &[u8]) -> Result<Vec<u8>, PemError> {
    let mut blocks = blocks(text)?;
    let (Some((label, der)), true) = (blocks.pop(), blocks.is_empty()) else {
        return Err(PemError::NotOne);
    };
    let end = format!("-----END {label}-----");
    let text = String::from_utf8_lossy(text);
    let rest = text.rsplit_once(&end).map_or("", |(_, rest)| rest);
    if !rest.trim_matches([' ', '\t', '\r']).is_empty() && !matches!(rest, "\n" | "\r\n") {
        return Err(PemError::Trailing);
    }
    Ok(der)
}

/// Label and DER content of the first block. What stands around it means nothing.
pub(super) fn first(text: &[u8]) -> Result<(String, Vec<u8>), PemError> {
    blocks(text)?.into_iter().next().ok_or(PemError::NotOne)
}

/// What the first block says it is, whether or not the rest of it can be read.
pub(in crate::signature) fn label(text: &[u8]) -> Option<String> {
    let begin = text.windows(BEGIN.len()).position(|part| part == BEGIN)?;
    let rest = text.get(begin + BEGIN.len()..)?;
    let end = rest.windows(5).position(|part| part == b"-----")?;
    Some(String::from_utf8_lossy(rest.get(..end)?).into_owned())
}

/// Label and DER content of every block.
pub(super) fn blocks(text: &[u8]) -> Result<Vec<(String, Vec<u8>)>, PemError> {
    let mut lines = text.split(|byte| *byte == b'\n');
    if lines.any(|line| line.windows(BEGIN.len()).skip(1).any(|part| part == BEGIN)) {
        return Err(PemError::Glued);
    }
    let blocks = ::pem::parse_many(text).map_err(|error| PemError::Invalid(error.to_string()))?;
    if blocks.len() > limits::CERTIFICATES {
        return Err(PemError::TooMany);
    }
    Ok(blocks.into_iter().map(|block| (block.tag().to_owned(), block.into_contents())).collect())
}

/// Why text is not the PEM that belongs there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PemError {
    /// Readers differ about such a block.
    #[error("a PEM block that does not begin on a line of its own")]
    Glued,
    /// A block that cannot be read.
    #[error("not PEM: {0}")]
    Invalid(String),
    /// None, or more than one.
    #[error("expected one PEM block")]
    NotOne,
    /// Something follows the block.
    #[error("text after the PEM block")]
    Trailing,
    /// More blocks than any real chain has.
    #[error("more than {} PEM blocks", limits::CERTIFICATES)]
    TooMany,
}
