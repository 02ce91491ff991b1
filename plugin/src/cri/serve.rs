//! Serving connections, until told to stop, on a thread of its own: a call that is only passed on wakes
//! no other thread and waits for no pull.

use std::os::unix::net::UnixListener as StdListener;
use std::pin::pin;
use std::time::Duration;
use std::{io, thread};

use hyper::rt::Executor;
use hyper::server::conn::http2::Builder;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{UnixListener, UnixStream};
use tokio::runtime::{self, Handle};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::forward::{CONNECTION_WINDOW, STREAM_WINDOW};
use super::{Door, MESSAGE_LIMIT};
use crate::audit::chain;

/// How long accepting waits after it failed: the cause, such as too many open files, may pass.
const PAUSE: Duration = Duration::from_millis(100);

/// A server at work. Dropping it ends it.
#[derive(Debug)]
pub struct Server {
    stop: CancellationToken,
    end: CancellationToken,
    tasks: TaskTracker,
    thread: Handle,
}

/// Serves what connects to `listener`.
///
/// # Errors
/// [`io::Error`] if there is no room for a thread, or the listener cannot be waited for.
pub fn serve(listener: StdListener, door: Door) -> io::Result<Server> {
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    listener.set_nonblocking(true)?;
    let listener = {
        let _entered = runtime.enter();
        UnixListener::from_std(listener)?
    };
    let server = Server {
        stop: CancellationToken::new(),
        end: CancellationToken::new(),
        tasks: TaskTracker::new(),
        thread: runtime.handle().clone(),
    };
    let connections = Connections {
        stop: server.stop.clone(),
        end: server.end.clone(),
        tasks: server.tasks.clone(),
        door,
    };
    let tasks = server.tasks.clone();
    tasks.spawn_on(connections.accept(listener), &server.thread);
    let work = move || runtime.block_on(async { tasks.wait().await });
    thread::Builder::new().name("cri".to_owned()).spawn(work)?;
    Ok(server)
}

impl Server {
    /// Does `work` between calls: never, if they hang.
    pub fn between_calls(&self, work: impl FnOnce() + Send + 'static) {
        drop(self.thread.spawn(async { work() }));
    }

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

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.cancel();
        self.end.cancel();
        self.tasks.close();
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
        // In a box: hyper moves a call several times before it runs.
        let service = service_fn(move |request| Box::pin(door.clone().take(request, peer)));
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
