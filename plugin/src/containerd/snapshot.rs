//! Snapshots: layers unpacked one on top of the other, each compared with the image configuration.

use std::collections::HashMap;
use std::time::Duration;

use containerd_client::services::v1::ApplyRequest;
use containerd_client::services::v1::diff_client::DiffClient;
use containerd_client::services::v1::snapshots::snapshots_client::SnapshotsClient;
use containerd_client::services::v1::snapshots::{
    CommitSnapshotRequest, PrepareSnapshotRequest, RemoveSnapshotRequest, StatSnapshotRequest,
};
use containerd_client::types::{Descriptor as WireDescriptor, Mount};
use pullgate_policy::digest::Digest;
use pullgate_policy::manifest::Layer;
use tonic::{Code, Status};

use super::content::{self, Committed, Decompressed};
use super::error::of;
use super::lease::{Lease, unique};
use super::{Containerd, HandoffError, MESSAGE_BYTES, request};

/// Longest unpacking of one layer. containerd itself sets no bound; a layer that takes longer is
/// taken for stuck.
const APPLY_DEADLINE: Duration = Duration::from_secs(60 * 60);

const SNAPSHOT_REF: &str = "containerd.io/snapshot.ref";
const UNCOMPRESSED: &str = "containerd.io/uncompressed";

/// Unpacks one committed layer on top of its parent, from its archive if there is one, unless its
/// snapshot is there already.
///
/// # Errors
/// [`HandoffError::DiffId`] if the layer is not the one that the image configuration names,
/// [`HandoffError::ParentMissing`] if the parent's snapshot was collected meanwhile: start again from
/// the lowest layer.
pub async fn unpack(
    lease: &Lease,
    snapshotter: &str,
    layer: &Layer,
    blob: &Committed,
    archive: Option<&Decompressed>,
) -> Result<(), HandoffError> {
    let key = format!("extract-{} {}", unique(), layer.chain_id);
    let extraction = Extraction { lease, snapshotter, layer, key };
    let Some(mounts) = extraction.prepare().await? else { return Ok(()) };
    let (blob, unpacked) = match archive {
        Some(archive) => (archive.blob(), archive.blob().digest()),
        None => (blob, &layer.diff_id),
    };
    let outcome = match extraction.apply(blob, unpacked, mounts).await {
        Ok(()) => extraction.commit().await,
        Err(error) => Err(error),
    };
    if outcome.is_err() {
        extraction.remove().await;
    }
    outcome
}

/// Notes at an unpacked layer what it unpacks to.
///
/// # Errors
/// [`HandoffError`] if containerd refuses.
pub async fn label(lease: &Lease, layer: &Layer, blob: &Committed) -> Result<(), HandoffError> {
    let diff_id = (UNCOMPRESSED.to_owned(), layer.diff_id.to_string());
    content::add_labels(lease, blob.digest(), &content::Labels::from([diff_id])).await
}

/// Whether a snapshot is there. Only an answer about one that the lease keeps stays true.
///
/// # Errors
/// [`HandoffError`] if containerd refuses to tell.
pub async fn exists(
    containerd: &Containerd,
    snapshotter: &str,
    chain_id: &Digest,
) -> Result<bool, HandoffError> {
    match stat(containerd, snapshotter, chain_id).await {
        Ok(()) => Ok(true),
        Err(status) if status.code() == Code::NotFound => Ok(false),
        Err(status) => Err(HandoffError::from_status("snapshots.Stat", status)),
    }
}

/// Whether a snapshot is there, and the configuration `config` keeps it.
///
/// # Errors
/// [`HandoffError`] if containerd refuses to tell.
pub async fn is_kept(
    containerd: &Containerd,
    snapshotter: &str,
    config: &Digest,
    chain_id: &Digest,
) -> Result<bool, HandoffError> {
    let (key, value) = reference(snapshotter, chain_id);
    let there = exists(containerd, snapshotter, chain_id);
    let (labels, there) = tokio::try_join!(containerd.labels(config), there)?;
    Ok(there && labels.is_some_and(|labels| labels.get(&key) == Some(&value)))
}

async fn stat(containerd: &Containerd, snapshotter: &str, chain_id: &Digest) -> Result<(), Status> {
    let (snapshotter, key) = (snapshotter.to_owned(), chain_id.to_string());
    let message = request(StatSnapshotRequest { snapshotter, key });
    snapshots(containerd).stat(message).await.map(drop)
}

fn snapshots(containerd: &Containerd) -> SnapshotsClient<tonic::transport::Channel> {
    SnapshotsClient::new(containerd.channel.clone()).max_decoding_message_size(MESSAGE_BYTES)
}

/// One layer on its way to a snapshot.
struct Extraction<'a> {
    lease: &'a Lease,
    snapshotter: &'a str,
    layer: &'a Layer,
    key: String,
}

impl Extraction<'_> {
    /// Mounts to unpack into, or none if the snapshot exists. Asking for the snapshot first and
    /// skipping this call would leave it out of the lease (containerd-handoff.md 1.4.2).
    async fn prepare(&self) -> Result<Option<Vec<Mount>>, HandoffError> {
        const CALL: &str = "snapshots.Prepare";
        let message = PrepareSnapshotRequest {
            snapshotter: self.snapshotter.to_owned(),
            key: self.key.clone(),
            parent: self.layer.parent.as_ref().map(ToString::to_string).unwrap_or_default(),
            labels: self.labels(),
        };
        match snapshots(self.lease.containerd()).prepare(self.lease.request(message)).await {
            Ok(answer) => Ok(Some(answer.into_inner().mounts)),
            Err(status) if status.code() == Code::AlreadyExists => {
                self.keep(CALL).await?;
                Ok(None)
            }
            Err(status) => Err(self.missing(CALL, status)),
        }
    }

    /// Puts a snapshot that somebody else made under the lease, which containerd 1.6 does not do
    /// itself, and looks whether it is still there.
    async fn keep(&self, call: &'static str) -> Result<(), HandoffError> {
        let chain_id = &self.layer.chain_id;
        self.lease.keep_snapshot(self.snapshotter, chain_id).await?;
        let there = stat(self.lease.containerd(), self.snapshotter, chain_id).await;
        there.map_err(|status| self.missing(call, status))
    }

    fn missing(&self, call: &'static str, status: Status) -> HandoffError {
        if status.code() == Code::NotFound {
            return HandoffError::ParentMissing { chain_id: self.layer.chain_id.clone() };
        }
        HandoffError::from_status(call, status)
    }

    /// Unpacks, and compares the digest of what was unpacked: containerd does not do it for a client.
    async fn apply(
        &self,
        blob: &Committed,
        expected: &Digest,
        mounts: Vec<Mount>,
    ) -> Result<(), HandoffError> {
        const CALL: &str = "diff.Apply";
        let message = ApplyRequest { diff: Some(wire(blob)), mounts, ..ApplyRequest::default() };
        let mut request = self.lease.stream(message);
        request.set_timeout(APPLY_DEADLINE);
        let mut client = DiffClient::new(self.lease.containerd().channel.clone());
        let answer = client.apply(request).await.map_err(of(CALL))?;
        let applied = answer.into_inner().applied.unwrap_or_default();
        if applied.digest == expected.to_string() {
            return Ok(());
        }
        Err(HandoffError::DiffId {
            layer: self.layer.descriptor.digest.clone(),
            expected: expected.clone(),
            found: applied.digest,
        })
    }

    async fn commit(&self) -> Result<(), HandoffError> {
        const CALL: &str = "snapshots.Commit";
        let message = CommitSnapshotRequest {
            snapshotter: self.snapshotter.to_owned(),
            name: self.layer.chain_id.to_string(),
            key: self.key.clone(),
            labels: self.labels(),
        };
        match snapshots(self.lease.containerd()).commit(self.lease.request(message)).await {
            Ok(_) => Ok(()),
            // Another pull was faster with the same layer.
            Err(status) if status.code() == Code::AlreadyExists => {
                self.remove().await;
                self.keep(CALL).await
            }
            Err(status) => Err(HandoffError::from_status(CALL, status)),
        }
    }

    async fn remove(&self) {
        let message = RemoveSnapshotRequest {
            snapshotter: self.snapshotter.to_owned(),
            key: self.key.clone(),
        };
        if let Err(status) =
            snapshots(self.lease.containerd()).remove(self.lease.request(message)).await
        {
            tracing::debug!(%status, "a snapshot is left to the garbage collector");
        }
    }

    fn labels(&self) -> HashMap<String, String> {
        HashMap::from([(SNAPSHOT_REF.to_owned(), self.layer.chain_id.to_string())])
    }
}

/// The label that keeps an image's top snapshot as long as its configuration.
#[must_use]
pub fn reference(snapshotter: &str, chain_id: &Digest) -> (String, String) {
    (format!("containerd.io/gc.ref.snapshot.{snapshotter}"), chain_id.to_string())
}

pub(super) fn wire(blob: &Committed) -> WireDescriptor {
    let descriptor = blob.descriptor();
    WireDescriptor {
        media_type: descriptor.media_type.clone(),
        digest: descriptor.digest.to_string(),
        size: i64::try_from(descriptor.size).unwrap_or(i64::MAX),
        ..WireDescriptor::default()
    }
}
