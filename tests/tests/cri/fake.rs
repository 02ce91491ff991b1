//! A server in containerd's place that answers as a test says, and a door in front of it.

use std::os::unix::net::UnixListener as StdListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http::{HeaderMap, Request, Response};
use http_body::Frame;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Incoming;
use hyper::server::conn::http2::Builder;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message;
use pullgate::cri::{Door, Pull, Server, Upstream, serve};
use pullgate_proto::{FilesystemIdentifier, FilesystemUsage, ImageFsInfoResponse, VersionResponse};
use pullgate_tests::place;
use tempfile::TempDir;
use tokio::net::UnixListener;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use crate::raw::{framed, listed};

pub(crate) type Reply = Response<UnsyncBoxBody<Bytes, h2::Error>>;
type Answering = Arc<dyn Fn(Call) -> BoxFuture<'static, Result<Reply, h2::Error>> + Send + Sync>;

/// A call as containerd would see it.
pub(crate) struct Call {
    pub(crate) uri: String,
    pub(crate) headers: Vec<(String, Vec<u8>)>,
    pub(crate) body: Incoming,
}

/// A server in containerd's place. Dropping it ends it and all its connections.
pub(crate) struct Fake {
    socket: PathBuf,
    calls: watch::Sender<Vec<String>>,
    task: JoinHandle<()>,
}

impl Fake {
    /// Serves `socket` with `answer`.
    pub(crate) fn start<F, R>(socket: &Path, answer: F) -> Self
    where
        F: Fn(Call) -> R + Send + Sync + 'static,
        R: Future<Output = Result<Reply, h2::Error>> + Send + 'static,
    {
        let listener = UnixListener::bind(socket).expect("a free name");
        let calls = watch::Sender::new(Vec::new());
        let answer: Answering = Arc::new(move |call| answer(call).boxed());
        let task = tokio::spawn(accept(listener, calls.clone(), answer));
        Self { socket: socket.to_owned(), calls, task }
    }

    /// Serves `socket`, but reads and answers calls only once it is released: with the length of each.
    pub(crate) fn held(socket: &Path) -> (Self, watch::Sender<bool>) {
        let (release, wait) = watch::channel(false);
        let fake = Self::start(socket, move |call| {
            let mut wait = wait.clone();
            async move {
                wait.wait_for(|&released| released).await.expect("the test releases it");
                let body = call.body.collect().await.expect("a whole request").to_bytes();
                Ok(ok(body.len().to_string().as_bytes()))
            }
        });
        (fake, release)
    }

    /// The paths that were called so far.
    pub(crate) fn calls(&self) -> Vec<String> {
        self.calls.borrow().clone()
    }

    /// Waits for calls.
    pub(crate) async fn until(&self, there: impl FnMut(&Vec<String>) -> bool) {
        let calls = self.calls.subscribe().wait_for(there).await.map(drop);
        calls.expect("the sender is ours");
    }

    /// Ends it and all its connections, and removes its socket.
    pub(crate) async fn stop(mut self) {
        self.task.abort();
        let ended = (&mut self.task).await;
        assert!(ended.unwrap_err().is_cancelled(), "the server did not fail before");
        std::fs::remove_file(&self.socket).unwrap();
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: UnixListener, calls: watch::Sender<Vec<String>>, answer: Answering) {
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.expect("a listener accepts");
        let (calls, answer) = (calls.clone(), Arc::clone(&answer));
        let service = service_fn(move |request: Request<Incoming>| {
            calls.send_modify(|calls| calls.push(request.uri().path().to_owned()));
            let uri = request.uri().to_string();
            let headers = listed(request.headers());
            answer(Call { uri, headers, body: request.into_body() })
        });
        let connection = Builder::new(TokioExecutor::new())
            .max_header_list_size(16 << 20)
            .max_concurrent_streams(None)
            .auto_date_header(false)
            .serve_connection(TokioIo::new(stream), service);
        connections.spawn(connection);
    }
}

/// A door in front of a socket, in this process.
pub(crate) struct Proxy {
    directory: TempDir,
    pub(crate) server: Server,
}

impl Proxy {
    /// A door whose `PullImage` must not be called.
    pub(crate) fn start() -> Self {
        Self::with(Box::new(|_| unreachable!("nothing is pulled")))
    }

    /// A door whose `PullImage` is `pull`.
    pub(crate) fn with(pull: Pull) -> Self {
        let directory = place::for_sockets("cri");
        let upstream = Upstream::new(&directory.path().join("containerd.sock"));
        let listener = StdListener::bind(directory.path().join("pullgate.sock")).unwrap();
        let admit = Box::new(|_| unreachable!("no container is created"));
        let admit_sandbox = Box::new(|_| unreachable!("no pod is run"));
        let door = Door::new(upstream, pull, admit, admit_sandbox, Arc::default());
        let server = serve(listener, door).unwrap();
        Self { directory, server }
    }

    /// Where containerd is expected.
    pub(crate) fn containerd(&self) -> PathBuf {
        self.directory.path().join("containerd.sock")
    }

    /// Where the door is.
    pub(crate) fn socket(&self) -> PathBuf {
        self.directory.path().join("pullgate.sock")
    }
}

/// An answer of these frames.
pub(crate) fn reply(frames: Vec<Frame<Bytes>>) -> Reply {
    let frames = futures_util::stream::iter(frames.into_iter().map(Ok));
    let mut reply = Response::new(BodyExt::boxed_unsync(StreamBody::new(frames)));
    reply.headers_mut().insert("content-type", "application/grpc".parse().unwrap());
    reply
}

/// A message and trailers that say OK.
pub(crate) fn ok(message: &[u8]) -> Reply {
    reply(vec![Frame::data(framed(message)), Frame::trailers(trailers("0"))])
}

pub(crate) fn trailers(code: &str) -> HeaderMap {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", code.parse().unwrap());
    trailers
}

/// What containerd answers the daemon when it starts, and an empty message to everything else.
pub(crate) async fn as_containerd(call: Call) -> Result<Reply, h2::Error> {
    let message = match call.uri.rsplit('/').next() {
        Some("Version") => {
            VersionResponse { runtime_version: "fake".to_owned(), ..Default::default() }
                .encode_to_vec()
        }
        Some("ImageFsInfo") => {
            let mountpoint =
                "/var/lib/containerd/io.containerd.snapshotter.v1.overlayfs".to_owned();
            let fs_id = Some(FilesystemIdentifier { mountpoint });
            let image_filesystems = vec![FilesystemUsage { fs_id, ..Default::default() }];
            ImageFsInfoResponse { image_filesystems, ..Default::default() }.encode_to_vec()
        }
        _ => Vec::new(),
    };
    drop(call.body);
    Ok(ok(&message))
}
