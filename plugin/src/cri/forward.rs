//! The way to containerd: one connection, made anew when it is gone.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use futures_util::poll;
use h2::client::{Builder, SendRequest};
use http::uri::{Authority, Scheme};
use http::{Request, Response, Uri};
use http_body::Body as _;
use tokio::net::UnixStream;
use tokio_util::task::AbortOnDropHandle;

use super::status::{self, Code, Status};
use super::upload::{Outgoing, Upload};
use super::{Body, MESSAGE_LIMIT};
use crate::audit::chain;
use crate::containerd::Batched;

/// Window sizes that let large answers through without waiting (containerd-handoff.md 3.4).
pub(crate) const STREAM_WINDOW: u32 = 1 << 20;
pub(crate) const CONNECTION_WINDOW: u32 = 4 << 20;

/// containerd's socket, and the one connection to it.
#[derive(Debug)]
pub struct Upstream {
    socket: PathBuf,
    connection: Mutex<Option<SendRequest<Bytes>>>,
}

impl Upstream {
    /// The containerd that listens at `socket`. It is connected to when the first call comes.
    #[must_use]
    pub fn new(socket: &Path) -> Self {
        Self { socket: socket.to_owned(), connection: Mutex::default() }
    }

    /// Passes a call on, and its answer back, byte for byte. When containerd cannot be reached, the
    /// answer is gRPC's Unavailable.
    ///
    /// # Errors
    /// The reset of the stream, if containerd resets it: it is to be passed on, too.
    pub(super) async fn forward(
        &self,
        request: Request<Outgoing>,
    ) -> Result<Response<Body>, h2::Error> {
        let mut connection = match self.connection().await {
            Ok(connection) => connection,
            Err(error) => return Ok(self.unreachable(&error).response()),
        };
        match call(&mut connection, with_authority(request)).await {
            Err(error) if !error.is_reset() => Ok(status::lost(&error).response()),
            answered => answered,
        }
    }

    /// A connection that takes a call.
    async fn connection(&self) -> Result<SendRequest<Bytes>, io::Error> {
        let kept = self.kept().clone();
        if let Some(connection) = kept
            && let Ok(ready) = connection.ready().await
        {
            return Ok(ready);
        }
        // There was none, or containerd has gone, and may have come back.
        self.connect().await
    }

    /// Connects. Of several calls that do so at a time the last one's connection is kept for others;
    /// the rest end with their calls.
    async fn connect(&self) -> Result<SendRequest<Bytes>, io::Error> {
        let stream = UnixStream::connect(&self.socket).await?;
        let (connection, driver) = Builder::new()
            .enable_push(false)
            .max_header_list_size(u32::try_from(MESSAGE_LIMIT).unwrap_or(u32::MAX))
            .initial_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .handshake(Batched::patient(stream))
            .await
            .map_err(io::Error::other)?;
        tokio::spawn(async move {
            if let Err(error) = driver.await {
                tracing::debug!("the connection to containerd ended: {}", chain(&error));
            }
        });
        *self.kept() = Some(connection.clone());
        connection.ready().await.map_err(io::Error::other)
    }

    fn kept(&self) -> MutexGuard<'_, Option<SendRequest<Bytes>>> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn unreachable(&self, error: &io::Error) -> Status {
        let socket = self.socket.display();
        let message = format!(
            "pullgate cannot reach containerd at {socket}: {error}; \
             is containerd running, and does [containerd] socket of config.toml name its socket?"
        );
        Status::new(Code::Unavailable, message)
    }
}

/// Sends a call, and returns what answers it as soon as the answer begins.
async fn call(
    connection: &mut SendRequest<Bytes>,
    request: Request<Outgoing>,
) -> Result<Response<Body>, h2::Error> {
    let (head, body) = request.into_parts();
    let (head, ended) = (Request::from_parts(head, ()), body.is_end_stream());
    let (answer, stream) = connection.send_request(head, ended)?;
    let mut upload = Upload::new(body, stream);
    // The message of a unary call has come with its headers, and goes with them.
    let upload = if ended || poll!(&mut upload).is_ready() {
        None
    } else {
        Some(AbortOnDropHandle::new(tokio::spawn(upload)))
    };
    Ok(answer.await?.map(|body| Body::forwarded(body, upload)))
}

/// A request needs an authority to be sent on, but not every client of a unix socket names one.
fn with_authority(mut request: Request<Outgoing>) -> Request<Outgoing> {
    if request.uri().authority().is_none() {
        let mut parts = request.uri().clone().into_parts();
        parts.scheme = Some(Scheme::HTTP);
        parts.authority = Some(Authority::from_static("localhost"));
        if let Ok(uri) = Uri::from_parts(parts) {
            *request.uri_mut() = uri;
        }
    }
    request
}
