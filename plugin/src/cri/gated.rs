//! Calls that pass byte for byte, but only after the gate has said yes: `CreateContainer` and
//! `RunPodSandbox`.

use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use prost::Message;
use pullgate_proto::{CreateContainerRequest, RunPodSandboxRequest};

use super::pull_image::pod;
use super::status::{self, Code, Status};
use super::upload::Outgoing;
use super::{Body, Door, message};
use crate::audit;
use crate::metrics::Service;
use crate::pull::{Presence, PullError, Wanted};

/// Answers `CreateContainer`: its image, and every image that it mounts, must be accepted.
pub(super) async fn create_container(
    door: &Door,
    request: Request<Incoming>,
) -> Result<Response<Body>, h2::Error> {
    let (request, message, deadline) = match read::<CreateContainerRequest>(door, request).await {
        Ok(read) => read,
        Err(status) => return Ok(status.response()),
    };
    let decided = (door.admit)(wanted(message));
    let presence = match within(deadline, decided).await {
        Ok(presence) => presence,
        Err(status) => return Ok(status.response()),
    };
    door.metrics.call_forwarded(Service::Runtime);
    let answer = door.upstream.forward(request).await?;
    match presence {
        Presence::Accepted => Ok(answer),
        // containerd says that there is no such image, in its own words. If it does not, the image has
        // come meanwhile: kubelet never hears of this container and asks again.
        Presence::Absent if status::failed(&answer) => Ok(answer),
        Presence::Absent => {
            let message = "the image came to the node while the container was being created";
            Ok(Status::new(Code::Unavailable, message).response())
        }
    }
}

/// Answers `RunPodSandbox`: containerd must have an accepted sandbox image, or it would pull one.
pub(super) async fn run_pod_sandbox(
    door: &Door,
    request: Request<Incoming>,
) -> Result<Response<Body>, h2::Error> {
    let (request, message, deadline) = match read::<RunPodSandboxRequest>(door, request).await {
        Ok(read) => read,
        Err(status) => return Ok(status.response()),
    };
    match within(deadline, (door.admit_sandbox)(pod(message.config.unwrap_or_default()))).await {
        Ok(()) => {
            door.metrics.call_forwarded(Service::Runtime);
            door.upstream.forward(request).await
        }
        Err(status) => Ok(status.response()),
    }
}

async fn within<T>(
    deadline: Option<Duration>,
    work: impl Future<Output = Result<T, PullError>>,
) -> Result<T, Status> {
    let outcome = match deadline {
        Some(deadline) => tokio::time::timeout(deadline, work).await.map_err(|_elapsed| {
            Status::new(Code::DeadlineExceeded, "the client's deadline passed before the decision")
        })?,
        None => work.await,
    };
    outcome.map_err(|error| status::of_pull(&error))
}

/// The call as it is passed on, its message, and how long the client waits.
async fn read<M: Message + Default>(
    door: &Door,
    request: Request<Incoming>,
) -> Result<(Request<Outgoing>, M, Option<Duration>), Status> {
    let (parts, body) = request.into_parts();
    let read = async {
        let deadline = message::deadline(&parts.headers)?;
        let (frame, message) = message::read(body).await?;
        Ok((frame, message, deadline))
    };
    match read.await {
        Ok((frame, message, deadline)) => {
            Ok((Request::from_parts(parts, Outgoing::Right(frame.into())), message, deadline))
        }
        Err(status) => {
            let status: Status = status;
            let (path, reason) = (parts.uri.path(), audit::Reason::BadRequest);
            audit::refused_call(&door.metrics, path, reason, status.message());
            Err(status)
        }
    }
}

/// Every image that the container is made of.
fn wanted(message: CreateContainerRequest) -> Vec<Wanted> {
    let pod = pod(message.sandbox_config.unwrap_or_default());
    let config = message.config.unwrap_or_default();
    let mounted = config.mounts.into_iter().filter_map(|mount| mount.image);
    let images = std::iter::once(config.image.unwrap_or_default())
        .chain(mounted.filter(|image| !image.image.is_empty()));
    images
        .map(|image| Wanted {
            image: image.image,
            user_specified: image.user_specified_image,
            pod: pod.clone(),
        })
        .collect()
}
