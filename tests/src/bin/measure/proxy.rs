//! What the gate adds to calls that it only passes on, and what many of them at a time cost it.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use pullgate_proto::GetEventsRequest;
use pullgate_tests::containerd::Containerd;
use pullgate_tests::cri::Cri;
use pullgate_tests::hosts::Hosts;
use pullgate_tests::pullgated::{self, Pullgated};
use pullgate_tests::version::Version;
use pullgate_tests::{latency, process};

use crate::row::{Report, Row, Unit, mebibytes};

const CALLS: usize = 2000;
const AT_A_TIME: usize = 500;
const STREAMS: usize = 50;

/// With the newest containerd: what passes is not looked at.
pub(crate) async fn measure(report: &mut Report) {
    let version = Version::available().into_iter().last().expect("a containerd");
    let containerd = Containerd::start(version, Hosts::new().path()).await;
    let settings = pullgated::Settings {
        policy: Some(pullgated::accept_anything()),
        ..pullgated::Settings::default()
    };
    let gate = Pullgated::start(&containerd, &settings).await;
    report.add(Row::of("idle: resident".to_owned(), Unit::Mebibytes, vec![resident(&gate)]));
    unary(&containerd.cri().await, &gate.cri().await, report).await;
    many(&gate, report).await;
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
