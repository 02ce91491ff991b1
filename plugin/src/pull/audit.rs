//! Audit mode: the verdict is sought beside the hand-over and recorded when it is there. The pull
//! never waits for it.

use std::future::Future;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

use super::row::Row;
use super::{Checked, Findings, PullError};

/// The verdicts that are sought beside a hand-over, or after it. Clones are the same.
#[derive(Debug, Clone, Default)]
pub struct Audits {
    records: TaskTracker,
    stop: CancellationToken,
}

impl Audits {
    /// Records how a pull in audit mode ended, once its verdict is there. The pull is over: nobody
    /// waits for this.
    pub(super) fn record(&self, verdict: PendingVerdict, mut row: Row) {
        row.answered();
        let stop = self.stop.clone();
        self.records.spawn(async move {
            let checked = tokio::select! {
                checked = verdict.wait() => checked,
                () = stop.cancelled() => without_verdict("the daemon was stopped before it was there"),
            };
            row.audited(checked).await;
        });
    }

    /// Ends the search for verdicts that are still sought, and waits until each is recorded.
    pub async fn drain(&self) {
        self.stop.cancel();
        self.records.close();
        self.records.wait().await;
    }
}

/// A verdict that is being sought. Dropping it ends the search.
#[derive(Debug)]
pub(super) struct PendingVerdict {
    search: AbortOnDropHandle<Checked>,
    deadline: Instant,
}

impl PendingVerdict {
    /// Begins the search, as a task of its own: whatever it does, the hand-over goes on.
    pub(super) fn seek(
        search: impl Future<Output = Checked> + Send + 'static,
        patience: Duration,
    ) -> Self {
        let search = AbortOnDropHandle::new(tokio::spawn(search));
        Self { search, deadline: Instant::now() + patience }
    }

    async fn wait(self) -> Checked {
        match tokio::time::timeout_at(self.deadline, self.search).await {
            Ok(Ok(checked)) => checked,
            Ok(Err(_ended)) => without_verdict("the search for it broke off"),
            Err(_elapsed) => without_verdict("it was not there within `mode.audit_deadline`"),
        }
    }
}

fn without_verdict(why: &'static str) -> Checked {
    Checked { findings: Findings::default(), verdict: Err(PullError::NoVerdict { why }) }
}
