//! A gRPC client that shows an answer as it is on the wire.

use std::error::Error;
use std::path::Path;

use bytes::{BufMut, Bytes, BytesMut};
use h2::Reason;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::UnixStream;

/// One connection.
#[derive(Clone)]
pub(crate) struct Client {
    connection: SendRequest<Full<Bytes>>,
}

/// An answer to its end.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) headers: Vec<(String, Vec<u8>)>,
    pub(crate) data: Vec<u8>,
    pub(crate) trailers: Vec<(String, Vec<u8>)>,
    pub(crate) reset: Option<Reason>,
}

impl Client {
    pub(crate) async fn connect(socket: &Path) -> Self {
        let stream = UnixStream::connect(socket).await.expect("a socket that is served");
        let (connection, driver) = Builder::new(TokioExecutor::new())
            .max_header_list_size(16 << 20)
            .initial_stream_window_size(1 << 20)
            .handshake(TokioIo::new(stream))
            .await
            .expect("an HTTP/2 server");
        tokio::spawn(driver);
        Self { connection }
    }

    /// Calls `path` with one message.
    pub(crate) async fn call(&self, path: &str, message: &[u8]) -> Answer {
        self.send(request(path, framed(message))).await
    }

    /// Sends a request and reads the answer to its end.
    pub(crate) async fn send(&self, request: Request<Full<Bytes>>) -> Answer {
        match self.start(request).await {
            Ok(response) => read(response).await,
            Err(error) => Answer { reset: reason(&error), ..Answer::empty() },
        }
    }

    /// Sends a request and returns once the answer's headers are there.
    pub(crate) async fn start(
        &self,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<Incoming>, hyper::Error> {
        self.connection.clone().send_request(request).await
    }
}

impl Answer {
    const fn empty() -> Self {
        Self { headers: Vec::new(), data: Vec::new(), trailers: Vec::new(), reset: None }
    }

    /// `grpc-status` of the trailers, or of the headers when there are no trailers.
    pub(crate) fn code(&self) -> &str {
        self.status("grpc-status").unwrap_or("none")
    }

    /// `grpc-message`, as it stands on the wire.
    pub(crate) fn message(&self) -> &str {
        self.status("grpc-message").unwrap_or_default()
    }

    fn status(&self, name: &str) -> Option<&str> {
        let place = if self.trailers.is_empty() { &self.headers } else { &self.trailers };
        let (_, value) = place.iter().find(|(found, _)| found == name)?;
        Some(std::str::from_utf8(value).unwrap())
    }
}

pub(crate) fn request(path: &str, body: Bytes) -> Request<Full<Bytes>> {
    Request::post(format!("http://localhost{path}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .header("user-agent", "grpc-go/1.72.0")
        .body(Full::new(body))
        .unwrap()
}

pub(crate) fn framed(message: &[u8]) -> Bytes {
    let mut frame = BytesMut::new();
    frame.put_u8(0);
    frame.put_u32(u32::try_from(message.len()).unwrap());
    frame.extend_from_slice(message);
    frame.freeze()
}

pub(crate) fn listed(headers: &HeaderMap) -> Vec<(String, Vec<u8>)> {
    let listed = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
        (name.to_string(), value.as_bytes().to_vec())
    };
    headers.iter().map(listed).collect()
}

/// Reads an answer to its end.
pub(crate) async fn read(response: Response<Incoming>) -> Answer {
    assert_eq!(response.status(), 200, "gRPC answers with status 200");
    let mut answer = Answer { headers: listed(response.headers()), ..Answer::empty() };
    let mut body = response.into_body();
    while let Some(frame) = body.frame().await {
        match frame {
            Ok(frame) if frame.is_data() => answer.data.extend(frame.into_data().unwrap()),
            Ok(frame) => answer.trailers = listed(frame.trailers_ref().unwrap()),
            Err(error) => answer.reset = reason(&error),
        }
    }
    answer
}

/// The code of the reset that an error stands for.
pub(crate) fn reason(error: &hyper::Error) -> Option<Reason> {
    let mut cause = error.source();
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<h2::Error>() {
            return error.reason();
        }
        cause = error.source();
    }
    None
}
