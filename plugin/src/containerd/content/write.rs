//! One write stream of containerd's content store: an ingest that is filled, and committed or aborted.

use std::mem;
use std::time::Duration;

use bytes::Bytes;
use containerd_client::services::v1::content_client::ContentClient;
use containerd_client::services::v1::{
    AbortRequest, WriteAction, WriteContentRequest, WriteContentResponse,
};
use futures_util::{StreamExt as _, stream};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tonic::{Code, Status, Streaming};

use super::{Labels, Sink, client};
use crate::containerd::HandoffError;
use crate::containerd::lease::Lease;

/// Bytes of a write message. Larger ones are not faster (1 MiB: 1.00), and take more memory.
const CHUNK_BYTES: usize = 256 << 10;

/// Write messages whose answer has not been read yet.
const IN_FLIGHT: usize = 4;

/// How long containerd may take for one write or commit.
pub(super) const STALL: Duration = Duration::from_secs(5 * 60);

pub(super) const CALL: &str = "content.Write";

/// What is to be written.
#[derive(Debug, Clone)]
pub(super) struct Expected {
    pub digest: String,
    pub total: i64,
}

/// An open ingest.
pub(super) struct Write {
    client: ContentClient<tonic::transport::Channel>,
    requests: mpsc::Sender<WriteContentRequest>,
    answers: Streaming<WriteContentResponse>,
    reference: String,
    expected: Expected,
    /// How many bytes were there when the ingest was opened.
    pub found: i64,
    offset: i64,
    /// What the next message will carry.
    chunk: Vec<u8>,
    in_flight: usize,
}

impl Write {
    pub(super) async fn open(
        lease: &Lease,
        reference: String,
        expected: Expected,
    ) -> Result<Self, Status> {
        let (requests, mut receiver) = mpsc::channel(1);
        let stat = WriteContentRequest {
            action: WriteAction::Stat.into(),
            r#ref: reference.clone(),
            total: expected.total,
            expected: expected.digest.clone(),
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
        let found = answer.map_or(0, |answer| answer.offset);
        let (offset, chunk, in_flight) = (0, Vec::new(), 0);
        Ok(Self { client, requests, answers, reference, expected, found, offset, chunk, in_flight })
    }

    /// Sends what has been gathered. The first bytes go to offset 0, which drops what an earlier attempt
    /// left.
    async fn flush(&mut self) -> Result<(), HandoffError> {
        let data = mem::take(&mut self.chunk);
        if data.is_empty() {
            return Ok(());
        }
        let length = i64::try_from(data.len()).unwrap_or(i64::MAX);
        let message = WriteContentRequest { data, ..self.message(WriteAction::Write, self.offset) };
        self.offset += length;
        self.send(message).await?;
        while self.in_flight > IN_FLIGHT {
            self.answer().await?;
        }
        Ok(())
    }

    /// Commits what was written, or what was found.
    pub(super) async fn commit(&mut self, labels: &Labels) -> Result<(), HandoffError> {
        self.flush().await?;
        let labels = labels.clone().into_iter().collect();
        // An offset of 0 would truncate the ingest.
        let end = self.expected.total;
        let message = WriteContentRequest { labels, ..self.message(WriteAction::Commit, end) };
        self.send(message).await?;
        while self.in_flight > 0 {
            self.answer().await?;
        }
        Ok(())
    }

    fn message(&self, action: WriteAction, offset: i64) -> WriteContentRequest {
        WriteContentRequest {
            action: action.into(),
            r#ref: self.reference.clone(),
            total: self.expected.total,
            expected: self.expected.digest.clone(),
            offset,
            ..WriteContentRequest::default()
        }
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
            Err(_) => Err(HandoffError::Timeout { call: CALL }),
        }
    }

    async fn answer(&mut self) -> Result<(), HandoffError> {
        match timeout(STALL, self.answers.message()).await {
            Ok(Ok(Some(_))) => {
                self.in_flight = self.in_flight.saturating_sub(1);
                Ok(())
            }
            Ok(Ok(None)) => Err(HandoffError::Unexpected { call: CALL, what: "an early end" }),
            // Someone else committed the same content meanwhile.
            Ok(Err(status)) if status.code() == Code::AlreadyExists => {
                self.in_flight = 0;
                Ok(())
            }
            Ok(Err(status)) => Err(HandoffError::from_status(CALL, status)),
            Err(_) => Err(HandoffError::Timeout { call: CALL }),
        }
    }

    /// Removes what was written. Best effort: the collector removes it with the lease otherwise.
    pub(super) async fn abort(self) {
        let Self { mut client, requests, answers, reference, .. } = self;
        drop((requests, answers));
        let message = crate::containerd::request(AbortRequest { r#ref: reference });
        if let Err(status) = client.abort(message).await {
            tracing::debug!(%status, "an ingest is left to the garbage collector");
        }
    }
}

impl Sink for Write {
    async fn append(&mut self, bytes: Bytes) -> Result<(), HandoffError> {
        // A vector that had to grow would be copied.
        if self.chunk.len() + bytes.len() > CHUNK_BYTES {
            self.flush().await?;
        }
        if self.chunk.capacity() == 0 {
            self.chunk = Vec::with_capacity(CHUNK_BYTES);
        }
        self.chunk.extend_from_slice(&bytes);
        Ok(())
    }
}
