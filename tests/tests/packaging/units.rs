//! The units, without a node: what systemd thinks of them.

use std::process::Command;

use pullgate_tests::package::tree;
use pullgate_tests::process::run;

#[test]
fn the_service_is_exposed_no_more_than_2_of_10() {
    let mut systemd = Command::new("systemd-analyze");
    systemd.args(["security", "--offline=true", "--threshold=20", "--no-pager"]);
    let table = run(systemd.arg(tree().join("systemd/pullgated.service")));
    let table = String::from_utf8(table).unwrap();
    let verdict = table.lines().find(|line| line.contains("Overall exposure level"));
    assert!(verdict.unwrap().contains(": 1."), "{table}");
}

#[test]
fn the_order_of_the_node_is_kept() {
    let service = read("pullgated.service");
    for line in [
        "Type=notify",
        "Before=kubelet.service",
        "Wants=containerd.service",
        "After=containerd.service network-online.target pullgated.socket",
        "Requires=pullgated.socket",
        "Restart=always",
        "WatchdogSec=30",
    ] {
        assert!(service.lines().any(|found| found == line), "{line}");
    }
    // A restart of containerd, or the socket's enabling, is none of the service's business.
    assert!(!service.contains("BindsTo=") && !service.contains("Also="));
    assert!(read("pullgated.socket").contains("\nBefore=kubelet.service\n"));
}

fn read(unit: &str) -> String {
    std::fs::read_to_string(tree().join("systemd").join(unit)).unwrap()
}
