//! The registry and the store of signatures, and what they answer.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use http::Response;
use http_body_util::Full;
use pullgate_tests::server::{self, Answer, Server};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// What stands in a document's place.
#[derive(Debug, Clone)]
pub(crate) enum Content {
    /// Bytes; what is compressed with gzip is served as `Content-Encoding: gzip`.
    Bytes(Vec<u8>),
    /// Bytes without end.
    Endless,
    /// The same under every number.
    Numbered(Vec<u8>),
}

/// The media type and content at each path.
pub(crate) type Answers = BTreeMap<String, (String, Content)>;

pub(crate) struct Stores {
    server: Server,
    answers: Arc<Mutex<Answers>>,
    pump: JoinHandle<()>,
}

impl Stores {
    /// Has nothing yet.
    pub(crate) async fn start() -> Self {
        let answers = Arc::new(Mutex::new(Answers::new()));
        let (endless, pump) = pump().await;
        let asked = Arc::clone(&answers);
        let server = Server::start(move |request| {
            answer(&asked.lock().expect("no answer panics"), request.uri().path(), &endless)
        })
        .await;
        Self { server, answers, pump }
    }

    /// Has these, and nothing else.
    pub(crate) fn set(&self, answers: Answers) {
        *self.answers.lock().expect("no answer panics") = answers;
    }

    pub(crate) fn host(&self) -> String {
        self.server.host()
    }

    pub(crate) fn url(&self) -> String {
        self.server.url()
    }
}

impl Drop for Stores {
    fn drop(&mut self) {
        self.pump.abort();
    }
}

fn answer(answers: &Answers, path: &str, endless: &str) -> Answer {
    if path == "/v2/" {
        let offered = answers.keys().any(|path| path.starts_with("/extensions/"));
        let value = if offered { "1" } else { "0" };
        let answer = Response::builder().header("x-registry-supports-signatures", value);
        return answer.body(Full::default()).expect("a header");
    }
    let found = match path.split_once("signature-") {
        Some((folder, number)) if number != "1" => answers
            .get(&format!("{folder}signature-1"))
            .filter(|(_, content)| matches!(content, Content::Numbered(_))),
        _ => answers.get(path),
    };
    match found {
        None => server::status(http::StatusCode::NOT_FOUND),
        Some((media_type, Content::Endless)) => Response::builder()
            .status(307)
            .header("location", format!("{endless}/{media_type}"))
            .body(Full::default())
            .expect("a header"),
        Some((media_type, Content::Bytes(bytes) | Content::Numbered(bytes))) => {
            let mut answer = Response::builder().header("content-type", media_type);
            if bytes.starts_with(b"\x1f\x8b") {
                answer = answer.header("content-encoding", "gzip");
            }
            answer.body(Full::from(bytes.clone())).expect("a header")
        }
    }
}

/// A server whose answers have no end, of the media type that the path says.
async fn pump() -> (String, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    let task = tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.expect("a connection");
            let mut request = [0; 4096];
            let length = stream.read(&mut request).await.expect("a request");
            let request = String::from_utf8_lossy(&request[..length]).into_owned();
            let media_type = request.split(' ').nth(1).unwrap_or_default().trim_start_matches('/');
            let head = format!("HTTP/1.1 200 OK\r\ncontent-type: {media_type}\r\n\r\n");
            let mut rest = head.into_bytes();
            while stream.write_all(&rest).await.is_ok() {
                rest = vec![b' '; 1 << 16];
            }
        }
    });
    (format!("http://{address}"), task)
}
