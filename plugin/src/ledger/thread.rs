//! A thread that owns a database: its callers wait, the runtime does not.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{Builder, JoinHandle};

use tokio::sync::oneshot;

use super::{LedgerError, Store};

/// Jobs that wait. Past that a row is not worth its memory.
const QUEUE: usize = 1024;

type Job = Box<dyn FnOnce(&mut Store) + Send>;

/// The thread. Dropping it lets it end its jobs.
#[derive(Debug)]
pub(super) struct Thread {
    jobs: Option<SyncSender<Job>>,
    handle: Option<JoinHandle<()>>,
}

impl Thread {
    /// Starts a thread called `name` that owns `store`.
    pub(super) fn start(name: &str, mut store: Store) -> Result<Self, LedgerError> {
        let (sender, jobs): (_, Receiver<Job>) = sync_channel(QUEUE);
        let work = move || jobs.into_iter().for_each(|job| job(&mut store));
        let handle = Builder::new().name(name.to_owned()).spawn(work);
        let handle = handle.map_err(LedgerError::Thread)?;
        Ok(Self { jobs: Some(sender), handle: Some(handle) })
    }

    /// Lets the thread answer a question.
    ///
    /// # Errors
    /// [`LedgerError::Overloaded`] if too many wait already.
    pub(super) async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&mut Store) -> T + Send + 'static,
    ) -> Result<T, LedgerError> {
        let (answer, answered) = oneshot::channel();
        self.send(Box::new(move |store| {
            // Whoever asked may have gone.
            answer.send(question(store)).unwrap_or_default();
        }))?;
        answered.await.map_err(|_gone| LedgerError::Overloaded)
    }

    /// Lets the thread do something some time.
    pub(super) fn tell(&self, job: impl FnOnce(&mut Store) + Send + 'static) {
        if self.send(Box::new(job)).is_err() {
            tracing::warn!("the ledger is behind, a row is lost");
        }
    }

    fn send(&self, job: Job) -> Result<(), LedgerError> {
        let jobs = self.jobs.as_ref().ok_or(LedgerError::Overloaded)?;
        jobs.try_send(job).map_err(|_full| LedgerError::Overloaded)
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(handle) = self.handle.take()
            && handle.join().is_err()
        {
            tracing::error!("the ledger's thread has panicked");
        }
    }
}
