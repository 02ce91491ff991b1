//! Blobs over connections that break.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use pullgate::registry::Credentials;
use pullgate_tests::hosts::Hosts;
use pullgate_tests::image::Blob;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::{read, repository};

/// What a broken server does with the `n`th request, which asks for bytes from `offset`: head and
/// bytes to send before it closes the connection.
type Script = fn(n: usize, offset: usize, body: &[u8]) -> (String, Vec<u8>);

/// A server that closes every connection after what the script says. Ends when dropped.
struct Breaking {
    address: std::net::SocketAddr,
    requests: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Breaking {
    async fn start(blob: &Blob, script: Script) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let requests = Arc::new(AtomicUsize::new(0));
        let (count, body) = (Arc::clone(&requests), blob.bytes.clone());
        let task = tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.expect("a connection");
                let mut request = vec![0; 8192];
                let length = stream.read(&mut request).await.unwrap_or(0);
                let text = String::from_utf8_lossy(&request[..length]).to_lowercase();
                let range =
                    text.split("range: bytes=").nth(1).and_then(|rest| rest.split('-').next());
                let offset = range.and_then(|start| start.parse().ok()).unwrap_or(0);
                let number = count.fetch_add(1, Ordering::SeqCst);
                let (head, bytes) = script(number, offset, &body);
                let head = format!("HTTP/1.1 {head}\r\nconnection: close\r\n\r\n");
                stream.write_all(head.as_bytes()).await.unwrap_or_default();
                stream.write_all(&bytes).await.unwrap_or_default();
                stream.shutdown().await.unwrap_or_default();
            }
        });
        Self { address, requests, task }
    }

    async fn read(&self, blob: &Blob) -> Result<bytes::Bytes, pullgate::registry::RegistryError> {
        let hosts = Hosts::new();
        hosts.write("registry.example", &format!("server = \"http://{}\"\n", self.address));
        let name = "registry.example/a:v1";
        read(&repository(&hosts, name, &Credentials::default()), blob).await
    }

    fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

impl Drop for Breaking {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn blob() -> Blob {
    let bytes = (0..300_000_u32).flat_map(u32::to_le_bytes).collect();
    Blob::new("application/octet-stream", bytes)
}

fn ranged(offset: usize, body: &[u8]) -> String {
    let last = body.len() - 1;
    let left = body.len() - offset;
    if offset == 0 {
        return format!("200 OK\r\ncontent-length: {left}");
    }
    format!(
        "206 Partial Content\r\ncontent-length: {left}\r\ncontent-range: bytes {offset}-{last}/{}",
        body.len()
    )
}

#[tokio::test]
async fn a_transfer_goes_on_where_it_broke_off() {
    let blob = blob();
    let server = Breaking::start(&blob, |number, offset, body| {
        let end = if number < 3 { offset + 100_000 } else { body.len() };
        (ranged(offset, body), body[offset..end].to_vec())
    })
    .await;
    assert_eq!(server.read(&blob).await.expect("the whole blob"), blob.bytes);
    assert_eq!(server.requests(), 4);
}

#[tokio::test]
async fn a_server_without_ranges_is_read_again_from_the_start() {
    let blob = blob();
    let server = Breaking::start(&blob, |number, _, body| {
        let end = if number == 0 { 100_000 } else { body.len() };
        (ranged(0, body), body[..end].to_vec())
    })
    .await;
    assert_eq!(server.read(&blob).await.expect("the whole blob"), blob.bytes);
    assert_eq!(server.requests(), 2);
}

#[tokio::test]
async fn a_range_that_was_not_asked_for_is_refused() {
    let blob = blob();
    let server = Breaking::start(&blob, |number, offset, body| match number {
        0 => (ranged(0, body), body[..100_000].to_vec()),
        _ => (ranged(offset + 1, body), body[offset + 1..].to_vec()),
    })
    .await;
    let error = server.read(&blob).await.expect_err("bytes would be missing");
    assert!(error.to_string().contains("another range"), "{error}");
}

#[tokio::test]
async fn a_transfer_that_breaks_off_again_and_again_ends() {
    let blob = blob();
    let server = Breaking::start(&blob, |_, offset, body| {
        (ranged(offset, body), body[offset..offset + 10].to_vec())
    })
    .await;
    let error = server.read(&blob).await.expect_err("no end in sight");
    assert!(error.unavailable() && error.to_string().contains("again and again"), "{error}");
    assert_eq!(server.requests(), 17);
}

#[tokio::test]
async fn more_bytes_than_declared_reach_the_verifier() {
    let blob = blob();
    let server = Breaking::start(&blob, |_, _, body| {
        let length = body.len() + 1;
        (format!("200 OK\r\ncontent-length: {length}"), [body, b"x"].concat())
    })
    .await;
    assert_eq!(server.read(&blob).await.expect("a stream").len(), blob.bytes.len() + 1);
}
