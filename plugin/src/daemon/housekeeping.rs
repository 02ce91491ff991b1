//! What the daemon does when nobody asks: it reports what ran before it, and keeps the ledger small.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::audit::{chain, printable};
use crate::pull::Gate;

/// Time before the first look at the ledger. A start is when a node has the most to decide, and the next
/// one has to read through what was being forgotten when this one was stopped.
const FIRST_PAUSE: Duration = Duration::from_secs(60);

/// Time between two looks at the ledger.
const PAUSE: Duration = Duration::from_secs(60 * 60);

/// Does not end.
pub(super) async fn keep(gates: watch::Receiver<Arc<Gate>>) {
    let current = || Arc::clone(&gates.borrow());
    if let Err(error) = current().sweep().await {
        let text = chain(&error);
        tracing::warn!("what runs already cannot be reported: {}", printable(&text));
    }
    // Rows that come meanwhile may push others out.
    if let Some(images) = images(&current()).await {
        current().ledger.present(images).await;
    }
    tokio::time::sleep(FIRST_PAUSE).await;
    loop {
        let gate = current();
        if let Some(images) = images(&gate).await {
            gate.ledger.prune(images).await;
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// The images that are on the node, if containerd answers.
async fn images(gate: &Gate) -> Option<BTreeSet<String>> {
    let unknown = |error: &_| tracing::debug!(%error, "the ledger is not tidied");
    gate.containerd.images().await.inspect_err(unknown).ok()
}
