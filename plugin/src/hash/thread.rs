//! The hashing thread: in each turn, some bytes of every stream that has any.

use std::task::{Context, Poll};
use std::{future, mem};

use bytes::{Buf as _, Bytes};
use pullgate_policy::digest::{BlobMismatch, Lanes, VerifiedBlob, Verifier};
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};

/// Bytes of a stream that are hashed in one turn at most, so that a stream which has just got bytes
/// soon runs beside one that has many.
const TURN: usize = 64 << 10;

/// Bytes that wait, and the room that they take.
#[derive(Debug)]
pub(super) struct Chunk {
    pub bytes: Bytes,
    pub room: Option<OwnedSemaphorePermit>,
}

/// One stream. It ends when its chunks do, and its owner then gets the outcome.
#[derive(Debug)]
pub(super) struct Stream {
    verifier: Verifier,
    chunks: mpsc::UnboundedReceiver<Chunk>,
    outcome: oneshot::Sender<Result<VerifiedBlob, BlobMismatch>>,
    /// What is left of the chunk at hand.
    rest: Chunk,
    failed: Option<BlobMismatch>,
}

impl Stream {
    pub(super) const fn new(
        verifier: Verifier,
        chunks: mpsc::UnboundedReceiver<Chunk>,
        outcome: oneshot::Sender<Result<VerifiedBlob, BlobMismatch>>,
    ) -> Self {
        let rest = Chunk { bytes: Bytes::new(), room: None };
        Self { verifier, chunks, outcome, rest, failed: None }
    }

    /// The stream, with bytes if any have come; nothing once it has ended.
    fn refilled(mut self, cx: &mut Context<'_>) -> Option<Self> {
        if self.outcome.is_closed() {
            return None;
        }
        if let Some(mismatch) = self.failed {
            drop(self.outcome.send(Err(mismatch)));
            return None;
        }
        while self.rest.bytes.is_empty() {
            match self.chunks.poll_recv(cx) {
                Poll::Ready(Some(chunk)) => self.rest = chunk,
                Poll::Ready(None) => {
                    drop(self.outcome.send(self.verifier.finish()));
                    return None;
                }
                Poll::Pending => {
                    self.rest.room = None;
                    break;
                }
            }
        }
        Some(self)
    }
}

/// Hashes what arrives, until nothing can arrive anymore.
pub(super) async fn run(lanes: Lanes, mut arrivals: mpsc::UnboundedReceiver<Stream>) {
    let mut streams = Vec::new();
    while future::poll_fn(|cx| poll_work(&mut arrivals, &mut streams, cx)).await {
        hash(lanes, &mut streams);
    }
}

/// Ready with true when a stream has bytes, with false when there will be no stream anymore.
fn poll_work(
    arrivals: &mut mpsc::UnboundedReceiver<Stream>,
    streams: &mut Vec<Stream>,
    cx: &mut Context<'_>,
) -> Poll<bool> {
    let mut closed = false;
    while let Poll::Ready(arrival) = arrivals.poll_recv(cx) {
        let Some(stream) = arrival else {
            closed = true;
            break;
        };
        streams.push(stream);
    }
    *streams = mem::take(streams).into_iter().filter_map(|stream| stream.refilled(cx)).collect();
    if streams.iter().any(|stream| !stream.rest.bytes.is_empty()) {
        return Poll::Ready(true);
    }
    if closed && streams.is_empty() { Poll::Ready(false) } else { Poll::Pending }
}

/// As many bytes of each stream as all those that have some can give.
fn hash(lanes: Lanes, streams: &mut [Stream]) {
    let mut ready: Vec<_> =
        streams.iter_mut().filter(|stream| !stream.rest.bytes.is_empty()).collect();
    let length = ready.iter().map(|stream| stream.rest.bytes.len()).fold(TURN, usize::min);
    let mut batch: Vec<_> = ready
        .iter_mut()
        .map(|stream| {
            let Stream { verifier, rest, .. } = &mut **stream;
            (verifier, rest.bytes.split_at(length).0)
        })
        .collect();
    let results = lanes.update_all(&mut batch);
    for (stream, result) in ready.into_iter().zip(results) {
        stream.rest.bytes.advance(length);
        stream.failed = result.err();
    }
}
