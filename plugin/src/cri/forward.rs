//! The way to containerd: one connection, made anew when it is gone.

use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::uri::{Authority, Scheme};
use http::{Request, Response, Uri};
use http_body::{Frame, SizeHint};
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::UnixStream;

use super::body::is_reset;
use super::status::{self, Code, Status};
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
    connection: Mutex<Option<SendRequest<Outgoing>>>,
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
    pub(crate) async fn forward(
        &self,
        request: Request<Outgoing>,
    ) -> Result<Response<Body>, hyper::Error> {
        match self.send(with_authority(request)).await {
            Ok(response) => Ok(response.map(Body::forwarded)),
            Err(Failure::Call(error)) if is_reset(&error) => Err(error),
            Err(Failure::Call(error)) => Ok(status::lost(&error).response()),
            Err(Failure::Connect(error)) => Ok(self.unreachable(&error).response()),
        }
    }

    async fn send(&self, mut request: Request<Outgoing>) -> Result<Response<Incoming>, Failure> {
        // containerd may have gone after the connection was looked at. Such a request comes back
        // unsent, and is tried once more on a new connection.
        if let Some(mut connection) = self.connected() {
            match connection.try_send_request(request).await {
                Ok(response) => return Ok(response),
                Err(mut error) => match error.take_message() {
                    Some(unsent) => request = unsent,
                    None => return Err(Failure::Call(error.into_error())),
                },
            }
        }
        let mut connection = self.connect().await.map_err(Failure::Connect)?;
        connection.send_request(request).await.map_err(Failure::Call)
    }

    fn connected(&self) -> Option<SendRequest<Outgoing>> {
        let connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        connection.as_ref().filter(|connection| !connection.is_closed()).cloned()
    }

    /// Connects. Of several calls that do so at a time the last one's connection is kept for others;
    /// the rest end with their calls.
    async fn connect(&self) -> Result<SendRequest<Outgoing>, io::Error> {
        let stream = UnixStream::connect(&self.socket).await?;
        let (connection, driver) = Builder::new(TokioExecutor::new())
            .max_header_list_size(u32::try_from(MESSAGE_LIMIT).unwrap_or(u32::MAX))
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .handshake(TokioIo::new(Batched::patient(stream)))
            .await
            .map_err(io::Error::other)?;
        tokio::spawn(async move {
            if let Err(error) = driver.await {
                tracing::debug!("the connection to containerd ended: {}", chain(&error));
            }
        });
        let mut kept = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        *kept = Some(connection.clone());
        drop(kept);
        Ok(connection)
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

/// The body of a call that is passed on: as it comes, or as it was read.
#[derive(Debug)]
pub(crate) struct Outgoing(Either<Incoming, Full<Bytes>>);

impl Outgoing {
    /// One that passes while it comes.
    pub(crate) const fn passing(body: Incoming) -> Self {
        Self(Either::Left(body))
    }

    /// One that was read before.
    pub(crate) fn held(body: Bytes) -> Self {
        Self(Either::Right(Full::new(body)))
    }
}

impl http_body::Body for Outgoing {
    type Data = Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        Pin::new(&mut self.0).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
    }
}

enum Failure {
    Call(hyper::Error),
    Connect(io::Error),
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
