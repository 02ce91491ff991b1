//! The RPM package on a node: installed, upgraded, erased.

use pullgate_tests::node::{Node, seen};
use pullgate_tests::package::{Kind, build, folder, package};

use crate::shop::Shop;

const UNITS: &str = "pullgated.socket pullgated.service";

#[tokio::test]
async fn a_node_takes_it_and_gives_it_back() {
    let shop = Shop::open().await;
    let node = Node::boot().await;
    let first = package(Kind::Rpm);
    let next = build(Kind::Rpm, &folder().join("next"), Some("9.9.9"));
    // The root's libraries are dpkg's, of which rpm knows nothing.
    let rpm = |arguments: &str| node.run(&format!("rpm --nodeps {arguments} 2>&1"));

    node.run("rpm --initdb");
    rpm(&format!("-i {}", seen(&first)));
    rpm("--verify pullgate");
    // Presets decide what an RPM enables; nothing starts before the admin says so.
    node.run(&format!("systemctl enable --now {UNITS}"));
    assert_eq!(node.run(&format!("systemctl is-active {UNITS}")), "active\nactive\n");
    shop.trust(&node);
    node.cri().await.pull(&shop.publish("shop/signed", true)).await.unwrap();
    node.cri().await.pull(&shop.publish("shop/unsigned", false)).await.unwrap_err();

    node.write("/etc/pullgate/config.toml", "# The admin's own.\n");
    let process = node.run("systemctl show pullgated -p MainPID --value");
    let socket = node.run("stat -c %i /run/pullgate/pullgate.sock");
    rpm(&format!("-U {}", seen(&next)));
    assert_eq!(node.run("rpm -q --queryformat '%{VERSION}' pullgate"), "9.9.9");
    assert_eq!(node.run("cat /etc/pullgate/config.toml"), "# The admin's own.\n");
    assert_ne!(node.run("systemctl show pullgated -p MainPID --value"), process);
    assert_eq!(node.run("stat -c %i /run/pullgate/pullgate.sock"), socket);
    node.cri().await.version().await.unwrap();

    rpm("-e pullgate");
    assert!(!node.path("/usr/bin/pullgated").exists());
    assert!(!node.path("/run/pullgate/pullgate.sock").exists());
    assert!(node.path("/etc/pullgate/config.toml.rpmsave").exists());
    let left = node.attempt(&format!("systemctl is-active {UNITS}"));
    assert_eq!(String::from_utf8(left.stdout).unwrap(), "inactive\ninactive\n");
}
