//! Hashing of content on its way into containerd: on one thread for the layers of all pulls, which go
//! through the processor side by side, or in each pull by itself.

mod thread;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::{io, thread as os};

use bytes::Bytes;
use pullgate_policy::digest::{BlobMismatch, Lanes, VerifiedBlob, Verifier};
use tokio::sync::{Semaphore, mpsc, oneshot};

use thread::{Chunk, Stream};

/// Bytes of a stream that may wait for the thread: what it hashes within a millisecond.
const WAITING: usize = 1 << 20;

/// Where content is hashed. Cheap to clone; the thread ends with the last clone and the last stream.
#[derive(Debug, Clone)]
pub struct Hashing {
    thread: Option<mpsc::UnboundedSender<Stream>>,
}

impl Hashing {
    /// Each pull hashes its own bytes.
    #[must_use]
    pub const fn by_each_pull() -> Self {
        Self { thread: None }
    }

    /// One thread hashes the layers of all pulls together; each pull by itself where the processor
    /// would gain nothing by that.
    ///
    /// # Errors
    /// [`io::Error`] if there is no room for a thread.
    pub fn interleaved() -> io::Result<Self> {
        let Some(lanes) = Lanes::available().into_iter().next() else {
            return Ok(Self::by_each_pull());
        };
        Self::start(lanes).map(|(hashing, _ends_by_itself)| hashing)
    }

    fn start(lanes: Lanes) -> io::Result<(Self, os::JoinHandle<()>)> {
        let (thread, arrivals) = mpsc::unbounded_channel();
        let runtime = tokio::runtime::Builder::new_current_thread().build()?;
        let work = move || runtime.block_on(thread::run(lanes, arrivals));
        let handle = os::Builder::new().name("hashing".to_owned()).spawn(work)?;
        Ok((Self { thread: Some(thread) }, handle))
    }

    /// Begins a stream that `verifier` is to verify. Dropping the value ends it without a proof.
    #[must_use]
    pub fn begin(&self, verifier: Verifier) -> Hasher {
        let Some(thread) = &self.thread else { return Hasher(Place::Here(verifier)) };
        let (chunks, receiver) = mpsc::unbounded_channel();
        let (sender, outcome) = oneshot::channel();
        // A thread that has ended drops the stream, and the first wait for it says so.
        drop(thread.send(Stream::new(verifier, receiver, sender)));
        Hasher(Place::Thread(Handed { chunks, room: Arc::new(Semaphore::new(WAITING)), outcome }))
    }
}

/// A stream that is being hashed.
#[derive(Debug)]
pub struct Hasher(Place);

#[derive(Debug)]
enum Place {
    Here(Verifier),
    Thread(Handed),
}

#[derive(Debug)]
struct Handed {
    chunks: mpsc::UnboundedSender<Chunk>,
    room: Arc<Semaphore>,
    outcome: oneshot::Receiver<Result<VerifiedBlob, BlobMismatch>>,
}

impl Hasher {
    /// Takes the next bytes, once there is room for them. What is wrong with them may show only later:
    /// at the end, at the latest.
    ///
    /// # Errors
    /// [`HashingError`] if the stream cannot become what is expected anymore.
    pub async fn update(mut self, bytes: &Bytes) -> Result<Self, HashingError> {
        match &mut self.0 {
            Place::Here(verifier) => verifier.update(bytes)?,
            Place::Thread(handed) => {
                if !handed.takes(bytes.clone()).await {
                    return self.finish().await.and(Err(HashingError::Stopped));
                }
            }
        }
        Ok(self)
    }

    /// Ends the stream.
    ///
    /// # Errors
    /// [`HashingError`] if bytes are missing, or are others, or if nobody hashed them.
    pub async fn finish(self) -> Result<VerifiedBlob, HashingError> {
        match self.0 {
            Place::Here(verifier) => Ok(verifier.finish()?),
            Place::Thread(Handed { chunks, outcome, .. }) => {
                drop(chunks);
                let Ok(outcome) = outcome.await else { return Err(HashingError::Stopped) };
                Ok(outcome?)
            }
        }
    }
}

impl Handed {
    /// Waits for room. False if the thread does not want more.
    async fn takes(&self, bytes: Bytes) -> bool {
        let wanted = bytes.len().min(WAITING).try_into().unwrap_or(u32::MAX);
        // Nobody closes the semaphore: permits come back when the thread is done with earlier chunks, or
        // drops them.
        let room = Arc::clone(&self.room).acquire_many_owned(wanted).await.ok();
        self.chunks.send(Chunk { bytes, room }).is_ok()
    }
}

/// Why there is no proof.
#[derive(Debug, thiserror::Error)]
pub enum HashingError {
    /// The bytes are not the expected ones.
    #[error(transparent)]
    Mismatch(#[from] BlobMismatch),
    /// The thread has ended with the stream unfinished.
    #[error(
        "the hashing thread has ended: restart pullgated, or set [registry] interleave_hashing = false \
         in /etc/pullgate/config.toml"
    )]
    Stopped,
}
