//! The content store: bytes are hashed while they are written, to a file without a name or into an
//! ingest, and committed only with the proof that they are what their descriptor says.

mod decompress;
mod place;
mod write;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::future::ready;
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

pub use self::decompress::Decompressed;
pub(super) use self::decompress::Decompressing;
use self::place::Nameless;
pub(super) use self::place::Placing;
use self::write::{Expected, STALL, Write};
use super::error::of;
use super::lease::Lease;
use super::{Containerd, HandoffError, MESSAGE_BYTES, request};
use crate::hash::HashingError;

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
    Blob { lease, kind, descriptor, labels }.put(open).await?;
    Ok(Committed { descriptor: descriptor.clone() })
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

impl IngestError<HandoffError> {
    /// The error of a blob that came from its own file.
    fn of_file<E: std::error::Error + 'static>(self) -> IngestError<E> {
        match self {
            Self::Handoff(error) | Self::Source(error) => IngestError::Handoff(error),
            Self::Hashing(error) => IngestError::Hashing(error),
            Self::Mismatch { digest, source } => IngestError::Mismatch { digest, source },
        }
    }
}

enum Begun {
    /// containerd waits for the bytes.
    Empty(Write),
    /// The content is there.
    Present,
    /// The bytes are there, unknown to this namespace: a commit suffices.
    Shared(Write),
}

/// What takes bytes that are not verified yet, and keeps them to itself.
trait Sink {
    async fn append(&mut self, bytes: Bytes) -> Result<(), HandoffError>;
}

/// A blob that is to be in the content store.
#[derive(Clone, Copy)]
struct Blob<'a> {
    lease: &'a Lease,
    kind: Kind,
    descriptor: &'a Descriptor,
    labels: &'a Labels,
}

impl Blob<'_> {
    async fn put<S, E>(self, open: impl Future<Output = Result<S, E>>) -> Result<(), IngestError<E>>
    where
        S: Stream<Item = Result<Bytes, E>>,
        E: std::error::Error + 'static,
    {
        let Some(mut file) = self.file().await else {
            return self.finish(self.begin().await?, open).await;
        };
        let proof = self.verify(open, &mut file).await?;
        let placed = file.place(&proof).await?;
        let begun = self.begin().await?;
        if matches!(begun, Begun::Empty(_)) {
            self.lease.containerd().placing.not_adopted(&placed);
        }
        let read = ready(Ok(placed.read_back()));
        self.finish(begun, read).await.map_err(IngestError::of_file)
    }

    /// A file for a layer that containerd does not have and nobody else sends it.
    async fn file(self) -> Option<Nameless> {
        if self.kind != Kind::Layer {
            return None;
        }
        let containerd = self.lease.containerd();
        let file = containerd.placing.begin(containerd, &self.descriptor.digest).await?;
        offset(self.lease, &self.reference()).await.is_none().then_some(file)
    }

    /// Commits what is there; otherwise sends what `open` gives, and containerd hashes it once more.
    async fn finish<S, E>(
        self,
        begun: Begun,
        open: impl Future<Output = Result<S, E>>,
    ) -> Result<(), IngestError<E>>
    where
        S: Stream<Item = Result<Bytes, E>>,
        E: std::error::Error + 'static,
    {
        let mut write = match begun {
            Begun::Empty(write) => write,
            Begun::Present => {
                return Ok(add_labels(self.lease, &self.descriptor.digest, self.labels).await?);
            }
            Begun::Shared(mut write) => return Ok(write.commit(self.labels).await?),
        };
        let sent = async {
            let proof = self.verify(open, &mut write).await?;
            Ok(self.commit(&mut write, &proof).await?)
        };
        let sent = sent.await;
        if sent.is_err() {
            write.abort().await;
        }
        sent
    }

    /// Hashes the whole source while `sink` takes it.
    async fn verify<S, E>(
        self,
        open: impl Future<Output = Result<S, E>>,
        sink: &mut impl Sink,
    ) -> Result<VerifiedBlob, IngestError<E>>
    where
        S: Stream<Item = Result<Bytes, E>>,
        E: std::error::Error + 'static,
    {
        let Descriptor { digest, size, .. } = self.descriptor;
        let mismatch = |source| IngestError::Mismatch { digest: digest.clone(), source };
        let failed = |error| match error {
            HashingError::Mismatch(source) => mismatch(source),
            HashingError::Stopped => IngestError::Hashing(error),
        };
        let mut source = std::pin::pin!(open.await.map_err(IngestError::Source)?);
        let verifier = Verifier::new(digest, *size).map_err(mismatch)?;
        let mut hasher = self.lease.containerd().hashing.begin(verifier);
        while let Some(bytes) = source.next().await {
            let bytes = bytes.map_err(IngestError::Source)?;
            hasher = hasher.update(&bytes).await.map_err(failed)?;
            sink.append(bytes).await?;
        }
        hasher.finish().await.map_err(failed)
    }

    /// Commits what was written: only bytes that have been verified.
    async fn commit(self, write: &mut Write, proof: &VerifiedBlob) -> Result<(), HandoffError> {
        if *proof.digest() != self.descriptor.digest {
            let what = "a proof of other bytes";
            return Err(HandoffError::Unexpected { call: write::CALL, what });
        }
        write.commit(self.labels).await
    }

    /// What containerd's own pull calls the ingest.
    fn reference(self) -> String {
        format!("{}-{}", self.kind.prefix(), self.descriptor.digest)
    }

    async fn begin(self) -> Result<Begun, HandoffError> {
        let digest = &self.descriptor.digest;
        let reference = self.reference();
        let mut wait = Wait::new();
        loop {
            match self.open(&reference).await {
                Ok(begun) => return Ok(begun),
                Err(status) if status.code() == Code::AlreadyExists => return Ok(Begun::Present),
                // Another pull writes the same content: wait for it.
                Err(status) if status.code() == Code::Unavailable && is_locked(&status) => {
                    if wait.has_stalled(self.lease, &reference).await {
                        return Err(HandoffError::Locked { digest: digest.clone() });
                    }
                }
                Err(status) => return Err(HandoffError::from_status(write::CALL, status)),
            }
        }
    }

    async fn open(self, reference: &str) -> Result<Begun, Status> {
        let total = i64::try_from(self.descriptor.size)
            .map_err(|error| Status::invalid_argument(error.to_string()))?;
        let expected = Expected { digest: self.descriptor.digest.to_string(), total };
        let write = Write::open(self.lease, reference.to_owned(), expected).await?;
        let shared = total > 0 && write.found == total;
        Ok(if shared { Begun::Shared(write) } else { Begun::Empty(write) })
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
        if let Some(offset) = offset(lease, reference).await
            && offset != self.offset
        {
            self.offset = offset;
            self.progress = Instant::now();
        }
        self.progress.elapsed() > STALL
    }
}

/// How far an ingest has come; none if there is none.
async fn offset(lease: &Lease, reference: &str) -> Option<i64> {
    let message = StatusRequest { r#ref: reference.to_owned() };
    let answer = client(lease).status(lease.request(message)).await.ok()?;
    Some(answer.into_inner().status?.offset)
}

fn client(lease: &Lease) -> ContentClient<tonic::transport::Channel> {
    ContentClient::new(lease.containerd().channel.clone())
        .max_decoding_message_size(MESSAGE_BYTES)
        .max_encoding_message_size(MESSAGE_BYTES)
}
