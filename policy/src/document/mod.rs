//! policy.json: the complete grammar of containers-policy.json(5).

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::identity::SignedIdentity;
use crate::reference::PullReference;

/// A parsed policy.json.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    default: Requirements,
    transports: BTreeMap<String, BTreeMap<String, Requirements>>,
}

impl Policy {
    /// Parses the text of a policy.json.
    ///
    /// # Errors
    /// [`PolicyError`] names the key path and the expected form.
    pub fn parse(_text: &[u8]) -> Result<Self, PolicyError> {
        todo!()
    }

    /// The requirements that decide about `reference`, and where they stand.
    #[must_use]
    pub fn applicable(&self, _reference: &PullReference) -> Applicable<'_> {
        todo!()
    }
}

/// The requirements chosen for one reference.
#[derive(Debug, Clone, Copy)]
pub struct Applicable<'a> {
    /// Where in policy.json they stand.
    pub scope: &'a str,
    /// What must hold, all of it.
    pub requirements: &'a Requirements,
}

/// A non-empty list of requirements; an image is accepted only if every one of them accepts it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requirements(Vec<Requirement>);

impl Requirements {
    /// The requirements in the order of the file.
    pub fn iter(&self) -> impl Iterator<Item = &Requirement> {
        self.0.iter()
    }

    /// Whether the verdict depends on signatures: false where a requirement that never accepts
    /// stands before the first that looks at signatures.
    #[must_use]
    pub fn needs_signatures(&self) -> bool {
        todo!()
    }

    /// Every key and certificate file that the requirements name.
    #[must_use]
    pub fn files(&self) -> BTreeSet<&Path> {
        todo!()
    }
}

/// One requirement of policy.json.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Requirement {
    /// `insecureAcceptAnything`.
    InsecureAcceptAnything,
    /// `reject`.
    Reject,
    /// `signedBaseLayer`, which containers/image parses and never satisfies.
    SignedBaseLayer(SignedIdentity),
    /// `signedBy`: OpenPGP simple signing.
    SignedBy(SignedBy),
    /// `sigstoreSigned`.
    SigstoreSigned(Box<SigstoreSigned>),
}

/// `signedBy`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedBy {
    /// `keyType`.
    pub key_type: KeyType,
    /// `keyPath`, `keyPaths` or `keyData`.
    pub keys: Source,
    /// `signedIdentity`.
    pub identity: SignedIdentity,
}

/// `keyType`. Only `GPGKeys` verifies anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyType {
    /// `GPGKeys`.
    GpgKeys,
    /// `signedByGPGKeys`.
    SignedByGpgKeys,
    /// `signedByX509CAs`.
    SignedByX509Cas,
    /// `X509Certificates`.
    X509Certificates,
}

/// Where trust material comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// Inline in policy.json, decoded from base64.
    Data(Vec<Vec<u8>>),
    /// Absolute paths.
    Paths(Vec<PathBuf>),
}

/// `sigstoreSigned`; parsed completely, evaluated from issue 3 on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SigstoreSigned {
    // fields by the author of document/
    /// `signedIdentity`.
    pub identity: SignedIdentity,
}

/// What is wrong with a policy.json, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {}
