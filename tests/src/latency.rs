//! What the gate adds to a call that passes it.

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
const ROUNDS: usize = 2000;

/// The time of one kind of call, in microseconds.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Latency {
    /// The median.
    pub p50_us: u128,
    /// Of 100 calls one is slower.
    pub p99_us: u128,
}

/// `CreateContainer` of an accepted image, at containerd and at the gate before it.
///
/// The sandbox does not exist: containerd refuses the call at once, and what the gate adds is not lost
/// in the making of a container. The gate has decided by then, as for any other container.
pub async fn creating(version: Version) -> (Latency, Latency) {
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
    let (mut theirs, mut ourselves) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        theirs.push(create(&native, &image.config.digest, &name).await);
        ourselves.push(create(&ours, &image.config.digest, &name).await);
    }
    (summary(theirs), summary(ourselves))
}

async fn create(cri: &Cri, id: &str, name: &str) -> Duration {
    let (pod, config) = (pod("default", "pod"), container("default", id, name));
    let start = Instant::now();
    let status = cri.create("no-such-sandbox", &pod, config).await.expect_err("no sandbox");
    let taken = start.elapsed();
    assert!(status.message().contains("sandbox"), "the gate let it pass: {}", status.message());
    taken
}

fn summary(mut times: Vec<Duration>) -> Latency {
    times.sort_unstable();
    let at = |part: usize| times[times.len() * part / 100].as_micros();
    Latency { p50_us: at(50), p99_us: at(99) }
}
