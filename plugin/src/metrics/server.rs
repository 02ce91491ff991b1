//! `GET /metrics`, for a Prometheus on this node: one request a connection, a few at a time.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1::Builder;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use prometheus_client::encoding::prometheus_text::CONTENT_TYPE;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use super::Metrics;
use crate::audit::chain;

/// Connections at a time; more wait.
const CONNECTIONS: usize = 8;

/// How long a connection may take: Prometheus' own default for a scrape.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long accepting waits after it failed.
const PAUSE: Duration = Duration::from_millis(100);

/// Where scrapes come in.
#[derive(Debug)]
pub enum Listener {
    /// A port.
    Tcp(TcpListener),
    /// A unix socket.
    Unix(UnixListener),
}

/// A server at work. Dropping it ends it.
#[derive(Debug)]
pub struct Server {
    task: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Serves `metrics` at `listener`.
#[must_use]
pub fn serve(listener: Listener, metrics: Arc<Metrics>) -> Server {
    Server { task: tokio::spawn(accept(listener, metrics)) }
}

async fn accept(listener: Listener, metrics: Arc<Metrics>) {
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok(permit) = Arc::clone(&room).acquire_owned().await else { return };
        match stream(&listener).await {
            Ok(stream) => {
                let metrics = Arc::clone(&metrics);
                tokio::spawn(async move {
                    converse(stream, metrics).await;
                    drop(permit);
                });
            }
            Err(error) => {
                tracing::warn!("no scrape can be accepted: {error}");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// What a scrape comes over.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

async fn stream(listener: &Listener) -> io::Result<Box<dyn Stream>> {
    Ok(match listener {
        Listener::Tcp(listener) => Box::new(listener.accept().await?.0),
        Listener::Unix(listener) => Box::new(listener.accept().await?.0),
    })
}

async fn converse(stream: Box<dyn Stream>, metrics: Arc<Metrics>) {
    let service = service_fn(move |request| {
        std::future::ready(Ok::<_, Infallible>(answer(&request, &metrics)))
    });
    let connection = Builder::new()
        .keep_alive(false)
        .timer(TokioTimer::new())
        .serve_connection(TokioIo::new(stream), service);
    match tokio::time::timeout(PATIENCE, connection).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!("a scrape broke off: {}", chain(&error)),
        Err(_elapsed) => tracing::debug!("a scrape took too long"),
    }
}

fn answer(request: &Request<Incoming>, metrics: &Metrics) -> Response<Full<Bytes>> {
    let plain = |status: StatusCode, text: &'static str| {
        let mut response = Response::new(Full::from(text));
        *response.status_mut() = status;
        response
    };
    match (request.method(), request.uri().path()) {
        (&Method::GET | &Method::HEAD, "/metrics") => {
            let mut response = Response::new(Full::from(metrics.text()));
            let kind = HeaderValue::from_static(CONTENT_TYPE);
            response.headers_mut().insert(header::CONTENT_TYPE, kind);
            response
        }
        (&Method::GET | &Method::HEAD, _) => {
            plain(StatusCode::NOT_FOUND, "the metrics are at /metrics\n")
        }
        _ => {
            let mut response = plain(StatusCode::METHOD_NOT_ALLOWED, "");
            let allowed = HeaderValue::from_static("GET, HEAD");
            response.headers_mut().insert(header::ALLOW, allowed);
            response
        }
    }
}
