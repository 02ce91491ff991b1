//! A CRI client of one unix socket: containerd's, or pullgate's in front of it.

use std::path::{Path, PathBuf};

use hyper_util::rt::TokioIo;
use pullgate_proto::image_service_client::ImageServiceClient;
use pullgate_proto::runtime_service_client::RuntimeServiceClient;
use pullgate_proto::{
    AuthConfig, Image, ImageSpec, ImageStatusRequest, ImageStatusResponse, ListImagesRequest,
    PodSandboxConfig, PodSandboxMetadata, PullImageRequest, RemoveImageRequest, VersionRequest,
    VersionResponse,
};
use tokio::net::UnixStream;
use tonic::transport::{Channel, Endpoint, Uri};
use tonic::{Request, Status};

/// The size of a message that the kubelet accepts.
const MESSAGE_LIMIT: usize = 16 << 20;

/// A client. Clones share the connection.
#[derive(Debug, Clone)]
pub struct Cri {
    channel: Channel,
}

impl Cri {
    /// Connects to a unix socket. None if nobody listens there.
    pub async fn connect(socket: &Path) -> Option<Self> {
        let socket: PathBuf = socket.to_owned();
        let connector = tower::service_fn(move |_: Uri| {
            let socket = socket.clone();
            async move { UnixStream::connect(socket).await.map(TokioIo::new) }
        });
        let endpoint = Endpoint::from_static("http://localhost");
        let channel = endpoint.connect_with_connector(connector).await.ok()?;
        Some(Self { channel })
    }

    /// The connection, for calls that have no method here.
    #[must_use]
    pub fn channel(&self) -> Channel {
        self.channel.clone()
    }

    /// The image service.
    #[must_use]
    pub fn images(&self) -> ImageServiceClient<Channel> {
        ImageServiceClient::new(self.channel()).max_decoding_message_size(MESSAGE_LIMIT)
    }

    /// The runtime service.
    #[must_use]
    pub fn runtime(&self) -> RuntimeServiceClient<Channel> {
        RuntimeServiceClient::new(self.channel()).max_decoding_message_size(MESSAGE_LIMIT)
    }

    /// Version.
    ///
    /// # Errors
    /// The status that was answered.
    pub async fn version(&self) -> Result<VersionResponse, Status> {
        let request = VersionRequest { version: "v1".to_owned() };
        Ok(self.runtime().version(request).await?.into_inner())
    }

    /// `PullImage` without credentials. Returns the image ID.
    ///
    /// # Errors
    /// The status that was answered.
    pub async fn pull(&self, image: &str) -> Result<String, Status> {
        self.pull_as(image, None, None).await
    }

    /// `PullImage` with credentials and for a pod. Returns the image ID.
    ///
    /// # Errors
    /// The status that was answered.
    pub async fn pull_as(
        &self,
        image: &str,
        auth: Option<AuthConfig>,
        sandbox_config: Option<PodSandboxConfig>,
    ) -> Result<String, Status> {
        let request = PullImageRequest { image: Some(named(image)), auth, sandbox_config };
        Ok(self.images().pull_image(request).await?.into_inner().image_ref)
    }

    /// `PullImage` for a pod of `namespace`. Returns the image ID.
    ///
    /// # Errors
    /// The status that was answered.
    pub async fn pull_for(&self, namespace: &str, image: &str) -> Result<String, Status> {
        let metadata = PodSandboxMetadata {
            name: "pod".to_owned(),
            uid: "a-uid".to_owned(),
            namespace: namespace.to_owned(),
            attempt: 0,
        };
        let pod = PodSandboxConfig { metadata: Some(metadata), ..PodSandboxConfig::default() };
        self.pull_as(image, None, Some(pod)).await
    }

    /// `ImageStatus`, verbose.
    ///
    /// # Errors
    /// The status that was answered.
    pub async fn status(&self, image: &str) -> Result<ImageStatusResponse, Status> {
        let request = ImageStatusRequest { image: Some(named(image)), verbose: true };
        Ok(self.images().image_status(request).await?.into_inner())
    }

    /// `ListImages`, sorted by ID.
    ///
    /// # Errors
    /// The status that was answered.
    pub async fn list(&self) -> Result<Vec<Image>, Status> {
        let answer = self.images().list_images(Request::new(ListImagesRequest::default())).await?;
        let mut images = answer.into_inner().images;
        images.sort_by(|one, other| one.id.cmp(&other.id));
        Ok(images)
    }

    /// `RemoveImage`.
    ///
    /// # Errors
    /// The status that was answered.
    pub async fn remove(&self, image: &str) -> Result<(), Status> {
        let request = RemoveImageRequest { image: Some(named(image)) };
        self.images().remove_image(request).await?;
        Ok(())
    }
}

fn named(image: &str) -> ImageSpec {
    ImageSpec { image: image.to_owned(), ..ImageSpec::default() }
}
