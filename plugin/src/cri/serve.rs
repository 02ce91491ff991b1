//! Serving connections, until told to stop.

use std::pin::pin;
use std::time::Duration;

use hyper::rt::Executor;
use hyper::server::conn::http2::Builder;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{UnixListener, UnixStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::forward::{CONNECTION_WINDOW, STREAM_WINDOW};
use super::{Door, MESSAGE_LIMIT};
use crate::audit::chain;

/// How long accepting waits after it failed: the cause, such as too many open files, may pass.
const PAUSE: Duration = Duration::from_millis(100);

/// A server at work.
#[derive(Debug)]
pub struct Server {
    stop: CancellationToken,
    end: CancellationToken,
    tasks: TaskTracker,
}

/// Serves what connects to `listener`.
#[must_use]
pub fn serve(listener: UnixListener, door: Door) -> Server {
    let server = Server {
        stop: CancellationToken::new(),
        end: CancellationToken::new(),
        tasks: TaskTracker::new(),
    };
    let connections = Connections {
        stop: server.stop.clone(),
        end: server.end.clone(),
        tasks: server.tasks.clone(),
        door,
    };
    server.tasks.spawn(connections.accept(listener));
    server
}

impl Server {
    /// Takes no more connections and calls, and returns when those under way have ended.
    pub async fn drain(&self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// Ends every call at once, and returns when they have cleaned up.
    pub async fn end(&self) {
        self.end.cancel();
        self.drain().await;
    }
}

/// What each connection needs.
#[derive(Clone)]
struct Connections {
    stop: CancellationToken,
    end: CancellationToken,
    tasks: TaskTracker,
    door: Door,
}

impl Connections {
    async fn accept(self, listener: UnixListener) {
        while let Some(accepted) = self.stop.run_until_cancelled(listener.accept()).await {
            match accepted {
                Ok((stream, _)) => {
                    self.tasks.spawn(self.clone().converse(stream));
                }
                Err(error) => {
                    tracing::error!("no connection can be accepted: {error}");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    async fn converse(self, stream: UnixStream) {
        let door = self.door;
        let peer = stream.peer_cred().ok().map(|peer| peer.uid());
        let service = service_fn(move |request| door.clone().take(request, peer));
        let executor = Tasks { tasks: self.tasks, end: self.end.clone() };
        let connection = Builder::new(executor)
            .max_header_list_size(u32::try_from(MESSAGE_LIMIT).unwrap_or(u32::MAX))
            .max_concurrent_streams(None)
            .auto_date_header(false)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .serve_connection(TokioIo::new(stream), service);
        let mut connection = pin!(connection);
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = self.stop.cancelled() => {
                connection.as_mut().graceful_shutdown();
                tokio::select! {
                    ended = connection => ended,
                    () = self.end.cancelled() => return,
                }
            }
        };
        if let Err(error) = ended {
            tracing::debug!("a connection ended: {}", chain(&error));
        }
    }
}

/// Runs the calls of a connection where they are waited for.
#[derive(Clone)]
struct Tasks {
    tasks: TaskTracker,
    end: CancellationToken,
}

impl<F> Executor<F> for Tasks
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn execute(&self, task: F) {
        let end = self.end.clone();
        self.tasks.spawn(async move { end.run_until_cancelled(task).await });
    }
}
