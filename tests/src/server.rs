//! An HTTP server on loopback that answers as the test says: a lookaside, or a registry that lies.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};

use crate::image::Blob;

/// What a [`Server`] answers.
pub type Answer = Response<Full<Bytes>>;

/// A running server. Dropping it ends it and all its connections.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<String>>>,
    task: JoinHandle<()>,
}

impl Server {
    /// Starts one that asks `answer` for every answer.
    pub async fn start<F>(answer: F) -> Self
    where
        F: Fn(&Request<Incoming>) -> Answer + Send + Sync + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port of loopback");
        let address = listener.local_addr().expect("a listener has an address");
        let requests = Arc::new(Mutex::new(Vec::new()));
        let task = tokio::spawn(serve(listener, Arc::clone(&requests), Arc::new(answer)));
        Self { address, requests, task }
    }

    /// Starts one that serves the files below `directory`.
    pub async fn of_files(directory: &Path) -> Self {
        let directory = directory.to_owned();
        Self::start(move |request| file(&directory, request.uri().path())).await
    }

    /// Starts one that answers every request with one manifest.
    pub async fn of_manifest(manifest: &Blob) -> Self {
        let manifest = manifest.clone();
        Self::start(move |_| {
            let body = Full::from(manifest.bytes.clone());
            let answer = Response::builder().header("content-type", &manifest.media_type);
            let answer = answer.header("docker-content-digest", &manifest.digest).body(body);
            answer.expect("a media type and a digest are header values")
        })
        .await
    }

    /// `127.0.0.1:PORT`.
    #[must_use]
    pub fn host(&self) -> String {
        self.address.to_string()
    }

    /// The base URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The requests so far, as `METHOD PATH`.
    #[must_use]
    pub fn requests(&self) -> Vec<String> {
        self.requests.lock().expect("no request panics").clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// An answer without a body.
#[must_use]
pub fn status(status: StatusCode) -> Answer {
    let mut answer = Response::new(Full::default());
    *answer.status_mut() = status;
    answer
}

async fn serve<F>(listener: TcpListener, requests: Arc<Mutex<Vec<String>>>, answer: Arc<F>)
where
    F: Fn(&Request<Incoming>) -> Answer + Send + Sync + 'static,
{
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.expect("a listener of loopback accepts");
        let (requests, answer) = (Arc::clone(&requests), Arc::clone(&answer));
        let service = service_fn(move |request| {
            let line = format!("{} {}", request.method(), request.uri());
            requests.lock().expect("no request panics").push(line);
            std::future::ready(Ok::<_, Infallible>(answer(&request)))
        });
        connections.spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}

fn file(directory: &Path, path: &str) -> Answer {
    let path: PathBuf = directory.join(path.trim_start_matches('/'));
    match std::fs::read(path) {
        Ok(bytes) => Response::new(Full::from(bytes)),
        Err(_) => status(StatusCode::NOT_FOUND),
    }
}
