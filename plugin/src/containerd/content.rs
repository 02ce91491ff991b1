//! The content store: bytes are streamed into an ingest while they are hashed, and committed only
//! with the proof that they are what their descriptor says.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::mem;
use std::time::Duration;

use bytes::Bytes;
use containerd_client::services::v1::content_client::ContentClient;
use containerd_client::services::v1::{
    AbortRequest, Info, InfoRequest, StatusRequest, UpdateRequest, WriteAction,
    WriteContentRequest, WriteContentResponse,
};
use futures_util::{Stream, StreamExt as _, stream};
use prost_types::FieldMask;
use pullgate_policy::digest::{BlobMismatch, Digest, VerifiedBlob, Verifier};
use pullgate_policy::manifest::Descriptor;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};
use tonic::{Code, Status, Streaming};

use super::error::of;
use super::lease::Lease;
use super::{HandoffError, MESSAGE_BYTES};

/// Bytes of a write message. 1 MiB measured best on 1.6 and 2.1 (containerd-handoff.md 1.4.3).
const CHUNK_BYTES: usize = 1 << 20;

/// Write messages whose answer has not been read yet.
const IN_FLIGHT: usize = 2;

/// How long containerd may take for one write or commit, and how long another writer of the same
/// content may make no progress.
const STALL: Duration = Duration::from_secs(5 * 60);

/// The longest label that containerd stores, key and value together.
const LABEL_BYTES: usize = 4096;

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
                Ok(source) => ingest.fill(source).await,
                Err(source) => Err(IngestError::Source(source)),
            };
            let outcome = match filled {
                Ok(proof) => ingest.commit(proof, labels).await.map_err(IngestError::Handoff),
                Err(error) => Err(error),
            };
            if outcome.is_err() {
                ingest.abort().await;
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
    let answer = client.info(lease.request(message)).await.map_err(of("content.Info"))?;
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

/// One open write stream.
struct Ingest {
    client: ContentClient<tonic::transport::Channel>,
    requests: mpsc::Sender<WriteContentRequest>,
    answers: Streaming<WriteContentResponse>,
    reference: String,
    digest: Digest,
    total: i64,
    offset: i64,
    in_flight: usize,
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
                Err(status) => return Err(HandoffError::from_status(WRITE, status)),
            }
        }
    }

    async fn open(
        lease: &Lease,
        reference: &str,
        descriptor: &Descriptor,
    ) -> Result<Begun, Status> {
        let (requests, mut receiver) = mpsc::channel(1);
        let total = i64::try_from(descriptor.size)
            .map_err(|error| Status::invalid_argument(error.to_string()))?;
        let stat = WriteContentRequest {
            action: WriteAction::Stat.into(),
            r#ref: reference.to_owned(),
            total,
            expected: descriptor.digest.to_string(),
            ..WriteContentRequest::default()
        };
        let messages =
            stream::iter([stat]).chain(stream::poll_fn(move |cx| receiver.poll_recv(cx)));
        let mut client = client(lease);
        let first = async {
            let mut answers = client.write(lease.stream(messages)).await?.into_inner();
            let answer = answers.message().await?;
            Ok::<_, Status>((answers, answer))
        };
        let (answers, answer) = timeout(STALL, first)
            .await
            .map_err(|error| Status::deadline_exceeded(error.to_string()))??;
        let offset = answer.map_or(0, |answer| answer.offset);
        let ingest = Self {
            client,
            requests,
            answers,
            reference: reference.to_owned(),
            digest: descriptor.digest.clone(),
            total,
            offset: 0,
            in_flight: 0,
        };
        let shared = total > 0 && offset == total;
        Ok(if shared { Begun::Shared(ingest) } else { Begun::Empty(ingest) })
    }

    /// Hashes and writes the whole source. Writing starts at offset 0, which drops what an earlier
    /// attempt left in the ingest.
    async fn fill<S, E>(&mut self, source: S) -> Result<VerifiedBlob, IngestError<E>>
    where
        S: Stream<Item = Result<Bytes, E>>,
        E: std::error::Error + 'static,
    {
        let digest = self.digest.clone();
        let mismatch = |source| IngestError::Mismatch { digest: digest.clone(), source };
        let mut verifier =
            Verifier::new(&self.digest, self.total.unsigned_abs()).map_err(mismatch)?;
        let mut source = std::pin::pin!(source);
        let mut chunk = Vec::with_capacity(CHUNK_BYTES);
        while let Some(bytes) = source.next().await {
            let bytes = bytes.map_err(IngestError::Source)?;
            verifier.update(&bytes).map_err(mismatch)?;
            chunk.extend_from_slice(&bytes);
            if chunk.len() >= CHUNK_BYTES {
                self.write(mem::replace(&mut chunk, Vec::with_capacity(CHUNK_BYTES))).await?;
            }
        }
        let proof = verifier.finish().map_err(mismatch)?;
        self.write(chunk).await?;
        Ok(proof)
    }

    async fn write(&mut self, data: Vec<u8>) -> Result<(), HandoffError> {
        let length = i64::try_from(data.len()).unwrap_or(i64::MAX);
        let message = WriteContentRequest {
            action: WriteAction::Write.into(),
            r#ref: self.reference.clone(),
            total: self.total,
            expected: self.digest.to_string(),
            offset: self.offset,
            data,
            ..WriteContentRequest::default()
        };
        self.offset += length;
        self.send(message).await?;
        while self.in_flight > IN_FLIGHT {
            self.answer().await?;
        }
        Ok(())
    }

    /// Commits what was written: only bytes that have been verified.
    async fn commit(&mut self, proof: VerifiedBlob, labels: &Labels) -> Result<(), HandoffError> {
        if *proof.digest() != self.digest {
            return Err(HandoffError::Unexpected { call: WRITE, what: "a proof of other bytes" });
        }
        self.finish(labels).await
    }

    /// Commits bytes that containerd already holds in another namespace.
    async fn adopt(mut self, labels: &Labels) -> Result<(), HandoffError> {
        self.finish(labels).await
    }

    async fn finish(&mut self, labels: &Labels) -> Result<(), HandoffError> {
        let message = WriteContentRequest {
            action: WriteAction::Commit.into(),
            r#ref: self.reference.clone(),
            total: self.total,
            expected: self.digest.to_string(),
            // An offset of 0 would truncate the ingest.
            offset: self.total,
            labels: labels.clone().into_iter().collect(),
            ..WriteContentRequest::default()
        };
        self.send(message).await?;
        while self.in_flight > 0 {
            self.answer().await?;
        }
        Ok(())
    }

    async fn send(&mut self, message: WriteContentRequest) -> Result<(), HandoffError> {
        match timeout(STALL, self.requests.send(message)).await {
            Ok(Ok(())) => {
                self.in_flight += 1;
                Ok(())
            }
            // The stream has ended: its status says why.
            Ok(Err(_)) => loop {
                self.answer().await?;
            },
            Err(_) => Err(HandoffError::Timeout { call: WRITE }),
        }
    }

    async fn answer(&mut self) -> Result<(), HandoffError> {
        match timeout(STALL, self.answers.message()).await {
            Ok(Ok(Some(_))) => {
                self.in_flight = self.in_flight.saturating_sub(1);
                Ok(())
            }
            Ok(Ok(None)) => Err(HandoffError::Unexpected { call: WRITE, what: "an early end" }),
            // Someone else committed the same content meanwhile.
            Ok(Err(status)) if status.code() == Code::AlreadyExists => {
                self.in_flight = 0;
                Ok(())
            }
            Ok(Err(status)) => Err(HandoffError::from_status(WRITE, status)),
            Err(_) => Err(HandoffError::Timeout { call: WRITE }),
        }
    }

    /// Removes what was written. Best effort: the collector removes it with the lease otherwise.
    async fn abort(self) {
        let Self { mut client, requests, answers, reference, .. } = self;
        drop((requests, answers));
        if let Err(status) = client.abort(super::request(AbortRequest { r#ref: reference })).await {
            tracing::debug!(%status, "an ingest is left to the garbage collector");
        }
    }
}

const WRITE: &str = "content.Write";

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
