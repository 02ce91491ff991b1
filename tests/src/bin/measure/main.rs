//! `make bench`: pulls through pullgate against containerd's own, and hashing against OpenSSL.
//!
//! Both sides pull the same image from the same registry into the same containerd in turn, each time
//! into an empty store. A row gives the median of the ratios of neighbours and how far they spread, so
//! that it means the same on a fast machine and on a busy one. Rows named `helper` let containerd
//! unpack with the decompressor that it looks for in its PATH. Also written to `target/bench.json`.
//! `measure create` measures only what a decision from the ledger adds to CreateContainer.
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a measurement prints, and ends where it cannot go on"
)]

use std::process::Command;
use std::time::Instant;

use pullgate_policy::digest::{Digest, Verifier};
use pullgate_tests::version::Version;
use pullgate_tests::{latency, place, process};

mod growth;
mod proxy;
mod pull;
mod row;

use self::row::{Report, Row};

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let what = arguments.next();
    let is_wanted = |part: &str| what.as_deref().is_none_or(|what| what == part);
    let mut report = Report::default();
    if is_wanted("create") {
        for version in Version::available() {
            creating(version).await;
        }
    }
    if is_wanted("hash") {
        report.add(hashing());
    }
    if is_wanted("proxy") {
        proxy::measure(&mut report).await;
    }
    if is_wanted("pull") {
        pull::measure(&arguments.collect::<Vec<_>>(), &mut report).await;
    }
    if is_wanted("growth") {
        growth::measure(&mut report).await;
    }
    if what.is_none() {
        let json = serde_json::to_vec_pretty(&report.0).expect("rows of numbers and text");
        std::fs::write(place::target().join("bench.json"), json).expect("bench.json to be written");
    }
}

/// What a decision from the ledger adds to a call.
async fn creating(version: Version) {
    let found = latency::creating(version).await;
    println!("{:<36} {found}", format!("create, cached, containerd {version}"));
    let path = place::target().join(format!("bench-create-{version}.json"));
    let json = serde_json::to_vec_pretty(&found).expect("numbers");
    std::fs::write(path, json).expect("the file to be written");
}

/// Our verifier against `openssl speed`, both over blocks of 1 MiB on one core.
fn hashing() -> Row {
    const BLOCK: usize = 1 << 20;
    const BLOCKS: usize = 256;
    let ratios = (0..5).map(|_| openssl(BLOCK) / verifier(BLOCK, BLOCKS)).collect();
    Row::ratios("hash SHA-256 against openssl".to_owned(), ratios)
}

/// Bytes a second.
fn verifier(block: usize, blocks: usize) -> f64 {
    let bytes = vec![0x5a; block];
    let size = u64::try_from(block * blocks).expect("a small number");
    let mut verifier = Verifier::new(&Digest::sha256(b""), size).expect("SHA-256 is verified");
    let start = Instant::now();
    for _ in 0..blocks {
        verifier.update(&bytes).expect("no byte too many");
    }
    let mismatch = verifier.finish().expect_err("other bytes than none");
    let taken = start.elapsed().as_secs_f64();
    std::hint::black_box(mismatch);
    f64::from(u32::try_from(size).expect("less than 4 GiB")) / taken
}

/// Bytes a second, from the line `+F:25:sha256:1551892480.00`.
fn openssl(block: usize) -> f64 {
    let mut command = Command::new("openssl");
    command.args(["speed", "-mr", "-seconds", "1", "-bytes", &block.to_string(), "-evp", "sha256"]);
    let printed = String::from_utf8(process::run(&mut command)).expect("ASCII");
    let line = printed.lines().find(|line| line.starts_with("+F:"));
    let speed = line.and_then(|line| line.rsplit_once(':')).expect("openssl speed to print +F");
    speed.1.parse().expect("a number")
}
