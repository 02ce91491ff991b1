//! Whether containerd answers.

use std::path::Path;
use std::time::Duration;

use tokio::time::Instant;

use crate::audit::{chain, printable};
use crate::containerd::{Containerd, node::Node};

/// How long the start waits for containerd. Past it the daemon is ready all the same: calls are
/// answered, if only that containerd is absent.
const PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(250);

/// Waits until both CRI services of containerd answer, and returns what it says of itself. None if
/// they did not in time, which is recorded with what to look at.
pub(super) async fn wait(containerd: &Containerd, socket: &Path) -> Option<Node> {
    let end = Instant::now() + PATIENCE;
    let mut said = false;
    loop {
        let problem = match tokio::time::timeout_at(end, containerd.node()).await {
            Ok(Ok(node)) => return Some(node),
            Ok(Err(error)) => chain(&error),
            Err(_elapsed) => "it does not answer".to_owned(),
        };
        let problem = format!("containerd at {}: {problem}", socket.display());
        if Instant::now() + PAUSE >= end {
            tracing::error!("{}; calls will fail until this is repaired", printable(&problem));
            return None;
        }
        if !said {
            tracing::info!("waiting for {}", printable(&problem));
            said = true;
        }
        tokio::time::sleep(PAUSE).await;
    }
}
