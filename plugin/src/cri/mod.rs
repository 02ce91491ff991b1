//! The CRI door. `PullImage` is answered here; every other call passes byte for byte, two of them only
//! after their images were looked at.
//!
//! Nothing that passes is encoded anew: prost drops fields that it does not know, and containerd may be
//! newer than our protocol definition.

mod approve;
mod body;
mod door;
mod forward;
mod gated;
mod message;
mod pull_image;
mod route;
mod serve;
pub mod socket;
mod status;
mod upload;

pub use approve::Approval;
pub(crate) use approve::PATH as APPROVE;
pub use body::Body;
pub use door::{Admit, AdmitSandbox, Approve, Decide, Door, Pull};
pub use forward::Upstream;
pub use serve::{Server, serve};

/// The largest message, and the largest list of headers, on either side: what kubelet and
/// containerd accept (containerd-handoff.md 3.3).
pub(crate) const MESSAGE_LIMIT: usize = 16 << 20;
