//! Reloads where systemd is new enough to wait for their end.

use pullgate_tests::node::{Node, seen};
use pullgate_tests::package::{Kind, package};

const CONFIG: &str = "/etc/pullgate/config.toml";

#[tokio::test]
async fn a_reload_is_over_when_systemctl_returns() {
    let node = Node::boot_trixie().await;
    node.run(&format!("dpkg -i {}", seen(&package(Kind::Deb))));
    let shown = node.run("systemctl show pullgated -p Type -p NeedDaemonReload --value");
    assert_eq!(shown, "notify-reload\nno\n");
    for count in 1..=10 {
        let level = ["info", "debug"][count % 2];
        node.write(CONFIG, format!("[log]\nlevel = \"{level}\"\n"));
        node.run("systemctl reload pullgated");
        assert_eq!(reloads(&node), count);
    }
    node.write(CONFIG, "[log]\nlevel = \"loud\"\n");
    assert!(!node.attempt("systemctl reload pullgated").status.success());
    assert_eq!(node.run("systemctl is-active pullgated"), "active\n");
    assert_eq!(reloads(&node), 10);
}

/// How often the journal says that the daemon took a configuration.
fn reloads(node: &Node) -> usize {
    let journal = node.journal("short");
    journal.matches("the configuration was read again").count()
}
