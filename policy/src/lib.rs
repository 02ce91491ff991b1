//! Decides, from bytes and a point in time, whether an image may enter the node.
//!
//! This crate reads no file, opens no socket, looks at no clock and no environment: the `pullgate`
//! crate brings the bytes and carries the verdict out. The semantics are those of
//! containers-policy.json(5), containers-registries.d(5) and containers-signature(5).
//!
//! The proofs are types. A [`digest::VerifiedBlob`] exists only for bytes that were hashed to their
//! end, an [`Admission`] only for a manifest that [`decide`] accepted.

pub mod decision;
pub mod digest;
pub mod document;
pub mod exemption;
pub mod identity;
pub mod limits;
pub mod lint;
pub mod lookaside;
pub mod manifest;
pub mod namespace;
pub mod platform;
pub mod reference;
pub mod scope;
pub mod signature;
pub mod strict;

pub use decision::{Admission, Decision, Rejection, decide};
