//! What is on the node already: images, their records and documents, and the containers that run.

use std::collections::BTreeSet;

use bytes::{Bytes, BytesMut};
use containerd_client::services::v1::ReadContentRequest;
use containerd_client::services::v1::content_client::ContentClient;
use pullgate_policy::digest::Digest;
use pullgate_proto::runtime_service_client::RuntimeServiceClient;
use pullgate_proto::{
    ContainerFilter, ContainerState, ContainerStateValue, ImageSpec, ImageStatusRequest,
    ListContainersRequest, ListImagesRequest, StatusRequest,
};
use tonic::Code;

use super::error::of;
use super::{Containerd, HandoffError, MESSAGE_BYTES, image, request};

/// Where kubelet tells whose container it is.
const POD_NAMESPACE: &str = "io.kubernetes.pod.namespace";
const POD_NAME: &str = "io.kubernetes.pod.name";

/// An image as CRI shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Present {
    /// The image ID: the digest of the configuration.
    pub id: Digest,
    /// Its names, with tags first.
    pub names: Vec<String>,
}

/// What an image record points to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The media type.
    pub media_type: String,
    /// The digest.
    pub digest: Digest,
}

/// A container that runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Running {
    /// Its ID.
    pub id: String,
    /// Its name in the pod.
    pub name: String,
    /// Its image as kubelet named it.
    pub image: String,
    /// What the pod says for the image, where kubelet passes it on.
    pub user_specified: String,
    /// The namespace of its pod.
    pub namespace: String,
    /// The name of its pod.
    pub pod: String,
}

impl Containerd {
    /// The image that CRI resolves `image` to; none if it knows no such image.
    ///
    /// # Errors
    /// [`HandoffError`] if containerd does not tell.
    pub async fn present(&self, image: &str) -> Result<Option<Present>, HandoffError> {
        const CALL: &str = "ImageStatus";
        let image = ImageSpec { image: image.to_owned(), ..ImageSpec::default() };
        let message = ImageStatusRequest { image: Some(image), verbose: false };
        let answer = self.cri_images().image_status(request(message)).await.map_err(of(CALL))?;
        let Some(image) = answer.into_inner().image else { return Ok(None) };
        let id = digest(CALL, &image.id)?;
        Ok(Some(Present { id, names: [image.repo_tags, image.repo_digests].concat() }))
    }

    /// What the image record `name` points to; none if there is no such record. It is asked for unless it
    /// is known from before and [`Containerd::follow_records`] runs.
    ///
    /// # Errors
    /// [`HandoffError`] if containerd does not tell.
    pub async fn target(&self, name: &str) -> Result<Option<Target>, HandoffError> {
        let moment = match self.records.get(name) {
            Ok(known) => return Ok(Some(known)),
            Err(moment) => moment,
        };
        let Some(record) = image::record(self, name).await? else { return Ok(None) };
        let target = record.target.unwrap_or_default();
        let digest = digest(image::GET, &target.digest)?;
        let target = Target { media_type: target.media_type, digest };
        self.records.keep(moment, name, &target);
        Ok(Some(target))
    }

    /// The content `digest`, not yet hashed; none if containerd does not hold it, or it is larger than
    /// `limit`.
    ///
    /// # Errors
    /// [`HandoffError`] if containerd does not give it.
    pub async fn content(
        &self,
        digest: &Digest,
        limit: usize,
    ) -> Result<Option<Bytes>, HandoffError> {
        const CALL: &str = "content.Read";
        let message = ReadContentRequest { digest: digest.to_string(), offset: 0, size: 0 };
        let mut client = ContentClient::new(self.channel.clone());
        let mut answers = match client.read(request(message)).await {
            Ok(answer) => answer.into_inner(),
            Err(status) if status.code() == Code::NotFound => return Ok(None),
            Err(status) => return Err(HandoffError::from_status(CALL, status)),
        };
        let mut bytes = BytesMut::new();
        loop {
            match answers.message().await {
                Ok(Some(part)) => bytes.extend_from_slice(&part.data),
                Ok(None) => return Ok(Some(bytes.freeze())),
                Err(status) if status.code() == Code::NotFound => return Ok(None),
                Err(status) => return Err(HandoffError::from_status(CALL, status)),
            }
            if bytes.len() > limit {
                return Ok(None);
            }
        }
    }

    /// The IDs of all images.
    ///
    /// # Errors
    /// [`HandoffError`] if containerd does not tell.
    pub async fn images(&self) -> Result<BTreeSet<String>, HandoffError> {
        let answer = self.cri_images().list_images(request(ListImagesRequest::default())).await;
        let images = answer.map_err(of("ListImages"))?.into_inner().images;
        Ok(images.into_iter().map(|image| image.id).collect())
    }

    /// The containers that run.
    ///
    /// # Errors
    /// [`HandoffError`] if containerd does not tell.
    pub async fn running(&self) -> Result<Vec<Running>, HandoffError> {
        let state = ContainerState::ContainerRunning.into();
        let filter = ContainerFilter {
            state: Some(ContainerStateValue { state }),
            ..ContainerFilter::default()
        };
        let message = ListContainersRequest { filter: Some(filter) };
        let answer = self.cri_runtime().list_containers(request(message)).await;
        let containers = answer.map_err(of("ListContainers"))?.into_inner().containers;
        let running = containers.into_iter().map(|mut container| {
            let image = container.image.unwrap_or_default();
            let mut label = |key| container.labels.remove(key).unwrap_or_default();
            Running {
                namespace: label(POD_NAMESPACE),
                pod: label(POD_NAME),
                id: container.id,
                name: container.metadata.unwrap_or_default().name,
                image: image.image,
                user_specified: image.user_specified_image,
            }
        });
        Ok(running.collect())
    }

    /// The image that CRI makes sandboxes of, where it tells: containerd 1.6 and 1.7 do.
    ///
    /// # Errors
    /// [`HandoffError`] if containerd does not answer.
    pub async fn sandbox_image(&self) -> Result<Option<String>, HandoffError> {
        let answer = self.cri_runtime().status(request(StatusRequest { verbose: true })).await;
        let info = answer.map_err(of("Status"))?.into_inner().info;
        let config = info.get("config").map(String::as_str).unwrap_or_default();
        let config: serde_json::Value = serde_json::from_str(config).unwrap_or_default();
        let image = config.get("sandboxImage").and_then(serde_json::Value::as_str);
        Ok(image.filter(|image| !image.is_empty()).map(str::to_owned))
    }

    fn cri_runtime(&self) -> RuntimeServiceClient<tonic::transport::Channel> {
        RuntimeServiceClient::new(self.channel.clone()).max_decoding_message_size(MESSAGE_BYTES)
    }
}

fn digest(call: &'static str, text: &str) -> Result<Digest, HandoffError> {
    let what = "an image without a digest";
    text.parse().map_err(|_not_a_digest| HandoffError::Unexpected { call, what })
}
