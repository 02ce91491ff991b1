//! What is installed on a node: units, manual and packages, each as the node gets it.

#![expect(clippy::unwrap_used, reason = "a test ends where it cannot go on")]

mod dam;
mod deb;
mod demo;
mod manual;
mod packages;
mod readme;
mod reload;
mod rpm;
mod shop;
mod units;
mod watchdog;
