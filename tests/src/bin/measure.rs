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
use std::time::{Duration, Instant};

use pullgate_policy::digest::{Digest, Verifier};
use pullgate_tests::containerd::{self, Containerd};
use pullgate_tests::cri::Cri;
use pullgate_tests::hosts::Hosts;
use pullgate_tests::image::Compression;
use pullgate_tests::pullgated::{self, Pullgated};
use pullgate_tests::registry::{Access, Registry};
use pullgate_tests::version::Version;
use pullgate_tests::{latency, place, process, sample};
use serde::Serialize;

/// The images, with how often each side pulls them.
const IMAGES: [(&str, usize); 2] =
    [("registry.example/five:v1", 7), ("registry.example/big:v1", 3)];

#[tokio::main]
async fn main() {
    for version in Version::available() {
        creating(version).await;
    }
    if std::env::args().any(|argument| argument == "create") {
        return;
    }
    let mut rows = vec![hashing()];
    rows[0].print();
    let registry = Registry::start(Access::Open).await;
    let hosts = Hosts::new();
    hosts.point("registry.example", &registry);
    sample::five(Compression::Gzip).store(&registry, "five", "v1");
    sample::big(Compression::Gzip).store(&registry, "big", "v1");
    for helpers_in_path in [false, true] {
        for version in Version::available() {
            let hosts = Some(hosts.path().to_owned());
            let settings =
                containerd::Settings { hosts, helpers_in_path, ..containerd::Settings::default() };
            let containerd = Containerd::start_with(version, settings.clone()).await;
            for (image, rounds) in IMAGES {
                let row = pulling(&containerd, &settings, image, rounds).await;
                row.print();
                rows.push(row);
            }
        }
    }
    let json = serde_json::to_vec_pretty(&rows).expect("rows of numbers and text");
    std::fs::write(place::target().join("bench.json"), json).expect("bench.json to be written");
}

/// One comparison.
#[derive(Serialize)]
struct Row {
    name: String,
    /// Our time to theirs, the median.
    ratio: f64,
    /// The largest ratio less the smallest.
    spread: f64,
    /// The most memory that `pullgated` had resident.
    peak_rss_bytes: Option<u64>,
}

impl Row {
    fn new(name: String, mut ratios: Vec<f64>, peak_rss_bytes: Option<u64>) -> Self {
        ratios.sort_by(f64::total_cmp);
        let spread = ratios[ratios.len() - 1] - ratios[0];
        Self { name, ratio: ratios[ratios.len() / 2], spread, peak_rss_bytes }
    }

    fn print(&self) {
        let peak = self.peak_rss_bytes.map(|bytes| format!("peak {} MiB", bytes >> 20));
        let peak = peak.unwrap_or_default();
        println!("{:<36} {:.2} (spread {:.2})  {peak}", self.name, self.ratio, self.spread);
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

async fn pulling(
    containerd: &Containerd,
    settings: &containerd::Settings,
    image: &str,
    rounds: usize,
) -> Row {
    let gate = pullgated::Settings {
        policy: Some(pullgated::accept_anything()),
        hosts: settings.hosts.clone(),
        ..pullgated::Settings::default()
    };
    let gate = Pullgated::start(containerd, &gate).await;
    let (native, ours) = (containerd.cri().await, gate.cri().await);
    let mut ratios = Vec::with_capacity(rounds);
    for _ in 0..rounds {
        let theirs = pull_once(&native, containerd, image).await;
        let ours = pull_once(&ours, containerd, image).await;
        ratios.push(ours.as_secs_f64() / theirs.as_secs_f64());
    }
    let helper = if settings.helpers_in_path { " helper" } else { "" };
    let (_, short) = image.rsplit_once('/').expect("a name with a registry");
    let name = format!("pull {short} containerd {}{helper}", containerd.version());
    Row::new(name, ratios, Some(gate.peak_memory()))
}

/// The time of one pull into an empty store, which is empty again afterwards.
async fn pull_once(cri: &Cri, containerd: &Containerd, image: &str) -> Duration {
    let store = containerd.root().join("io.containerd.content.v1.content/blobs/sha256");
    let blobs = || std::fs::read_dir(&store).map_or(0, Iterator::count);
    assert_eq!(blobs(), 0, "content is left in {}", store.display());
    let start = Instant::now();
    let id = cri.pull(image).await.expect("the pull to succeed");
    let taken = start.elapsed();
    cri.remove(&id).await.expect("the image to be removed");
    taken
}

/// Our verifier against `openssl speed`, both over blocks of 1 MiB on one core.
fn hashing() -> Row {
    const BLOCK: usize = 1 << 20;
    const BLOCKS: usize = 256;
    let ratios = (0..5).map(|_| openssl(BLOCK) / verifier(BLOCK, BLOCKS)).collect();
    Row::new("hash SHA-256 against openssl".to_owned(), ratios, None)
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
