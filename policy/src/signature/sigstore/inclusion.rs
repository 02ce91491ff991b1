//! The proof that a log has an entry: the way to a tree head that the log signed (RFC 6962).

use ::base64::Engine as _;
use ::base64::engine::general_purpose::STANDARD;
use sigstore_merkle::{hash_leaf, verify_inclusion_proof};
use sigstore_types::{Checkpoint, CheckpointSignature, Sha256Hash};

use super::witness::Log;

/// The way from an entry to a signed tree head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Proof {
    /// The entry's place in the tree.
    pub(super) index: u64,
    /// How many entries the tree has.
    pub(super) size: u64,
    /// The tree's root.
    pub(super) root: [u8; 32],
    /// The nodes beside the way.
    pub(super) hashes: Vec<[u8; 32]>,
    /// The signed tree head.
    pub(super) checkpoint: String,
}

impl Proof {
    /// Whether the log says that its tree holds the entry `body`.
    pub(super) fn verify(&self, body: &[u8], log: &Log) -> Result<(), InclusionError> {
        let head = Checkpoint::from_text(&self.checkpoint);
        let head = head.map_err(|error| InclusionError::Checkpoint(error.to_string()))?;
        if spelled(&head) != self.checkpoint.as_bytes() {
            return Err(InclusionError::Checkpoint("not in its only spelling".to_owned()));
        }
        if (head.tree_size(), head.root_hash().as_bytes()) != (self.size, &self.root) {
            return Err(InclusionError::OtherTree);
        }
        let [a, b, c, d, ..] = *log.id();
        let host = head.origin().split(" - ").next();
        let signed = head.signatures().iter().any(|signature| {
            *signature.key_id.as_bytes() == [a, b, c, d]
                && Some(signature.name.as_str()) == host
                && log.key().verify(head.signed_data(), signature.signature.as_bytes())
        });
        if !signed {
            return Err(InclusionError::Signature);
        }
        let hashes: Vec<Sha256Hash> = self.hashes.iter().map(|hash| (*hash).into()).collect();
        let leaf = hash_leaf(body);
        verify_inclusion_proof(&leaf, self.index, self.size, &hashes, &self.root.into())
            .map_err(|error| InclusionError::Proof(error.to_string()))
    }
}

/// The text of a tree head as logs write it.
fn spelled(head: &Checkpoint) -> Vec<u8> {
    let line = |signature: &CheckpointSignature| {
        let bytes = [&signature.key_id.as_bytes()[..], signature.signature.as_bytes()].concat();
        format!("\u{2014} {} {}\n", signature.name, STANDARD.encode(bytes))
    };
    let lines: String = head.signatures().iter().map(line).collect();
    [head.signed_data(), b"\n", lines.as_bytes()].concat()
}

/// Why a proof that a log has an entry does not count.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InclusionError {
    /// The tree head is none.
    #[error("the checkpoint: {0}")]
    Checkpoint(String),
    /// The tree head is of another tree.
    #[error("the checkpoint is of another tree than the proof")]
    OtherTree,
    /// The way does not lead from the entry to the root.
    #[error("does not lead to the tree's root: {0}")]
    Proof(String),
    /// The log did not sign the tree head.
    #[error("the checkpoint is not signed by the policy's log")]
    Signature,
}
