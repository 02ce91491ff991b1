//! Acts on what `pullgate-policy` decides: the CRI door, the registry client, the hand-off to
//! containerd, the daemon that joins them, and the admin's command.

pub mod audit;
pub mod config;
pub mod containerd;
pub mod cri;
pub mod ctl;
pub mod daemon;
pub mod evidence;
pub mod hash;
pub mod ledger;
pub mod metrics;
pub mod pull;
pub mod registry;
pub mod transport;
pub mod trust;
