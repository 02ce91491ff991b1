//! A daemon that hangs, and those who call it meanwhile.

use std::time::{Duration, Instant};

use pullgate_tests::node::{Node, seen};
use pullgate_tests::package::{Kind, package};

/// The unit has 30 seconds, which a test need not wait.
const QUICK: &str = "[Service]\nWatchdogSec=2\n";

#[tokio::test]
async fn a_daemon_that_hangs_is_replaced_and_its_callers_wait_in_the_socket() {
    let node = Node::boot().await;
    node.run(&format!("dpkg -i {}", seen(&package(Kind::Deb))));
    node.write("/run/systemd/system/pullgated.service.d/quick.conf", QUICK);
    node.run("systemctl daemon-reload && systemctl restart pullgated");
    let process = || node.run("systemctl show pullgated -p MainPID --value");
    let socket = || node.run("stat -c %i /run/pullgate/pullgate.sock");
    let (hung, before) = (process(), socket());

    hang(&node, hung.trim());
    let began = Instant::now();
    node.cri().await.version().await.unwrap();

    let waited = began.elapsed();
    assert!(waited < Duration::from_secs(10), "{waited:?}");
    assert_ne!(process(), hung);
    assert_eq!(socket(), before);
    assert_eq!(node.run("systemctl show pullgated -p NRestarts --value"), "1\n");
    let journal = node.journal("short");
    assert!(journal.contains("Watchdog timeout (limit 2s)!"), "{journal}");
}

/// Stops every thread of a process. The signal is on its way when `kill` returns: a thread that still
/// runs could take the next caller, and drop it when it dies.
fn hang(node: &Node, process: &str) {
    assert_ne!(process, "0", "pullgated does not run, and 0 would be this test and all it started");
    let running = format!("grep -qs '^State:.[^T]' /proc/{process}/task/*/status");
    node.run(&format!("kill -STOP {process}; while {running}; do sleep 0.01; done"));
}
