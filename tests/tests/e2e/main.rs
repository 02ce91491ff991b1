//! The product against real containerds and registries: what it leaves behind, and what it refuses.
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a panic fails the test"
)]

mod audit;
mod broken;
mod bundle;
mod counts;
mod crash;
mod decompressed;
mod environment;
mod exemption;
mod identity;
mod journal;
mod metrics;
mod namespaces;
mod placed;
mod pods;
mod refused;
mod remembered;
mod scene;
mod secrets;
mod sigstore;
mod unchanged;
mod verifier;
