//! The CRI door: what passes, passes byte for byte; what does not is refused in words.
//!
//! Real containerd where it can produce the condition, a real HTTP/2 server in its place where not.
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test that cannot go on fails"
)]

mod containerd;
mod daemon;
mod fake;
mod forward;
mod pull_image;
mod raw;
mod requests;
mod socket;
