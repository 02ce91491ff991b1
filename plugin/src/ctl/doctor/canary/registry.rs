//! A registry on loopback that holds the canaries, and lies where they need it.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use pullgate_policy::digest::Digest;
use pullgate_policy::signature::extension;
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};

use super::image::{Image, OF_STRANGER};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// What is wrong with an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Canary {
    /// Nobody has signed it.
    Unsigned,
    /// A key has signed it that nobody knows.
    WrongKey,
    /// A layer is not what the manifest says.
    Tampered,
    /// The tag names one manifest and gives another.
    Moved,
}

impl Canary {
    pub(super) const ALL: [Self; 4] = [Self::Unsigned, Self::WrongKey, Self::Tampered, Self::Moved];

    /// The name of its repository.
    pub(super) const fn repository(self) -> &'static str {
        match self {
            Self::Unsigned => "canary/unsigned",
            Self::WrongKey => "canary/wrong-key",
            Self::Tampered => "canary/tampered",
            Self::Moved => "canary/moved",
        }
    }

    fn image(self) -> Image {
        match self {
            Self::WrongKey => Image::of_stranger(),
            Self::Unsigned | Self::Tampered | Self::Moved => Image::new(),
        }
    }
}

/// The registry at work. Dropping it ends it.
#[derive(Debug)]
pub(super) struct Registry {
    address: SocketAddr,
    asked: Arc<Mutex<BTreeSet<Canary>>>,
    images: Arc<BTreeMap<Canary, Image>>,
    task: JoinHandle<()>,
}

impl Registry {
    pub(super) async fn start() -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let images = Canary::ALL.into_iter().map(|canary| (canary, canary.image()));
        let images = Arc::new(images.collect::<BTreeMap<_, _>>());
        let asked = Arc::default();
        let shelf = Shelf { images: Arc::clone(&images), asked: Arc::clone(&asked) };
        let task = tokio::spawn(serve(listener, shelf));
        Ok(Self { address, asked, images, task })
    }

    /// The reference of a canary.
    pub(super) fn reference(&self, canary: Canary) -> String {
        format!("{}/{}:v1", self.address, canary.repository())
    }

    /// The image ID that a canary would have.
    pub(super) fn id(&self, canary: Canary) -> Option<Digest> {
        self.images.get(&canary).map(|image| Digest::sha256(&image.config))
    }

    /// Whether somebody has asked for its manifest.
    pub(super) fn was_asked(&self, canary: Canary) -> bool {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).contains(&canary)
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(listener: TcpListener, shelf: Shelf) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let shelf = shelf.clone();
        let service = service_fn(move |request: Request<Incoming>| {
            std::future::ready(Ok::<_, Infallible>(shelf.answer(request.uri().path())))
        });
        connections.spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}

#[derive(Clone)]
struct Shelf {
    images: Arc<BTreeMap<Canary, Image>>,
    asked: Arc<Mutex<BTreeSet<Canary>>>,
}

type Answer = Response<Full<Bytes>>;

impl Shelf {
    fn answer(&self, path: &str) -> Answer {
        if path.trim_end_matches('/') == "/v2" {
            let mut answer = Answer::default();
            if let (Ok(name), Ok(value)) = (
                http::HeaderName::try_from(extension::OFFER.0),
                http::HeaderValue::try_from(extension::OFFER.1),
            ) {
                answer.headers_mut().insert(name, value);
            }
            return answer;
        }
        self.find(path).unwrap_or_else(|| {
            let mut answer = Answer::default();
            *answer.status_mut() = StatusCode::NOT_FOUND;
            answer
        })
    }

    fn find(&self, path: &str) -> Option<Answer> {
        let path = path.strip_prefix("/extensions").unwrap_or(path).strip_prefix("/v2/")?;
        let named = |canary: &&Canary| path.starts_with(canary.repository());
        let canary = *Canary::ALL.iter().find(named)?;
        let image = self.images.get(&canary)?;
        let (kind, name) =
            path.strip_prefix(canary.repository())?.strip_prefix('/')?.split_once('/')?;
        match kind {
            "manifests" => {
                self.asked.lock().unwrap_or_else(PoisonError::into_inner).insert(canary);
                // The tag was moved after it was named: the digest is the old one.
                let digest = match canary {
                    Canary::Moved => Image::new().digest(),
                    Canary::Unsigned | Canary::WrongKey | Canary::Tampered => image.digest(),
                };
                let known = name == "v1" || name == image.digest().to_string();
                let answer = Response::builder().header("content-type", MANIFEST);
                let answer = answer.header("docker-content-digest", digest.to_string());
                known.then(|| answer.body(image.manifest.clone().into()).ok()).flatten()
            }
            "blobs" => self.blob(canary, image, name),
            "signatures" => {
                let content = STANDARD.encode(OF_STRANGER);
                let signatures = match canary {
                    Canary::WrongKey => format!(
                        r#"{{"schemaVersion":2,"name":"{name}","type":"atomic","content":"{content}"}}"#
                    ),
                    Canary::Unsigned | Canary::Tampered | Canary::Moved => String::new(),
                };
                Some(Response::new(format!(r#"{{"signatures":[{signatures}]}}"#).into()))
            }
            _ => None,
        }
    }

    fn blob(&self, canary: Canary, image: &Image, name: &str) -> Option<Answer> {
        let mut bytes = [&image.config, &image.layer]
            .into_iter()
            .find(|bytes| Digest::sha256(bytes).to_string() == name)?
            .clone();
        if canary == Canary::Tampered && bytes == image.layer {
            *bytes.last_mut()? ^= 1;
        }
        Some(Response::new(bytes.into()))
    }
}
