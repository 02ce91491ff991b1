//! What the daemon does when nobody asks: it reports what ran before it, and keeps the ledger small.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::audit::{chain, printable};
use crate::pull::Gate;

/// Time between two looks at the ledger.
const PAUSE: Duration = Duration::from_secs(60 * 60);

/// Does not end.
pub(super) async fn keep(gates: watch::Receiver<Arc<Gate>>) {
    let current = || Arc::clone(&gates.borrow());
    if let Err(error) = current().sweep().await {
        let text = chain(&error);
        tracing::warn!("what runs already cannot be reported: {}", printable(&text));
    }
    loop {
        let gate = current();
        match gate.containerd.images().await {
            Ok(images) => gate.ledger.prune(images).await,
            Err(error) => tracing::debug!(%error, "the ledger is not tidied"),
        }
        tokio::time::sleep(PAUSE).await;
    }
}
