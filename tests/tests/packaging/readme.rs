//! As a new user would: a fresh node, and nothing but the commands of the README.

use pullgate_tests::node::{Node, PACKAGES};
use pullgate_tests::package::{Kind, folder, package, tree};

use crate::shop::Shop;

/// kubelet is in no suite of Debian: its unit, as kubeadm's packages have it, starts a program that
/// writes down its flags.
const KUBELET: &str = "[Service]
EnvironmentFile=-/var/lib/kubelet/kubeadm-flags.env
EnvironmentFile=-/etc/default/kubelet
ExecStart=/bin/sh -c 'echo $KUBELET_KUBEADM_ARGS $KUBELET_EXTRA_ARGS > /run/kubelet-flags'
";

#[tokio::test]
async fn its_commands_lead_to_the_first_refused_pull_and_back() {
    let shop = Shop::open().await;
    let (app, system) = (shop.publish("shop/app", false), shop.publish("elsewhere", true));
    let node = Node::boot().await;
    shop.connect(&node);
    node.write("/usr/lib/systemd/system/kubelet.service", KUBELET);
    node.write("/root/release.gpg", shop.key());
    let deb = package(Kind::Deb);
    let name = deb.strip_prefix(folder()).unwrap().display();
    node.run(&format!("systemctl daemon-reload && cp {PACKAGES}/{name} /root"));

    let blocks = commands();
    let [install, trust, arm, look, undo] = blocks.as_slice() else {
        panic!("the README has another number of steps: {blocks:#?}");
    };
    let run = |block: &String| node.run(&format!("set -e; cd /root; {block}"));
    run(install);
    let shown = run(trust);
    assert!(shown.contains("registry.example/shop") && shown.contains("signedBy"), "{shown}");
    run(arm);
    let flags = node.run("cat /run/kubelet-flags");
    for flag in ["--container-runtime-endpoint", "--image-service-endpoint"] {
        assert!(flags.contains(&format!("{flag}=unix:///run/pullgate/pullgate.sock")), "{flags}");
    }

    let refusal = node.cri().await.pull(&app).await.unwrap_err();
    assert!(refusal.message().starts_with("SignatureValidationFailed: "), "{refusal}");
    node.cri().await.pull(&system).await.unwrap_err();
    let record = run(look);
    assert!(record.contains(&app), "{record}");

    run(undo);
    assert_eq!(node.run("cat /run/kubelet-flags").trim(), "");
}

/// The blocks of commands under "Install on a kubeadm node".
fn commands() -> Vec<String> {
    let readme = std::fs::read_to_string(tree().join("README.md")).unwrap();
    let (_, section) = readme.split_once("\n## Install on a kubeadm node\n").unwrap();
    let section = section.split("\n## ").next().unwrap();
    let mut blocks: Vec<String> = Vec::new();
    let mut open = false;
    for line in section.lines() {
        match line.strip_prefix("    ") {
            Some(command) if open => {
                let block = blocks.last_mut().unwrap();
                block.push('\n');
                block.push_str(command);
            }
            Some(command) => blocks.push(command.to_owned()),
            None => {}
        }
        open = line.starts_with("    ");
    }
    blocks
}
