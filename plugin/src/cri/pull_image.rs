//! `PullImage`: the request is read, the gate asked, the answer written.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use hyper::body::Incoming;
use pullgate_proto::{PodSandboxConfig, PullImageRequest, PullImageResponse};

use super::status::{self, Code, Status};
use super::{Body, Pull, message};
use crate::audit::{self, Reason};
use crate::metrics::Metrics;
use crate::pull::{Pod, PullRequest};
use crate::registry::AuthConfig;

/// Where containerd 1.7 and 2.1 look for the runtime handler; later ones have a field
/// (containerd-handoff.md 3.2).
const RUNTIME_HANDLER: &str = "io.containerd.cri.runtime-handler";

/// Where a pod may say which account it runs under. Kubernetes writes this annotation on secrets.
const SERVICE_ACCOUNT: &str = "kubernetes.io/service-account.name";

/// Answers `PullImage`. Dropping the future drops the pull: kubelet cancels by going away.
pub(crate) async fn answer(
    request: Request<Incoming>,
    pull: &Pull,
    metrics: &Metrics,
) -> Response<Body> {
    let path = request.uri().path().to_owned();
    let outcome = match read(request).await {
        Ok((request, deadline)) => perform(pull, request, deadline).await,
        Err(refusal) => {
            audit::refused_call(metrics, &path, Reason::BadRequest, refusal.message());
            Err(refusal)
        }
    };
    match outcome {
        Ok(image) => status::ok(image),
        Err(status) => status.response(),
    }
}

async fn perform(
    pull: &Pull,
    request: PullRequest,
    deadline: Option<Duration>,
) -> Result<Bytes, Status> {
    let work = pull(request);
    let outcome = match deadline {
        Some(deadline) => tokio::time::timeout(deadline, work).await.map_err(|_elapsed| {
            Status::new(Code::DeadlineExceeded, "the client's deadline passed during the pull")
        })?,
        None => work.await,
    };
    match outcome {
        Ok(image) => Ok(message::framed(&PullImageResponse { image_ref: image.0 })),
        Err(error) => Err(status::of_pull(&error)),
    }
}

async fn read(request: Request<Incoming>) -> Result<(PullRequest, Option<Duration>), Status> {
    let deadline = message::deadline(request.headers())?;
    let (_frame, message) = message::read(request.into_body()).await?;
    Ok((pull_request(message), deadline))
}

fn pull_request(message: PullImageRequest) -> PullRequest {
    let mut image = message.image.unwrap_or_default();
    let handler = Some(image.runtime_handler).filter(|handler| !handler.is_empty());
    let handler = handler.or_else(|| image.annotations.remove(RUNTIME_HANDLER));
    let mut sandbox = message.sandbox_config.unwrap_or_default();
    let handler = handler.or_else(|| sandbox.annotations.remove(RUNTIME_HANDLER));
    let auth = message.auth.unwrap_or_default();
    PullRequest {
        image: image.image,
        auth: AuthConfig {
            username: auth.username,
            password: auth.password,
            auth: auth.auth,
            server_address: auth.server_address,
            identity_token: auth.identity_token,
        },
        pod: pod(sandbox),
        runtime_handler: handler.filter(|handler| !handler.is_empty()),
    }
}

/// The pod that a call is for.
pub(super) fn pod(mut config: PodSandboxConfig) -> Pod {
    let pod = config.metadata.unwrap_or_default();
    Pod {
        namespace: pod.namespace,
        name: pod.name,
        uid: pod.uid,
        service_account: config.annotations.remove(SERVICE_ACCOUNT).unwrap_or_default(),
    }
}
