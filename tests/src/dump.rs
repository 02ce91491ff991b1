//! Everything that a pull leaves in containerd, as text: two pulls did the same if their dumps are
//! equal.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use containerd_client::services::v1::content_client::ContentClient;
use containerd_client::services::v1::images_client::ImagesClient;
use containerd_client::services::v1::leases_client::LeasesClient;
use containerd_client::services::v1::snapshots::ListSnapshotsRequest;
use containerd_client::services::v1::snapshots::snapshots_client::SnapshotsClient;
use containerd_client::services::v1::{
    CreateRequest as CreateLeaseRequest, DeleteRequest as DeleteLeaseRequest, ListContentRequest,
    ListImagesRequest, ListRequest as ListLeasesRequest,
};
use tonic::Request;
use tonic::transport::Channel;

use crate::cri::Cri;

/// The image records, content, snapshots and CRI answers of Kubernetes' namespace, sorted. Only the
/// times of creation and change are left out.
pub async fn dump(socket: &Path) -> String {
    let cri = Cri::connect(socket).await.expect("containerd answers");
    let mut lines = BTreeSet::new();
    lines.extend(images(cri.channel()).await);
    lines.extend(content(cri.channel()).await);
    lines.extend(snapshots(cri.channel()).await);
    lines.extend(answers(&cri).await);
    lines.into_iter().fold(String::new(), |mut text, line| {
        writeln!(text, "{line}").expect("text grows");
        text
    })
}

/// The leases that are held.
pub async fn leases(socket: &Path) -> Vec<String> {
    lease_expiries(socket).await.into_iter().map(|(id, _)| id).collect()
}

/// Has containerd collect now what nothing refers to, as `ctr leases delete --sync` does. By itself it
/// waits 49 times as long as its collections took so far (`pause_threshold`), and on a busy disk that is
/// minutes.
pub async fn collect(socket: &Path) {
    let cri = Cri::connect(socket).await.expect("containerd answers");
    let mut leases = LeasesClient::new(cri.channel());
    let id = "collect".to_owned();
    let create = CreateLeaseRequest { id: id.clone(), ..CreateLeaseRequest::default() };
    leases.create(in_namespace(create)).await.expect("a lease");
    let delete = DeleteLeaseRequest { id, sync: true };
    leases.delete(in_namespace(delete)).await.expect("a collection");
}

/// When each lease expires by itself; none if it does not.
pub async fn lease_expiries(socket: &Path) -> Vec<(String, Option<String>)> {
    let cri = Cri::connect(socket).await.expect("containerd answers");
    let request = in_namespace(ListLeasesRequest::default());
    let answer = LeasesClient::new(cri.channel()).list(request).await.expect("a list of leases");
    let leases = answer.into_inner().leases.into_iter();
    leases
        .map(|mut lease| {
            let expiry = lease.labels.remove("containerd.io/gc.expire");
            (lease.id, expiry)
        })
        .collect()
}

async fn images(channel: Channel) -> Vec<String> {
    let request = in_namespace(ListImagesRequest::default());
    let answer = ImagesClient::new(channel).list(request).await.expect("a list of images");
    let images = answer.into_inner().images.into_iter();
    images
        .map(|image| {
            let labels = sorted(image.labels);
            format!("image {} labels {labels:?} target {:?}", image.name, image.target)
        })
        .collect()
}

async fn content(channel: Channel) -> Vec<String> {
    let request = in_namespace(ListContentRequest::default());
    let answer = ContentClient::new(channel).list(request).await.expect("a list of content");
    let mut answers = answer.into_inner();
    let mut lines = Vec::new();
    while let Some(part) = answers.message().await.expect("a list of content") {
        for info in part.info {
            let labels = sorted(info.labels);
            lines.push(format!("content {} size {} labels {labels:?}", info.digest, info.size));
        }
    }
    lines
}

async fn snapshots(channel: Channel) -> Vec<String> {
    let request = ListSnapshotsRequest {
        snapshotter: "overlayfs".to_owned(),
        ..ListSnapshotsRequest::default()
    };
    let answer = SnapshotsClient::new(channel).list(in_namespace(request)).await;
    let mut answers = answer.expect("a list of snapshots").into_inner();
    let mut lines = Vec::new();
    while let Some(part) = answers.message().await.expect("a list of snapshots") {
        for info in part.info {
            let (labels, parent, kind) = (sorted(info.labels), info.parent, info.kind);
            lines.push(format!(
                "snapshot {} parent {parent} kind {kind} labels {labels:?}",
                info.name
            ));
        }
    }
    lines
}

async fn answers(cri: &Cri) -> Vec<String> {
    let mut lines = Vec::new();
    for image in cri.list().await.expect("a list of images") {
        let names: Vec<String> = [image.id.clone()]
            .into_iter()
            .chain(image.repo_tags.clone())
            .chain(image.repo_digests.clone())
            .collect();
        for name in names {
            let status = cri.status(&name).await.expect("the status of an image");
            lines.push(format!("status {name} {:?}", status.image));
        }
        lines.push(format!("listed {image:?}"));
    }
    lines
}

fn in_namespace<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    let namespace = "k8s.io".parse().expect("a header value");
    request.metadata_mut().insert("containerd-namespace", namespace);
    request
}

fn sorted(
    labels: std::collections::HashMap<String, String>,
) -> std::collections::BTreeMap<String, String> {
    labels.into_iter().collect()
}
