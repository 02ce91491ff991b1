//! The content store: bytes are streamed into an ingest while they are hashed, and committed only
//! with the proof that they are what their descriptor says.

mod write;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::mem;
use std::time::Duration;

use bytes::Bytes;
use containerd_client::services::v1::content_client::ContentClient;
use containerd_client::services::v1::{Info, InfoRequest, StatusRequest, UpdateRequest};
use futures_util::{Stream, StreamExt as _};
use prost_types::FieldMask;
use pullgate_policy::digest::{BlobMismatch, Digest, VerifiedBlob, Verifier};
use pullgate_policy::manifest::Descriptor;
use tokio::time::{Instant, sleep};
use tonic::{Code, Status};

use self::write::{CHUNK_BYTES, Expected, STALL, Write};
use super::error::of;
use super::lease::Lease;
use super::{Containerd, HandoffError, MESSAGE_BYTES, request};
use crate::hash::{Hashing, HashingError};

/// The longest label that containerd stores, key and value together.
const LABEL_BYTES: usize = 4096;

const INFO: &str = "content.Info";

const DISTRIBUTION_SOURCE: &str = "containerd.io/distribution.source.";

/// Labels of a blob, by key.
pub type Labels = BTreeMap<String, String>;

/// What a blob is; names its ingest as containerd's own pull does, so that the two wait for each
/// other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// An image configuration.
    Config,
    /// An index.
    Index,
    /// A layer.
    Layer,
    /// An image manifest.
    Manifest,
}

impl Kind {
    const fn prefix(self) -> &'static str {
        match self {
            Self::Config => "config",
            Self::Index => "index",
            Self::Layer => "layer",
            Self::Manifest => "manifest",
        }
    }
}

/// Proof that containerd holds content under this digest: committed by us with a [`VerifiedBlob`], or
/// by containerd itself before, which hashes everything it commits.
#[must_use]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Committed {
    descriptor: Descriptor,
}

impl Committed {
    /// What is held.
    #[must_use]
    pub const fn descriptor(&self) -> &Descriptor {
        &self.descriptor
    }

    /// Its digest.
    #[must_use]
    pub const fn digest(&self) -> &Digest {
        &self.descriptor.digest
    }
}

/// The label that tells containerd where a blob can be fetched again.
#[must_use]
pub fn distribution_source(host: &str, repository: &str) -> (String, String) {
    (format!("{DISTRIBUTION_SOURCE}{host}"), repository.to_owned())
}

/// Puts a blob into the content store, hashed on the way. `open` is asked for the bytes only if
/// containerd does not hold them yet.
///
/// # Errors
/// [`IngestError`]; nothing has been committed then.
pub async fn ingest<S, E>(
    lease: &Lease,
    kind: Kind,
    descriptor: &Descriptor,
    labels: &Labels,
    open: impl Future<Output = Result<S, E>>,
) -> Result<Committed, IngestError<E>>
where
    S: Stream<Item = Result<Bytes, E>>,
    E: std::error::Error + 'static,
{
    let committed = || Committed { descriptor: descriptor.clone() };
    match Ingest::begin(lease, kind, descriptor).await? {
        Begun::Present => {
            add_labels(lease, &descriptor.digest, labels).await?;
            Ok(committed())
        }
        Begun::Shared(ingest) => {
            ingest.adopt(labels).await?;
            Ok(committed())
        }
        Begun::Empty(mut ingest) => {
            let filled = match open.await {
                Ok(source) => ingest.fill(source, &lease.containerd().hashing).await,
                Err(source) => Err(IngestError::Source(source)),
            };
            let outcome = match filled {
                Ok(proof) => ingest.commit(proof, labels).await.map_err(IngestError::Handoff),
                Err(error) => Err(error),
            };
            if outcome.is_err() {
                ingest.write.abort().await;
            }
            outcome.map(|()| committed())
        }
    }
}

/// Sets labels of content that is already there. A distribution source is merged with those known.
///
/// # Errors
/// [`HandoffError`] if containerd refuses.
pub async fn add_labels(
    lease: &Lease,
    digest: &Digest,
    labels: &Labels,
) -> Result<(), HandoffError> {
    let mut client = client(lease);
    let message = InfoRequest { digest: digest.to_string() };
    let answer = client.info(lease.request(message)).await.map_err(of(INFO))?;
    let known = answer.into_inner().info.unwrap_or_default().labels;
    let labels: HashMap<String, String> = labels
        .iter()
        .map(|(key, value)| (key.clone(), merged(key, known.get(key), value)))
        .filter(|(key, value)| {
            key.len() + value.len() <= LABEL_BYTES && known.get(key) != Some(value)
        })
        .collect();
    if labels.is_empty() {
        return Ok(());
    }
    let paths = labels.keys().map(|key| format!("labels.{key}")).collect();
    let info = Info { digest: digest.to_string(), labels, ..Info::default() };
    let message = UpdateRequest { info: Some(info), update_mask: Some(FieldMask { paths }) };
    client.update(lease.request(message)).await.map_err(of("content.Update"))?;
    Ok(())
}

impl Containerd {
    /// The labels of content; none if containerd does not hold it.
    ///
    /// # Errors
    /// [`HandoffError`] if containerd does not tell.
    pub async fn labels(
        &self,
        digest: &Digest,
    ) -> Result<Option<HashMap<String, String>>, HandoffError> {
        let info = request(InfoRequest { digest: digest.to_string() });
        match ContentClient::new(self.channel.clone()).info(info).await {
            Ok(answer) => Ok(answer.into_inner().info.map(|info| info.labels)),
            Err(status) if status.code() == Code::NotFound => Ok(None),
            Err(status) => Err(HandoffError::from_status(INFO, status)),
        }
    }

    /// Whether containerd holds content.
    ///
    /// # Errors
    /// [`HandoffError`] if containerd does not tell.
    pub async fn holds(&self, digest: &Digest) -> Result<bool, HandoffError> {
        Ok(self.labels(digest).await?.is_some())
    }
}

/// A distribution source lists every repository, sorted; any other label is replaced.
fn merged(key: &str, known: Option<&String>, value: &str) -> String {
    match known {
        Some(known) if key.starts_with(DISTRIBUTION_SOURCE) => {
            let repositories: BTreeSet<&str> = known.split(',').chain([value]).collect();
            repositories.into_iter().filter(|name| !name.is_empty()).collect::<Vec<_>>().join(",")
        }
        _ => value.to_owned(),
    }
}

/// Why a blob did not get into the content store.
#[derive(Debug, thiserror::Error)]
pub enum IngestError<E: std::error::Error + 'static> {
    /// containerd did not take it.
    #[error(transparent)]
    Handoff(#[from] HandoffError),
    /// Nobody verified the bytes.
    #[error(transparent)]
    Hashing(HashingError),
    /// The bytes are not what the descriptor says.
    #[error("{digest}")]
    Mismatch {
        /// The blob.
        digest: Digest,
        /// How it differs.
        source: BlobMismatch,
    },
    /// The source of the bytes failed.
    #[error(transparent)]
    Source(E),
}

enum Begun {
    /// containerd waits for the bytes.
    Empty(Ingest),
    /// The content is there.
    Present,
    /// The bytes are there, in another namespace: a commit suffices.
    Shared(Ingest),
}

/// An ingest of what a descriptor names.
struct Ingest {
    write: Write,
    digest: Digest,
    size: u64,
}

impl Ingest {
    async fn begin(
        lease: &Lease,
        kind: Kind,
        descriptor: &Descriptor,
    ) -> Result<Begun, HandoffError> {
        let reference = format!("{}-{}", kind.prefix(), descriptor.digest);
        let mut wait = Wait::new();
        loop {
            match Self::open(lease, &reference, descriptor).await {
                Ok(begun) => return Ok(begun),
                Err(status) if status.code() == Code::AlreadyExists => return Ok(Begun::Present),
                // Another pull writes the same content: wait for it.
                Err(status) if status.code() == Code::Unavailable && is_locked(&status) => {
                    if wait.has_stalled(lease, &reference).await {
                        return Err(HandoffError::Locked { digest: descriptor.digest.clone() });
                    }
                }
                Err(status) => return Err(HandoffError::from_status(write::CALL, status)),
            }
        }
    }

    async fn open(
        lease: &Lease,
        reference: &str,
        descriptor: &Descriptor,
    ) -> Result<Begun, Status> {
        let total = i64::try_from(descriptor.size)
            .map_err(|error| Status::invalid_argument(error.to_string()))?;
        let expected = Expected { digest: descriptor.digest.to_string(), total };
        let write = Write::open(lease, reference.to_owned(), expected).await?;
        let shared = total > 0 && write.found == total;
        let ingest = Self { write, digest: descriptor.digest.clone(), size: descriptor.size };
        Ok(if shared { Begun::Shared(ingest) } else { Begun::Empty(ingest) })
    }

    /// Hashes and writes the whole source.
    async fn fill<S, E>(
        &mut self,
        source: S,
        hashing: &Hashing,
    ) -> Result<VerifiedBlob, IngestError<E>>
    where
        S: Stream<Item = Result<Bytes, E>>,
        E: std::error::Error + 'static,
    {
        let digest = self.digest.clone();
        let mismatch = |source| IngestError::Mismatch { digest: digest.clone(), source };
        let failed = |error| match error {
            HashingError::Mismatch(source) => mismatch(source),
            HashingError::Stopped => IngestError::Hashing(error),
        };
        let verifier = Verifier::new(&self.digest, self.size).map_err(mismatch)?;
        let mut hasher = hashing.begin(verifier);
        let mut source = std::pin::pin!(source);
        let mut chunk = Vec::with_capacity(CHUNK_BYTES);
        while let Some(bytes) = source.next().await {
            let bytes = bytes.map_err(IngestError::Source)?;
            hasher = hasher.update(&bytes).await.map_err(failed)?;
            // A vector that had to grow would be copied.
            if chunk.len() + bytes.len() > CHUNK_BYTES {
                let full = mem::replace(&mut chunk, Vec::with_capacity(CHUNK_BYTES));
                self.write.append(full).await?;
            }
            chunk.extend_from_slice(&bytes);
        }
        let proof = hasher.finish().await.map_err(failed)?;
        self.write.append(chunk).await?;
        Ok(proof)
    }

    /// Commits what was written: only bytes that have been verified.
    async fn commit(&mut self, proof: VerifiedBlob, labels: &Labels) -> Result<(), HandoffError> {
        if *proof.digest() != self.digest {
            let what = "a proof of other bytes";
            return Err(HandoffError::Unexpected { call: write::CALL, what });
        }
        self.write.commit(labels).await
    }

    /// Commits bytes that containerd already holds in another namespace.
    async fn adopt(mut self, labels: &Labels) -> Result<(), HandoffError> {
        self.write.commit(labels).await
    }
}

/// containerd says "ref … locked" under the code it also uses for being away.
fn is_locked(status: &Status) -> bool {
    status.message().contains("locked")
}

/// Waits for another writer, as long as it makes progress.
struct Wait {
    pause: Duration,
    offset: i64,
    progress: Instant,
}

impl Wait {
    fn new() -> Self {
        Self { pause: Duration::from_millis(10), offset: -1, progress: Instant::now() }
    }

    async fn has_stalled(&mut self, lease: &Lease, reference: &str) -> bool {
        sleep(self.pause).await;
        self.pause = (self.pause * 2).min(Duration::from_secs(1));
        let message = StatusRequest { r#ref: reference.to_owned() };
        if let Ok(answer) = client(lease).status(lease.request(message)).await {
            let offset = answer.into_inner().status.map_or(-1, |status| status.offset);
            if offset != self.offset {
                self.offset = offset;
                self.progress = Instant::now();
            }
        }
        self.progress.elapsed() > STALL
    }
}

fn client(lease: &Lease) -> ContentClient<tonic::transport::Channel> {
    ContentClient::new(lease.containerd().channel.clone())
        .max_decoding_message_size(MESSAGE_BYTES)
        .max_encoding_message_size(MESSAGE_BYTES)
}
