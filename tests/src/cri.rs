//! A CRI client of one unix socket: containerd's, or pullgate's in front of it.

use std::path::{Path, PathBuf};

use hyper_util::rt::TokioIo;
use pullgate_proto::image_service_client::ImageServiceClient;
use pullgate_proto::runtime_service_client::RuntimeServiceClient;
use pullgate_proto::{
    AuthConfig, ContainerConfig, ContainerMetadata, CreateContainerRequest, ExecSyncRequest, Image,
    ImageSpec, ImageStatusRequest, ImageStatusResponse, LinuxContainerConfig,
    LinuxPodSandboxConfig, LinuxSandboxSecurityContext, ListImagesRequest, NamespaceMode,
    NamespaceOption, PodSandboxConfig, PodSandboxMetadata, PullImageRequest,
    RemoveContainerRequest, RemoveImageRequest, RemovePodSandboxRequest, RunPodSandboxRequest,
    StartContainerRequest, StopContainerRequest, StopPodSandboxRequest, VersionRequest,
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

/// What kubelet does with pods and containers.
impl Cri {
    /// `RunPodSandbox`. Returns the ID.
    ///
    /// # Errors
    /// The status that was answered.
    pub async fn run_sandbox(&self, pod: &PodSandboxConfig) -> Result<String, Status> {
        let request = RunPodSandboxRequest { config: Some(pod.clone()), ..Default::default() };
        let mut runtime = self.runtime();
        let answer = Box::pin(runtime.run_pod_sandbox(request)).await?;
        Ok(answer.into_inner().pod_sandbox_id)
    }

    /// `CreateContainer`. Returns the ID.
    ///
    /// # Errors
    /// The status that was answered.
    pub async fn create(
        &self,
        sandbox: &str,
        pod: &PodSandboxConfig,
        config: ContainerConfig,
    ) -> Result<String, Status> {
        let request = CreateContainerRequest {
            pod_sandbox_id: sandbox.to_owned(),
            config: Some(config),
            sandbox_config: Some(pod.clone()),
        };
        let mut runtime = self.runtime();
        let answer = Box::pin(runtime.create_container(request)).await?;
        Ok(answer.into_inner().container_id)
    }

    /// `StartContainer`.
    ///
    /// # Errors
    /// The status that was answered.
    pub async fn start(&self, container: &str) -> Result<(), Status> {
        let request = StartContainerRequest { container_id: container.to_owned() };
        self.runtime().start_container(request).await?;
        Ok(())
    }

    /// `ExecSync`. Returns what the program has written.
    ///
    /// # Errors
    /// The status that was answered.
    pub async fn exec(&self, container: &str, command: &[&str]) -> Result<Vec<u8>, Status> {
        let request = ExecSyncRequest {
            container_id: container.to_owned(),
            cmd: command.iter().map(|&word| word.to_owned()).collect(),
            timeout: 60,
        };
        let mut runtime = self.runtime();
        Ok(runtime.exec_sync(request).await?.into_inner().stdout)
    }

    /// `StopContainer` without patience, and `RemoveContainer`.
    ///
    /// # Errors
    /// The status that was answered.
    pub async fn remove_container(&self, container: &str) -> Result<(), Status> {
        let container_id = container.to_owned();
        let request = StopContainerRequest { container_id: container_id.clone(), timeout: 0 };
        self.runtime().stop_container(request).await?;
        self.runtime().remove_container(RemoveContainerRequest { container_id }).await?;
        Ok(())
    }

    /// `StopPodSandbox` and `RemovePodSandbox`.
    ///
    /// # Errors
    /// The status that was answered.
    pub async fn remove_sandbox(&self, sandbox: &str) -> Result<(), Status> {
        let pod_sandbox_id = sandbox.to_owned();
        let request = StopPodSandboxRequest { pod_sandbox_id: pod_sandbox_id.clone() };
        self.runtime().stop_pod_sandbox(request).await?;
        self.runtime().remove_pod_sandbox(RemovePodSandboxRequest { pod_sandbox_id }).await?;
        Ok(())
    }
}

/// A pod in the network of the node: it needs no CNI.
#[must_use]
pub fn pod(namespace: &str, name: &str) -> PodSandboxConfig {
    let namespaces = NamespaceOption {
        network: NamespaceMode::Node.into(),
        pid: NamespaceMode::Container.into(),
        ..NamespaceOption::default()
    };
    let security = LinuxSandboxSecurityContext {
        namespace_options: Some(namespaces),
        ..LinuxSandboxSecurityContext::default()
    };
    PodSandboxConfig {
        metadata: Some(PodSandboxMetadata {
            name: name.to_owned(),
            uid: format!("uid-of-{name}"),
            namespace: namespace.to_owned(),
            attempt: 0,
        }),
        linux: Some(LinuxPodSandboxConfig {
            cgroup_parent: "/pullgate-tests".to_owned(),
            security_context: Some(security),
            ..LinuxPodSandboxConfig::default()
        }),
        ..PodSandboxConfig::default()
    }
}

/// A container of a pod of `namespace`, as kubelet labels it. `image` is what kubelet passes, mostly an
/// ID; `user_specified` what the pod says, which kubelets before 1.30 keep for themselves.
#[must_use]
pub fn container(namespace: &str, image: &str, user_specified: &str) -> ContainerConfig {
    let labels = [
        ("io.kubernetes.pod.namespace", namespace),
        ("io.kubernetes.pod.name", "pod"),
        ("io.kubernetes.container.name", "app"),
    ];
    ContainerConfig {
        metadata: Some(ContainerMetadata { name: "app".to_owned(), attempt: 0 }),
        image: Some(ImageSpec {
            image: image.to_owned(),
            user_specified_image: user_specified.to_owned(),
            ..ImageSpec::default()
        }),
        labels: labels.map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
        linux: Some(LinuxContainerConfig::default()),
        ..ContainerConfig::default()
    }
}

fn named(image: &str) -> ImageSpec {
    ImageSpec { image: image.to_owned(), ..ImageSpec::default() }
}
