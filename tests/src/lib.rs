//! What the tests are made of: real containerds, registries, signers and the daemon itself, each on
//! loopback or a unix socket of its own, below temporary directories, ended when it is dropped.
//!
//! A value belongs to the test that started it. It ends with that test's thread, however that comes
//! about, so it cannot be shared through a static and nothing outlives an interrupted run.
//!
//! Nothing here returns an error for what a test cannot go on without: it panics, and says what was
//! expected and what the log of the process says.
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    clippy::panic,
    reason = "a harness that cannot go on ends its test"
)]

pub mod broken;
pub mod containerd;
pub mod cosign;
pub mod cri;
pub mod dump;
pub mod fuzz;
pub mod gate;
pub mod hosts;
pub mod image;
pub mod journal;
pub mod latency;
pub mod ledger;
pub mod node;
pub mod package;
pub mod place;
pub mod process;
pub mod pullgated;
pub mod registry;
pub mod sample;
pub mod server;
pub mod signer;
pub mod sigstore;
pub mod tsa;
pub mod version;
