//! `PullImage`: the request is read, the gate asked, the answer written.

use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use prost::Message;
use pullgate_proto::{PullImageRequest, PullImageResponse};

use super::status::{self, Code, Status};
use super::{Body, MESSAGE_LIMIT, Pull};
use crate::audit::{self, Reason};
use crate::pull::{Pod, PullRequest};
use crate::registry::AuthConfig;

/// The flag for compression, and the length of the message.
const FRAME_HEADER: usize = 5;

/// Where containerd 1.7 and 2.1 look for the runtime handler; later ones have a field
/// (containerd-handoff.md 3.2).
const RUNTIME_HANDLER: &str = "io.containerd.cri.runtime-handler";

/// Where a pod may say which account it runs under. Kubernetes writes this annotation on secrets.
const SERVICE_ACCOUNT: &str = "kubernetes.io/service-account.name";

/// Answers `PullImage`. Dropping the future drops the pull: kubelet cancels by going away.
pub(crate) async fn answer(request: Request<Incoming>, pull: &Pull) -> Response<Body> {
    let path = request.uri().path().to_owned();
    let outcome = match read(request).await {
        Ok((request, deadline)) => perform(pull, request, deadline).await,
        Err(refusal) => {
            audit::refused_call(&path, Reason::BadRequest, refusal.message());
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
        Ok(image) => Ok(framed(&PullImageResponse { image_ref: image.0 })),
        Err(error) => Err(status::of_pull(&error)),
    }
}

async fn read(request: Request<Incoming>) -> Result<(PullRequest, Option<Duration>), Status> {
    let deadline = deadline(request.headers())?;
    let body = Limited::new(request.into_body(), FRAME_HEADER + MESSAGE_LIMIT);
    let body = match body.collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) if error.is::<LengthLimitError>() => return Err(too_large()),
        Err(error) => {
            return Err(bad(format!("the request broke off: {error}")));
        }
    };
    let message = PullImageRequest::decode(unframed(body)?)
        .map_err(|error| bad(format!("the request is no PullImageRequest: {error}")))?;
    Ok((pull_request(message), deadline))
}

fn pull_request(message: PullImageRequest) -> PullRequest {
    let mut image = message.image.unwrap_or_default();
    let handler = Some(image.runtime_handler).filter(|handler| !handler.is_empty());
    let handler = handler.or_else(|| image.annotations.remove(RUNTIME_HANDLER));
    let sandbox = message.sandbox_config.unwrap_or_default();
    let mut annotations = sandbox.annotations;
    let handler = handler.or_else(|| annotations.remove(RUNTIME_HANDLER));
    let pod = sandbox.metadata.unwrap_or_default();
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
        pod: Pod {
            namespace: pod.namespace,
            name: pod.name,
            uid: pod.uid,
            service_account: annotations.remove(SERVICE_ACCOUNT).unwrap_or_default(),
        },
        runtime_handler: handler.filter(|handler| !handler.is_empty()),
    }
}

/// The one message of a unary call (gRPC over HTTP/2, "Length-Prefixed-Message").
fn unframed(mut body: Bytes) -> Result<Bytes, Status> {
    if body.len() < FRAME_HEADER {
        let length = body.len();
        return Err(bad(format!("the request has {length} bytes, expected a gRPC message")));
    }
    let message = body.split_off(FRAME_HEADER);
    let &[flag, a, b, c, d] = body.as_ref() else { return Err(bad("the request has no frame")) };
    if flag != 0 {
        let message = format!("the request is compressed (flag {flag}), which is not supported");
        return Err(Status::new(Code::Unimplemented, message));
    }
    let declared = u32::from_be_bytes([a, b, c, d]);
    if usize::try_from(declared).ok() != Some(message.len()) {
        let found = message.len();
        return Err(bad(format!("the request declares {declared} bytes and has {found}")));
    }
    Ok(message)
}

fn framed(message: &PullImageResponse) -> Bytes {
    let length = message.encoded_len();
    let mut frame = BytesMut::with_capacity(FRAME_HEADER + length);
    frame.put_u8(0);
    frame.put_u32(u32::try_from(length).unwrap_or(u32::MAX));
    frame.extend_from_slice(&message.encode_to_vec());
    frame.freeze()
}

/// `grpc-timeout`: at most eight digits, and a unit.
fn deadline(headers: &HeaderMap) -> Result<Option<Duration>, Status> {
    let Some(value) = headers.get("grpc-timeout") else { return Ok(None) };
    let text = value.to_str().unwrap_or_default();
    let wrong = || bad(format!("grpc-timeout is {value:?}, expected digits and one of HMSmun"));
    let unit = text.chars().next_back().ok_or_else(wrong)?;
    let digits = text.strip_suffix(unit).ok_or_else(wrong)?;
    if digits.len() > 8 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(wrong());
    }
    let amount: u64 = digits.parse().map_err(|_not_a_number| wrong())?;
    let timeout = match unit {
        'H' => Duration::from_secs(amount * 3600),
        'M' => Duration::from_secs(amount * 60),
        'S' => Duration::from_secs(amount),
        'm' => Duration::from_millis(amount),
        'u' => Duration::from_micros(amount),
        'n' => Duration::from_nanos(amount),
        _ => return Err(wrong()),
    };
    Ok(Some(timeout))
}

fn bad(message: impl Into<String>) -> Status {
    Status::new(Code::InvalidArgument, message)
}

fn too_large() -> Status {
    let message = format!("the request is larger than {MESSAGE_LIMIT} bytes");
    Status::new(Code::ResourceExhausted, message)
}
