//! Where Prometheus finds the daemon.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, UnixListener};
use tokio::sync::watch;

use crate::audit::{chain, printable};
use crate::config::{Config, Listen};
use crate::cri::socket::{self, SocketError};
use crate::metrics::{self, Listener, Metrics, Server};
use crate::pull::Gate;

/// Time between two measurements.
const PERIOD: Duration = Duration::from_secs(60);

/// Serves the metrics where `config` says. A node whose metrics cannot be served must still start pods:
/// that is recorded, and alerts on `up` tell.
pub(super) async fn serve(config: &Config, metrics: &Arc<Metrics>) -> Option<Server> {
    let listen = config.metrics.as_ref()?;
    match bind(listen, &config.containerd.socket).await {
        Ok((listener, place)) => {
            tracing::info!("metrics are at {place}");
            Some(metrics::serve(listener, Arc::clone(metrics)))
        }
        Err(error) => {
            let text = chain(&error);
            tracing::error!("there are no metrics at {listen}: {}", printable(&text));
            None
        }
    }
}

/// Measures what is not counted as it happens, for ever.
pub(super) async fn measure(gate: watch::Receiver<Arc<Gate>>) {
    let mut period = tokio::time::interval(PERIOD);
    loop {
        period.tick().await;
        let gate = Arc::clone(&gate.borrow());
        match gate.ledger.size().await {
            Ok(size) => gate.metrics.ledger_is(size),
            Err(error) => tracing::debug!(%error, "the ledger is not measured"),
        }
    }
}

/// The listener, and where it is: the system picks a port in the place of 0.
async fn bind(listen: &Listen, containerd: &Path) -> Result<(Listener, Listen), ScrapeError> {
    match listen {
        Listen::Tcp(address) => {
            let listener = TcpListener::bind(address).await.map_err(ScrapeError::Port)?;
            let place = Listen::Tcp(listener.local_addr().map_err(ScrapeError::Port)?);
            Ok((Listener::Tcp(listener), place))
        }
        Listen::Unix(path) => {
            let listener = socket::bind(path, containerd)?;
            listener.set_nonblocking(true).map_err(ScrapeError::Port)?;
            let listener = UnixListener::from_std(listener).map_err(ScrapeError::Port)?;
            Ok((Listener::Unix(listener), listen.clone()))
        }
    }
}

/// Why the metrics cannot be served.
#[derive(Debug, thiserror::Error)]
enum ScrapeError {
    /// The port cannot be bound.
    #[error("it cannot be bound")]
    Port(#[source] std::io::Error),
    /// The socket cannot be bound.
    #[error(transparent)]
    Socket(#[from] SocketError),
}
