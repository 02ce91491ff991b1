//! The Kubernetes Container Runtime Interface, version v1, generated from `proto/runtime-v1.proto`.
//!
//! Nothing else lives here. Messages are decoded to look at them and never encoded again on the
//! way to containerd: prost drops fields it does not know.
#![allow(missing_docs, unreachable_pub, reason = "generated code")]
#![allow(
    clippy::all,
    clippy::pedantic,
    clippy::nursery,
    clippy::restriction,
    reason = "generated code"
)]

tonic::include_proto!("runtime.v1");
