//! What the gate adds to calls: at containerd and at the gate before it in turn, in several rounds.

use std::time::{Duration, Instant};

use crate::containerd::Containerd;
use crate::cri::{Cri, container, pod};
use crate::hosts::Hosts;
use crate::pullgated::{self, Pullgated};
use crate::registry::{Access, Registry};
use crate::sample;
use crate::signer::{Lookaside, Signer};
use crate::version::Version;

const NAME: &str = "registry.example";

/// Rounds, each of which has its own figures.
const ROUNDS: usize = 5;

/// Calls of each side in a round that decides about a container: a hundredth of them are ten.
const CALLS: usize = 1000;

/// Calls before that do not count.
const WARM_UP: usize = 200;

/// What the gate adds to one kind of call, in microseconds.
#[derive(Debug, Clone, Copy)]
pub struct Added {
    /// To the median.
    pub p50: f64,
    /// To the time that one of 100 calls exceeds.
    pub p99: f64,
}

/// What `ours` takes longer than `theirs` in each round of so many calls.
pub async fn added(
    calls: usize,
    theirs: impl AsyncFn() -> Duration,
    ours: impl AsyncFn() -> Duration,
) -> Vec<Added> {
    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        let (mut first, mut second) = (Vec::new(), Vec::new());
        for _ in 0..calls {
            first.push(theirs().await);
            second.push(ours().await);
        }
        first.sort_unstable();
        second.sort_unstable();
        let added = |at: usize| second[at].saturating_sub(first[at]).as_secs_f64() * 1e6;
        rounds.push(Added { p50: added(calls / 2), p99: added(calls * 99 / 100) });
    }
    rounds
}

/// `CreateContainer` of an accepted image.
///
/// The sandbox does not exist: containerd refuses the call at once, and what the gate adds is not lost
/// in the making of a container. The gate has decided by then, as for any other container.
pub async fn creating(version: Version) -> Vec<Added> {
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
    for _ in 0..WARM_UP {
        create(&native, id, &name).await;
        create(&ours, id, &name).await;
    }
    let (theirs, ours) =
        (async || create(&native, id, &name).await, async || create(&ours, id, &name).await);
    added(CALLS, theirs, ours).await
}

async fn create(cri: &Cri, id: &str, name: &str) -> Duration {
    let (pod, config) = (pod("default", "pod"), container("default", id, name));
    let start = Instant::now();
    let status = cri.create("no-such-sandbox", &pod, config).await.expect_err("no sandbox");
    let taken = start.elapsed();
    assert!(status.message().contains("sandbox"), "the gate let it pass: {}", status.message());
    taken
}
