//! What the gate adds to calls that it only passes on, and what many of them at a time cost it.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use pullgate_proto::GetEventsRequest;
use pullgate_tests::containerd::Containerd;
use pullgate_tests::cri::{self, Cri};
use pullgate_tests::hosts::Hosts;
use pullgate_tests::pullgated::{self, Pullgated};
use pullgate_tests::registry::{Access, Registry};
use pullgate_tests::version::Version;
use pullgate_tests::{latency, process, sample};

use crate::row::{Report, Row, Unit, mebibytes};

const CALLS: usize = 2000;
const AT_A_TIME: usize = 500;
const STREAMS: usize = 50;
const EXECS: usize = 9;

/// 16 MiB but for the room that a message needs itself.
const KIBIBYTES: &str = "16383";

const NAME: &str = "registry.example";

/// With the newest containerd: what passes is not looked at.
pub(crate) async fn measure(report: &mut Report) {
    let version = Version::available().into_iter().last().expect("a containerd");
    let (registry, hosts) = (Registry::start(Access::Open).await, Hosts::new());
    hosts.point(NAME, &registry);
    sample::waiting("the sandbox").store(&registry, "pause", "3.10");
    sample::waiting("writes").store(&registry, "writes", "v1");
    let containerd = Containerd::start(version, hosts.path()).await;
    let settings = pullgated::Settings {
        policy: Some(pullgated::accept_anything()),
        hosts: Some(hosts.path().to_owned()),
        ..pullgated::Settings::default()
    };
    let gate = Pullgated::start(&containerd, &settings).await;
    report.add(Row::of("idle: resident".to_owned(), Unit::Mebibytes, vec![resident(&gate)]));
    unary(&containerd.cri().await, &gate.cri().await, report).await;
    many(&gate, report).await;
    large(&containerd.cri().await, &gate.cri().await, report).await;
}

/// Answers of nearly 16 MiB, which is all that a message may have: what a program in a container writes.
async fn large(native: &Cri, ours: &Cri, report: &mut Report) {
    let (image, pod) = (format!("{NAME}/writes:v1"), cri::pod("default", "pod"));
    let id = ours.pull(&image).await.expect("the pull to succeed");
    let sandbox = ours.run_sandbox(&pod).await.expect("a pod");
    let config = cri::container("default", &id, &image);
    let container = ours.create(&sandbox, &pod, config).await.expect("a container");
    ours.start(&container).await.expect("the container to start");
    let ratios = async || {
        let theirs = exec(native, &container).await;
        exec(ours, &container).await.div_duration_f64(theirs)
    };
    let mut rounds = Vec::new();
    for _ in 0..EXECS {
        rounds.push(ratios().await);
    }
    report.add(Row::ratios("ExecSync with an answer of 16 MiB".to_owned(), rounds));
    ours.remove_container(&container).await.expect("the container to be removed");
    ours.remove_sandbox(&sandbox).await.expect("the pod to be removed");
}

async fn exec(cri: &Cri, container: &str) -> Duration {
    let start = Instant::now();
    let written = cri.exec(container, &["/pause", KIBIBYTES]).await.expect("an answer");
    assert_eq!(format!("{}", written.len() >> 10), KIBIBYTES);
    start.elapsed()
}

async fn unary(native: &Cri, ours: &Cri, report: &mut Report) {
    let added = latency::added(CALLS, async || version(native).await, async || version(ours).await);
    report.added("Version,", &added.await);
}

/// Bursts of calls beside open event streams: what they leave behind when they are over.
async fn many(gate: &Pullgated, report: &mut Report) {
    let cri = gate.cri().await;
    burst(&cri).await;
    let (memory, descriptors) = (resident(gate), descriptors(gate));
    // A stream is answered with its first event: there is none.
    let clients = join_all((0..STREAMS).map(|_| gate.cri())).await;
    let streams = clients.into_iter().map(|client| {
        tokio::spawn(
            async move { client.runtime().get_container_events(GetEventsRequest {}).await },
        )
    });
    let streams: Vec<_> = streams.collect();
    for _ in 0..20 {
        burst(&cri).await;
    }
    for stream in &streams {
        assert!(!stream.is_finished(), "an event stream has ended");
        stream.abort();
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    let grown = resident(gate) - memory;
    let name = format!("20 times {AT_A_TIME} calls beside {STREAMS} event streams");
    report.add(Row::of(format!("{name}: memory left"), Unit::Mebibytes, vec![grown]));
    let left = self::descriptors(gate) - descriptors;
    report.add(Row::of(format!("{name}: descriptors left"), Unit::Descriptors, vec![left]));
}

async fn burst(cri: &Cri) {
    for answer in join_all((0..AT_A_TIME).map(|_| cri.version())).await {
        answer.expect("Version to be answered");
    }
}

async fn version(cri: &Cri) -> Duration {
    let start = Instant::now();
    cri.version().await.expect("Version to be answered");
    start.elapsed()
}

fn resident(gate: &Pullgated) -> f64 {
    mebibytes(process::resident(gate.id()))
}

fn descriptors(gate: &Pullgated) -> f64 {
    let open = std::fs::read_dir(format!("/proc/{}/fd", gate.id())).expect("a running process");
    f64::from(u32::try_from(open.count()).expect("a small number"))
}
