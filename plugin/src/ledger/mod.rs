//! The ledger: what was decided, by which policy, and from what evidence.
//!
//! It answers whether an image on this node was accepted without asking the network again, and lets a
//! decision be made again from the evidence when the policy has changed. It is no authority: without
//! a row an image is verified again, so losing the file costs time and never safety. That is also why
//! no pull waits long for it, and none fails because of it.

mod entry;
mod error;
mod file;
mod recent;
mod sql;
mod store;
mod thread;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use pullgate_policy::digest::Digest;

pub use entry::{Digests, Door, Entry, Evidence, Filter, Search, Signer, Verdict};
pub use error::LedgerError;
pub use store::{Bounds, Size, Store};

use crate::audit::{chain, printable};
use recent::Recent;
use thread::Thread;

/// The longest that an answer waits until its row is written.
const PATIENCE: Duration = Duration::from_secs(2);

/// The daemon's ledger. One thread writes and another reads, so that no question waits for a disk
/// that is busy with rows.
#[derive(Debug)]
pub struct Ledger {
    writer: Thread,
    /// None: the writer reads, too.
    reader: Option<Thread>,
    recent: Arc<Recent>,
}

impl Ledger {
    /// The ledger at `path`. If that cannot be used, which is recorded, it is one that ends with the
    /// process: the node's pods must start, and the file spares time only.
    ///
    /// # Errors
    /// [`LedgerError`] if there is no memory or no thread for it.
    pub fn open(path: &Path, bounds: Bounds) -> Result<Self, LedgerError> {
        let opened =
            Store::open(path, bounds).and_then(|writer| Ok((writer, Store::open_read_only(path)?)));
        match opened {
            Ok((writer, reader)) => Ok(Self {
                writer: Thread::start("ledger-write", writer)?,
                reader: Some(Thread::start("ledger-read", reader)?),
                recent: Arc::default(),
            }),
            Err(error) => {
                tracing::error!(
                    "the ledger cannot be used, and decisions are forgotten when pullgated ends: {}",
                    printable(&chain(&error))
                );
                Self::in_memory(bounds)
            }
        }
    }

    /// A ledger that ends with the process.
    ///
    /// # Errors
    /// [`LedgerError`] if there is no memory or no thread for it.
    pub fn in_memory(bounds: Bounds) -> Result<Self, LedgerError> {
        let writer = Thread::start("ledger", Store::in_memory(bounds)?)?;
        Ok(Self { writer, reader: None, recent: Arc::default() })
    }

    /// Adds an entry, and waits until it is written, but not for long. What cannot be written is
    /// recorded in the journal.
    pub async fn record(&self, entry: Entry, evidence: Evidence) {
        let recent = Arc::clone(&self.recent);
        let written = self.writer.ask(move |store| write(store, &recent, &entry, &evidence));
        if tokio::time::timeout(PATIENCE, written).await.is_err() {
            tracing::warn!("the ledger has not written a row in {} s", PATIENCE.as_secs());
        }
    }

    /// Adds an entry some time.
    pub fn note(&self, entry: Entry, evidence: Evidence) {
        let recent = Arc::clone(&self.recent);
        self.writer.tell(move |store| write(store, &recent, &entry, &evidence));
    }

    /// The last verdict about the image that `digest` names in one of its ways, under `name` and
    /// `policy`.
    ///
    /// # Errors
    /// [`LedgerError`] if it cannot be read.
    pub async fn verdict(
        &self,
        name: String,
        digest: Digest,
        policy: Digest,
    ) -> Result<Option<Verdict>, LedgerError> {
        let key = (name, digest, policy);
        let writes = match self.recent.find(&key) {
            Ok(digests) => return Ok(Some(Verdict::Accepted(digests))),
            Err(writes) => writes,
        };
        let (verdict, key) =
            self.reading(move |store| Ok((store.verdict(&key.0, &key.1, &key.2)?, key))).await?;
        if let Some(Verdict::Accepted(digests)) = &verdict {
            self.recent.keep(key, digests.clone(), writes);
        }
        Ok(verdict)
    }

    /// The last search for signatures of `document` in the name of `repository`.
    ///
    /// # Errors
    /// [`LedgerError`] if it cannot be read.
    pub async fn search(
        &self,
        repository: String,
        document: Digest,
    ) -> Result<Option<Search>, LedgerError> {
        self.reading(move |store| store.search(&repository, &document)).await
    }

    /// The names under which an image has been accepted, the last one first.
    ///
    /// # Errors
    /// [`LedgerError`] if it cannot be read.
    pub async fn names(&self, config: Digest) -> Result<Vec<String>, LedgerError> {
        self.reading(move |store| store.names(&config)).await
    }

    /// The bytes of a manifest or an index, not yet hashed.
    ///
    /// # Errors
    /// [`LedgerError`] if it cannot be read.
    pub async fn document(&self, digest: Digest) -> Result<Option<Bytes>, LedgerError> {
        self.reading(move |store| store.document(&digest)).await
    }

    /// How large it is.
    ///
    /// # Errors
    /// [`LedgerError`] if it cannot be read.
    pub async fn size(&self) -> Result<Size, LedgerError> {
        self.reading(|store| store.size()).await
    }

    /// Tells which images are on the node, by their IDs: what is known of them is forgotten last.
    pub async fn present(&self, images: BTreeSet<String>) {
        self.tidying(move |store| store.present(&images)).await;
    }

    /// Forgets what is past the bounds; what is known of the `images` on the node goes last.
    pub async fn prune(&self, images: BTreeSet<String>) {
        let recent = Arc::clone(&self.recent);
        self.tidying(move |store| {
            let pruned = store.present(&images).and_then(|()| store.prune(SystemTime::now()));
            recent.forget();
            pruned
        })
        .await;
    }

    async fn tidying(
        &self,
        work: impl FnOnce(&mut Store) -> Result<(), LedgerError> + Send + 'static,
    ) {
        if let Err(error) | Ok(Err(error)) = self.writer.ask(work).await {
            tracing::warn!("the ledger cannot be tidied: {}", printable(&chain(&error)));
        }
    }

    async fn reading<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Store) -> Result<T, LedgerError> + Send + 'static,
    ) -> Result<T, LedgerError> {
        let thread = self.reader.as_ref().unwrap_or(&self.writer);
        thread.ask(move |store| question(store)).await?
    }
}

fn write(store: &mut Store, recent: &Recent, entry: &Entry, evidence: &Evidence) {
    let written = store.record(entry, evidence);
    recent.forget();
    if let Err(error) = written {
        tracing::warn!(
            "no row for {}: {}; the image is verified again when it is used",
            printable(&entry.name),
            printable(&chain(&error))
        );
    }
}

#[cfg(test)]
mod tests;
