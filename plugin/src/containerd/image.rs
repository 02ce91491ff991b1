//! Image records. Only an admitted manifest gets one.

use std::collections::HashMap;

use containerd_client::services::v1::images_client::ImagesClient;
use containerd_client::services::v1::{
    CreateImageRequest, GetImageRequest, Image, UpdateImageRequest,
};
use futures_util::future::try_join_all;
use prost_types::FieldMask;
use pullgate_policy::Admission;
use pullgate_policy::digest::Digest;
use tonic::Code;

use super::content::Committed;
use super::error::of;
use super::lease::Lease;
use super::snapshot::wire;
use super::{Containerd, HandoffError, cri_store, request};

pub(super) const GET: &str = "images.Get";

const MANAGED: &str = "io.cri-containerd.image";
const MANAGED_BY_CRI: &str = "managed";
const PINNED: &str = "io.cri-containerd.pinned";
const IS_PINNED: &str = "pinned";

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
    let (immutable, tagged) = names(admission, parts.top.digest(), parts.config.digest());
    let [id, by_digest] = &immutable;
    tokio::try_join!(
        write(lease, id, &parts.top, pinned),
        write(lease, by_digest, &parts.top, pinned),
    )?;
    if let Some(tagged) = &tagged {
        write(lease, tagged, &parts.top, pinned).await?;
    }
    Ok(immutable.into_iter().chain(tagged).collect())
}

/// Whether [`publish`] would change nothing, and CRI shows as much.
///
/// # Errors
/// [`HandoffError`] if containerd does not tell.
pub async fn is_published(
    containerd: &Containerd,
    admission: &Admission,
    top: &Digest,
    id: &Digest,
    pinned: bool,
) -> Result<bool, HandoffError> {
    let (immutable, tagged) = names(admission, top, id);
    let names = immutable.into_iter().chain(tagged).map(|name| async move {
        let (written, shown) = tokio::try_join!(
            is_written(containerd, &name, top, pinned),
            cri_store::shows(containerd, id, &name),
        )?;
        Ok::<_, HandoffError>(written && shown)
    });
    Ok(try_join_all(names).await?.into_iter().all(|same| same))
}

/// The names of an image's records: its ID and `repository@digest`, and `repository:tag`.
fn names(admission: &Admission, top: &Digest, id: &Digest) -> ([String; 2], Option<String>) {
    let reference = admission.reference().reference();
    let repository = reference.repository();
    let tagged = reference.tag().map(|tag| format!("{repository}:{tag}"));
    ([id.to_string(), format!("{repository}@{top}")], tagged)
}

/// The record called `name`; none if there is no such record.
pub(super) async fn record(
    containerd: &Containerd,
    name: &str,
) -> Result<Option<Image>, HandoffError> {
    let get = request(GetImageRequest { name: name.to_owned() });
    match ImagesClient::new(containerd.channel.clone()).get(get).await {
        Ok(answer) => Ok(Some(answer.into_inner().image.unwrap_or_default())),
        Err(status) if status.code() == Code::NotFound => Ok(None),
        Err(status) => Err(HandoffError::from_status(GET, status)),
    }
}

async fn is_written(
    containerd: &Containerd,
    name: &str,
    top: &Digest,
    pinned: bool,
) -> Result<bool, HandoffError> {
    let Some(image) = record(containerd, name).await? else { return Ok(false) };
    let same = image.target.is_some_and(|target| target.digest == top.to_string());
    let labelled = |key, value| image.labels.get(key).is_some_and(|found| found == value);
    Ok(same && labelled(MANAGED, MANAGED_BY_CRI) && (!pinned || labelled(PINNED, IS_PINNED)))
}

async fn write(
    lease: &Lease,
    name: &str,
    top: &Committed,
    pinned: bool,
) -> Result<(), HandoffError> {
    let mut labels = HashMap::from([(MANAGED.to_owned(), MANAGED_BY_CRI.to_owned())]);
    if pinned {
        labels.insert(PINNED.to_owned(), IS_PINNED.to_owned());
    }
    let mut paths: Vec<String> = labels.keys().map(|key| format!("labels.{key}")).collect();
    paths.push("target".to_owned());
    let image =
        Image { name: name.to_owned(), labels, target: Some(wire(top)), ..Image::default() };

    let containerd = lease.containerd();
    let mut client = ImagesClient::new(containerd.channel.clone());
    let create = CreateImageRequest { image: Some(image.clone()), ..CreateImageRequest::default() };
    let written = match client.create(lease.request(create)).await {
        Ok(_) => Ok(()),
        Err(status) if status.code() == Code::AlreadyExists => {
            let update = UpdateImageRequest {
                image: Some(image),
                update_mask: Some(FieldMask { paths }),
                ..UpdateImageRequest::default()
            };
            client.update(lease.request(update)).await.map(drop).map_err(of("images.Update"))
        }
        Err(status) => Err(HandoffError::from_status("images.Create", status)),
    };
    containerd.records.changed();
    written
}
