//! The hand-off: verified content, snapshots and image records, written as containerd's own pull
//! writes them (containerd-handoff.md 1.2 and 1.4). It knows nothing of registries.

pub mod content;
pub mod cri_image;
pub mod cri_store;
pub mod image;
pub mod lease;
pub mod node;
pub mod present;
pub mod settings;
pub mod snapshot;
pub mod store;

mod batched;
mod error;
mod patience;
mod records;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tokio_util::task::TaskTracker;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Channel, Endpoint, Uri};

pub use error::HandoffError;

use crate::hash::Hashing;
pub(crate) use batched::Batched;
use content::{Decompressing, Placing};
use records::Records;

/// The namespace of everything that belongs to Kubernetes.
const NAMESPACE: &str = "k8s.io";

/// containerd's own limit of a message, in both directions.
const MESSAGE_BYTES: usize = 16 << 20;

/// Longest answer to a call that only touches containerd's database.
const METADATA_DEADLINE: Duration = Duration::from_secs(30);

/// A connection to containerd; cheap to clone, connects when first used and again after a restart.
#[derive(Debug, Clone)]
pub struct Containerd {
    channel: Channel,
    cleanups: TaskTracker,
    hashing: Hashing,
    placing: Arc<Placing>,
    decompressing: Decompressing,
    records: Arc<Records>,
}

impl Containerd {
    /// A client of the containerd that listens at `socket`. Must be called inside a tokio runtime.
    #[must_use]
    pub fn new(socket: &Path) -> Self {
        let hashing = Hashing::by_each_pull();
        let (cleanups, placing, records) = (TaskTracker::new(), Arc::default(), Arc::default());
        let decompressing = Decompressing::here();
        Self { channel: connect(socket), cleanups, hashing, placing, decompressing, records }
    }

    /// The same, with content hashed by `hashing`.
    #[must_use]
    pub fn hashed_by(self, hashing: Hashing) -> Self {
        Self { hashing, ..self }
    }

    /// The same, with layers placed as files into the folder of its content store where that is
    /// possible, or sent over its API.
    #[must_use]
    pub fn layers_placed(self, placed: bool) -> Self {
        let placing = if placed { Placing::default() } else { Placing::off() };
        Self { placing: Arc::new(placing), ..self }
    }

    /// The same, with compressed layers that are files there unpacked from archives that are made here,
    /// or decompressed by containerd.
    #[must_use]
    pub fn layers_decompressed(self, here: bool) -> Self {
        let decompressing =
            if here { Decompressing::here() } else { Decompressing::by_containerd() };
        Self { decompressing, ..self }
    }

    /// Waits until what cancelled pulls left behind has been cleaned up.
    pub async fn drain(&self) {
        self.cleanups.close();
        self.cleanups.wait().await;
    }

    fn cri_images(&self) -> CriImages {
        CriImages::new(self.channel.clone())
            .max_decoding_message_size(MESSAGE_BYTES)
            .max_encoding_message_size(MESSAGE_BYTES)
    }
}

/// A connection to the unix socket `socket`, made when it is first used and again after it broke. Must
/// be called inside a tokio runtime.
pub(crate) fn connect(socket: &Path) -> Channel {
    let socket = PathBuf::from(socket);
    let connector = tower::service_fn(move |_: Uri| {
        let socket = socket.clone();
        async move {
            let stream = UnixStream::connect(socket).await?;
            Ok::<_, io::Error>(TokioIo::new(Batched::new(stream)))
        }
    });
    Endpoint::from_static("http://localhost")
        .initial_connection_window_size(4 << 20)
        .initial_stream_window_size(1 << 20)
        .connect_with_connector_lazy(connector)
}

type CriImages = pullgate_proto::image_service_client::ImageServiceClient<Channel>;

/// A request in Kubernetes' namespace, with a deadline.
fn request<T>(message: T) -> tonic::Request<T> {
    let mut request = stream(message);
    request.set_timeout(METADATA_DEADLINE);
    request
}

/// A request in the namespace `namespace`, with a deadline.
fn request_in<T>(namespace: &MetadataValue<Ascii>, message: T) -> tonic::Request<T> {
    let mut request = request(message);
    request.metadata_mut().insert("containerd-namespace", namespace.clone());
    request
}

/// A request in Kubernetes' namespace that ends when its work does.
fn stream<T>(message: T) -> tonic::Request<T> {
    let mut request = tonic::Request::new(message);
    request.metadata_mut().insert("containerd-namespace", MetadataValue::from_static(NAMESPACE));
    request
}
