//! Stored signatures: the container they come in, and how each format is checked.

pub mod openpgp;
pub mod simple;

use std::collections::BTreeMap;

/// A stored signature as fetched. Nothing in it has been checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UntrustedSignature {
    /// `sigstore-json`.
    Sigstore {
        /// The media type of the payload.
        mime_type: String,
        /// What was signed.
        payload: Vec<u8>,
        /// The signature and what belongs to it.
        annotations: BTreeMap<String, String>,
    },
    /// An OpenPGP message (simple signing).
    Simple(Vec<u8>),
}

impl UntrustedSignature {
    /// Recognises the container of a stored signature (containers-signature(5)).
    ///
    /// # Errors
    /// [`ContainerError`] if the bytes are in no known format.
    pub fn parse(_blob: &[u8]) -> Result<Self, ContainerError> {
        todo!()
    }
}

/// Why bytes are not a stored signature.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ContainerError {}
