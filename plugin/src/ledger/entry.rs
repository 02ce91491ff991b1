//! What the ledger holds: one entry for each outcome, and the evidence that it rests on.

use std::time::SystemTime;

use bytes::Bytes;
use pullgate_policy::digest::Digest;
use pullgate_policy::signature::UntrustedSignature;
use serde::{Deserialize, Serialize};

use crate::audit::Outcome;

/// One outcome.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// When.
    pub at: SystemTime,
    /// What was asked.
    pub door: Door,
    /// `PULL_ID` of its record in the journal.
    pub pull_id: String,
    /// The normalised reference; what was asked for where that is none.
    pub name: String,
    /// The image, once it was resolved.
    pub image: Option<Digests>,
    /// The policy, once it was read.
    pub policy: Option<Digest>,
    /// Where in the policy the requirements stand.
    pub scope: Option<String>,
    /// How it ended.
    pub outcome: Outcome,
    /// The stable reason code.
    pub reason: String,
    /// The reason in words; empty for an acceptance.
    pub message: String,
    /// Whose signatures an acceptance rests on.
    pub signers: Vec<Signer>,
    /// The pod's namespace.
    pub namespace: String,
    /// The pod's name.
    pub pod: String,
}

/// The digests that name one image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Digests {
    /// Its manifest.
    pub manifest: Digest,
    /// Its configuration: the image ID.
    pub config: Digest,
    /// The index that the manifest was chosen from, if the name stood for one.
    pub index: Option<Digest>,
}

impl Digests {
    /// What the name resolved to: the index, or the manifest itself.
    #[must_use]
    pub fn top(&self) -> &Digest {
        self.index.as_ref().unwrap_or(&self.manifest)
    }
}

/// Who signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signer {
    /// What the key or the certificate calls its owner, if anything.
    pub name: Option<String>,
    /// The fingerprint of the key.
    pub fingerprint: String,
}

/// What a decision was made from: enough to make it again without network.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Evidence {
    /// The manifest, and the index if there is one.
    pub documents: Vec<(Digest, Bytes)>,
    /// Each search for signatures of one of them.
    pub searches: Vec<Search>,
}

/// A search for the signatures of a document, and what it found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Search {
    /// The repository in whose name was searched, `host[:port]/path`.
    pub repository: String,
    /// The manifest or index.
    pub document: Digest,
    /// Where was searched.
    pub searched: Vec<String>,
    /// What was found, in that order.
    pub signatures: Vec<UntrustedSignature>,
}

/// The last verdict about an image under a name and a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The policy accepted it.
    Accepted(Digests),
    /// It did not.
    Rejected,
}

/// Which entries to show: all conditions must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// A part of the name, or one of the digests.
    pub image: Option<String>,
    /// The pod's namespace.
    pub namespace: Option<String>,
    /// How it ended.
    pub outcome: Option<Outcome>,
    /// Not earlier than this.
    pub since: Option<SystemTime>,
    /// At most so many, the last ones.
    pub limit: u32,
}

/// Which question was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    /// May this container be created?
    Create,
    /// May this image be pulled?
    Pull,
    /// May this pod have its sandbox?
    Sandbox,
}

impl Door {
    /// Every door.
    pub const ALL: [Self; 3] = [Self::Create, Self::Pull, Self::Sandbox];

    /// Its name, in rows and answers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Pull => "pull",
            Self::Sandbox => "sandbox",
        }
    }

    /// The door of that name.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|door| door.as_str() == name)
    }
}
