//! Pulls into an empty store, by containerd alone and through pullgate in turn.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use pullgate_tests::containerd::{self, Containerd};
use pullgate_tests::cri::Cri;
use pullgate_tests::hosts::Hosts;
use pullgate_tests::image::{Compression, Image};
use pullgate_tests::process;
use pullgate_tests::pullgated::{self, Pullgated};
use pullgate_tests::registry::{Access, Registry};
use pullgate_tests::sample;
use pullgate_tests::version::Version;

use crate::is_named;
use crate::row::{Report, Row, Unit, mebibytes};

/// An image, how often each side pulls it, and what is compared with what.
struct Case {
    name: &'static str,
    image: fn() -> Image,
    rounds: usize,
    pairs: &'static [Pair],
}

/// Ours, and theirs.
type Pair = (Side, Side);

/// Who pulls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Side {
    /// containerd as it is shipped.
    Native,
    /// containerd with the decompressor in its PATH that it looks for.
    NativeHelped,
    /// pullgate before the first.
    Ours,
    /// pullgate before the second.
    OursHelped,
}

const AS_SHIPPED: Pair = (Side::Ours, Side::Native);
const HELPED: Pair = (Side::OursHelped, Side::NativeHelped);

const CASES: [Case; 4] = [
    Case { name: "five", image: five, rounds: 5, pairs: &[AS_SHIPPED, HELPED] },
    Case { name: "big", image: big, rounds: 5, pairs: &[AS_SHIPPED, HELPED] },
    Case { name: "zstd", image: zstd, rounds: 5, pairs: &[AS_SHIPPED] },
    Case { name: "plain", image: plain, rounds: 5, pairs: &[AS_SHIPPED] },
];

fn five() -> Image {
    sample::five(Compression::Gzip)
}

fn big() -> Image {
    sample::big(Compression::Gzip)
}

fn zstd() -> Image {
    sample::synthetic(Compression::Zstd, 12, 20 << 20)
}

fn plain() -> Image {
    sample::synthetic(Compression::Plain, 12, 20 << 20)
}

/// Measures the images of these names, or all.
pub(crate) async fn measure(only: &[String], report: &mut Report) {
    let (registry, hosts) = (Registry::start(Access::Open).await, Hosts::new());
    hosts.point("registry.example", &registry);
    let cases: Vec<&Case> = CASES.iter().filter(|case| is_named(only, case.name)).collect();
    for case in &cases {
        (case.image)().store(&registry, case.name, "v1");
    }
    for version in Version::available() {
        let node = Node::start(version, &hosts, false).await;
        let helped = Node::start(version, &hosts, true).await;
        for case in &cases {
            compare(version, [&node, &helped], case, report).await;
        }
    }
}

/// A containerd, and pullgate before it.
struct Node {
    containerd: Containerd,
    gate: Pullgated,
    native: Cri,
    ours: Cri,
}

impl Node {
    async fn start(version: Version, hosts: &Hosts, helpers_in_path: bool) -> Self {
        let hosts = Some(hosts.path().to_owned());
        let settings = containerd::Settings {
            hosts: hosts.clone(),
            helpers_in_path,
            ..containerd::Settings::default()
        };
        let containerd = Containerd::start_with(version, settings).await;
        let policy = Some(pullgated::accept_anything());
        let gate = pullgated::Settings { policy, hosts, ..pullgated::Settings::default() };
        let gate = Pullgated::start(&containerd, &gate).await;
        let (native, ours) = (containerd.cri().await, gate.cri().await);
        Self { containerd, gate, native, ours }
    }

    /// What its programs have used of the processors.
    fn work(&self) -> Duration {
        process::cpu_time(self.containerd.id()) + process::cpu_time(self.gate.id())
    }
}

async fn compare(version: Version, [node, helped]: [&Node; 2], case: &Case, report: &mut Report) {
    let image = format!("registry.example/{}:v1", case.name);
    let mut sides: Vec<Side> =
        case.pairs.iter().flat_map(|&(ours, theirs)| [theirs, ours]).collect();
    sides.sort_unstable();
    sides.dedup();
    let mut taken: BTreeMap<Side, Vec<Taken>> = BTreeMap::new();
    for _ in 0..case.rounds {
        for &side in &sides {
            let (node, cri) = match side {
                Side::Native => (node, &node.native),
                Side::NativeHelped => (helped, &helped.native),
                Side::Ours => (node, &node.ours),
                Side::OursHelped => (helped, &helped.ours),
            };
            taken.entry(side).or_default().push(pull(cri, node, &image).await);
        }
    }
    for &(ours, theirs) in case.pairs {
        let name = |what: &str| format!("{what} {}, {version}: {ours:?} / {theirs:?}", case.name);
        let ratios = |value: fn(&Taken) -> Duration| {
            let both = taken[&ours].iter().zip(&taken[&theirs]);
            both.map(|(ours, theirs)| value(ours).div_duration_f64(value(theirs))).collect()
        };
        report.add(Row::ratios(name("pull"), ratios(|taken| taken.time)));
        report.add(Row::ratios(name("CPU"), ratios(|taken| taken.work)));
        report.add(Row::ratios(name("again"), ratios(|taken| taken.again)));
    }
    let peak = [node, helped].map(|node| node.gate.peak_memory()).into_iter().max();
    let name = format!("peak, {} and before, {version}", case.name);
    report.add(Row::of(name, Unit::Mebibytes, vec![mebibytes(peak.unwrap_or_default())]));
}

/// What a pull took.
struct Taken {
    time: Duration,
    /// Of the processors.
    work: Duration,
    /// When all of it was there.
    again: Duration,
}

/// A pull into an empty store, which is empty again afterwards.
async fn pull(cri: &Cri, node: &Node, image: &str) -> Taken {
    let store = node.containerd.root().join("io.containerd.content.v1.content/blobs/sha256");
    let blobs = || std::fs::read_dir(&store).map_or(0, Iterator::count);
    assert_eq!(blobs(), 0, "content is left in {}", store.display());
    // What the last pull left to be written is not this one's burden.
    nix::unistd::sync();
    let before = node.work();
    let time = timed(cri, image).await;
    let work = node.work().saturating_sub(before);
    let mut again: Vec<Duration> = Vec::new();
    for _ in 0..5 {
        again.push(timed(cri, image).await);
    }
    again.sort_unstable();
    let id = cri.pull(image).await.expect("the pull to succeed");
    cri.remove(&id).await.expect("the image to be removed");
    Taken { time, work, again: again[2] }
}

async fn timed(cri: &Cri, image: &str) -> Duration {
    let start = Instant::now();
    cri.pull(image).await.expect("the pull to succeed");
    start.elapsed()
}
