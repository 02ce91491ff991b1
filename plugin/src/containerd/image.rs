//! Image records. Only an admitted manifest gets one.

use std::collections::HashMap;

use containerd_client::services::v1::images_client::ImagesClient;
use containerd_client::services::v1::{CreateImageRequest, Image, UpdateImageRequest};
use prost_types::FieldMask;
use pullgate_policy::Admission;
use tonic::Code;

use super::HandoffError;
use super::content::Committed;
use super::error::of;
use super::lease::Lease;
use super::snapshot::wire;

const MANAGED: &str = "io.cri-containerd.image";
const PINNED: &str = "io.cri-containerd.pinned";

/// What an image consists of, all of it held by containerd.
#[derive(Debug, Clone)]
pub struct Parts {
    /// What the reference resolved to: the index, or the manifest itself.
    pub top: Committed,
    /// The manifest of the image.
    pub manifest: Committed,
    /// Its configuration, whose digest is the image ID.
    pub config: Committed,
}

/// Writes the image records: ID, `repository@digest`, and `repository:tag` last, so that the tag moves
/// when everything else is in place. Returns their names.
///
/// # Errors
/// [`HandoffError::NotAdmitted`] if `admission` is for another manifest, or containerd's refusal.
pub async fn publish(
    lease: &Lease,
    admission: &Admission,
    parts: &Parts,
    pinned: bool,
) -> Result<Vec<String>, HandoffError> {
    if admission.manifest() != parts.manifest.digest() {
        return Err(HandoffError::NotAdmitted {
            manifest: parts.manifest.digest().clone(),
            admitted: admission.manifest().clone(),
        });
    }
    let reference = admission.reference().reference();
    let repository = reference.repository();
    let tagged = reference.tag().map(|tag| format!("{repository}:{tag}"));
    let by_digest = format!("{repository}@{}", parts.top.digest());
    let names: Vec<String> =
        [parts.config.digest().to_string(), by_digest].into_iter().chain(tagged).collect();
    for name in &names {
        write(lease, name, &parts.top, pinned).await?;
    }
    Ok(names)
}

async fn write(
    lease: &Lease,
    name: &str,
    top: &Committed,
    pinned: bool,
) -> Result<(), HandoffError> {
    let mut labels = HashMap::from([(MANAGED.to_owned(), "managed".to_owned())]);
    if pinned {
        labels.insert(PINNED.to_owned(), "pinned".to_owned());
    }
    let mut paths: Vec<String> = labels.keys().map(|key| format!("labels.{key}")).collect();
    paths.push("target".to_owned());
    let image =
        Image { name: name.to_owned(), labels, target: Some(wire(top)), ..Image::default() };

    let mut client = ImagesClient::new(lease.containerd().channel.clone());
    let create = CreateImageRequest { image: Some(image.clone()), ..CreateImageRequest::default() };
    match client.create(lease.request(create)).await {
        Ok(_) => Ok(()),
        Err(status) if status.code() == Code::AlreadyExists => {
            let update = UpdateImageRequest {
                image: Some(image),
                update_mask: Some(FieldMask { paths }),
                ..UpdateImageRequest::default()
            };
            client.update(lease.request(update)).await.map_err(of("images.Update"))?;
            Ok(())
        }
        Err(status) => Err(HandoffError::from_status("images.Create", status)),
    }
}
