//! `pullgate.v1.Gate/Approve`: whether a name stands for a digest that pullgate has accepted. containerd's
//! image verifier asks it through the command `pullgate`, on the socket that systemd keeps open while the
//! daemon restarts.

use bytes::Bytes;
use http::{Request, Response};
use hyper::body::Incoming;
use nix::unistd::geteuid;

use super::status::{self, Code, Status};
use super::{Body, Door, message};
use crate::audit::{self, printable};

/// The path of the call.
pub(crate) const PATH: &str = "/pullgate.v1.Gate/Approve";

/// An image that is about to be pulled past pullgate. It is both question and answer: the answer to
/// another question, or an empty one, is no yes.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct Approval {
    /// The reference, as containerd names it.
    #[prost(string, tag = "1")]
    pub name: String,
    /// What it resolved to: the digest of the index or of the manifest.
    #[prost(string, tag = "2")]
    pub digest: String,
}

/// Answers the call of the user `peer`.
pub(super) async fn answer(
    door: &Door,
    request: Request<Incoming>,
    peer: Option<u32>,
) -> Response<Body> {
    match decide(door, request, peer).await {
        Ok(yes) => status::ok(yes),
        Err(status) => status.response(),
    }
}

async fn decide(
    door: &Door,
    request: Request<Incoming>,
    peer: Option<u32>,
) -> Result<Bytes, Status> {
    // What was accepted on this node is nobody else's business.
    if ![Some(0), Some(geteuid().as_raw())].contains(&peer) {
        return Err(Status::new(Code::PermissionDenied, "only root may ask"));
    }
    let (_frame, question) = message::read::<Approval>(request.into_body()).await?;
    match (door.approve)(question.clone()).await {
        Ok(()) => Ok(message::framed(&question)),
        Err(refusal) => {
            let text = audit::chain(&refusal);
            audit::refused_call(&door.metrics, PATH, refusal.reason(), &text);
            Err(Status::new(Code::PermissionDenied, printable(&text)))
        }
    }
}
