//! What the gate adds to a call that passes it.

use std::fmt;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::containerd::Containerd;
use crate::cri::{Cri, container, pod};
use crate::hosts::Hosts;
use crate::pullgated::{self, Pullgated};
use crate::registry::{Access, Registry};
use crate::sample;
use crate::signer::{Lookaside, Signer};
use crate::version::Version;

const NAME: &str = "registry.example";

/// Rounds, and the calls that each side takes in turn in one of them: a hundredth of them are ten.
const ROUNDS: usize = 5;
const CALLS: usize = 1000;

/// Calls before that do not count.
const WARM_UP: usize = 200;

/// The time of one kind of call, in microseconds.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Latency {
    /// The median.
    pub p50_us: i64,
    /// Of 100 calls one is slower.
    pub p99_us: i64,
}

/// One kind of call at containerd and at the gate before it.
#[derive(Debug, Serialize)]
pub struct Comparison {
    /// Of all calls to containerd.
    pub containerd: Latency,
    /// Of all calls to the gate.
    pub pullgate: Latency,
    /// What the gate adds in each round.
    pub rounds: Vec<Latency>,
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { containerd, pullgate, .. } = self;
        let all = added(*containerd, *pullgate);
        let range = |of: fn(&Latency) -> i64| {
            let rounds = self.rounds.iter().map(of);
            let (least, most) = (rounds.clone().min(), rounds.max());
            format!("{} to {}", least.unwrap_or_default(), most.unwrap_or_default())
        };
        write!(
            f,
            "added p50 {} us (rounds {}), p99 {} us (rounds {}); containerd {} and {}, pullgate {} and {}",
            all.p50_us,
            range(|round| round.p50_us),
            all.p99_us,
            range(|round| round.p99_us),
            containerd.p50_us,
            containerd.p99_us,
            pullgate.p50_us,
            pullgate.p99_us,
        )
    }
}

/// `CreateContainer` of an accepted image, at containerd and at the gate before it.
///
/// The sandbox does not exist: containerd refuses the call at once, and what the gate adds is not lost
/// in the making of a container. The gate has decided by then, as for any other container.
pub async fn creating(version: Version) -> Comparison {
    let (registry, hosts) = (Registry::start(Access::Open).await, Hosts::new());
    let (release, lookaside) = (Signer::new(), Lookaside::new());
    hosts.point(NAME, &registry);
    let image = sample::tiny("created");
    image.store(&registry, "created", "v1");
    let (name, digest) = (format!("{NAME}/created:v1"), &image.manifest.digest);
    lookaside.add("created", digest, &release.sign(digest, &name));
    let containerd = Containerd::start(version, hosts.path()).await;
    let settings = pullgated::Settings {
        policy: Some(pullgated::policy(NAME, &release.public_key())),
        registries_d: Some(lookaside.registries_d(NAME, &lookaside.url())),
        hosts: Some(hosts.path().to_owned()),
        ..pullgated::Settings::default()
    };
    let gate = Pullgated::start(&containerd, &settings).await;
    let (native, ours) = (containerd.cri().await, gate.cri().await);
    ours.pull(&name).await.expect("a signed image");
    let id = &image.config.digest;
    in_turn(&native, &ours, id, &name, WARM_UP).await;
    let (mut theirs, mut ourselves, mut rounds) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let (one, other) = in_turn(&native, &ours, id, &name, CALLS).await;
        rounds.push(added(summary(&one), summary(&other)));
        theirs.extend(one);
        ourselves.extend(other);
    }
    Comparison { containerd: summary(&theirs), pullgate: summary(&ourselves), rounds }
}

/// The times of calls to each of two servers.
async fn in_turn(
    one: &Cri,
    other: &Cri,
    id: &str,
    name: &str,
    calls: usize,
) -> (Vec<Duration>, Vec<Duration>) {
    let (mut first, mut second) = (Vec::with_capacity(calls), Vec::with_capacity(calls));
    for _ in 0..calls {
        first.push(create(one, id, name).await);
        second.push(create(other, id, name).await);
    }
    (first, second)
}

async fn create(cri: &Cri, id: &str, name: &str) -> Duration {
    let (pod, config) = (pod("default", "pod"), container("default", id, name));
    let start = Instant::now();
    let status = cri.create("no-such-sandbox", &pod, config).await.expect_err("no sandbox");
    let taken = start.elapsed();
    assert!(status.message().contains("sandbox"), "the gate let it pass: {}", status.message());
    taken
}

fn added(without: Latency, with: Latency) -> Latency {
    let (p50_us, p99_us) = (with.p50_us - without.p50_us, with.p99_us - without.p99_us);
    Latency { p50_us, p99_us }
}

fn summary(times: &[Duration]) -> Latency {
    let mut times: Vec<u128> = times.iter().map(Duration::as_micros).collect();
    times.sort_unstable();
    let at = |part: usize| i64::try_from(times[times.len() * part / 100]).unwrap_or(i64::MAX);
    Latency { p50_us: at(50), p99_us: at(99) }
}
