//! Where the demonstration plays: on a node with the package and its units, or here with the program
//! alone.

use std::path::Path;
use std::process::Command;

use pullgate_tests::containerd::Containerd;
use pullgate_tests::cri::Cri;
use pullgate_tests::node::{Node, PACKAGES};
use pullgate_tests::package::{Kind, build, folder};
use pullgate_tests::process::run;
use pullgate_tests::pullgated::{Pullgated, policy};
use pullgate_tests::version::Version;

use crate::{REGISTRY, Shop};

/// A containerd with pullgated before it.
#[expect(clippy::large_enum_variant, reason = "there is one of it")]
pub(crate) enum Stage {
    /// Both are children of this process.
    Here(Containerd, Pullgated),
    /// Both are services of a booted Debian, pullgate from its package.
    Node(Node),
}

impl Stage {
    pub(crate) async fn here(shop: &Shop) -> Self {
        let containerd = Containerd::start(Version::V1_6, shop.hosts.path()).await;
        let gate = Pullgated::start(&containerd, &shop.settings()).await;
        Self::Here(containerd, gate)
    }

    pub(crate) async fn node(shop: &Shop) -> Self {
        let deb = build(Kind::Deb, &folder().join("demo"), None);
        let node = Node::boot().await;
        let store = node.path("/var/lib/containers/sigstore");
        std::fs::create_dir_all(&store).expect("a folder inside the node");
        run(Command::new("cp").arg("--recursive").arg(shop.lookaside.path().join(".")).arg(store));
        let copy = |from: &Path, to: &str| node.write(to, std::fs::read(from).expect("a file"));
        copy(&shop.release.public_key(), KEY);
        copy(&shop.registry.ca().expect("the registry speaks TLS"), "/etc/pullgate/shop.pem");
        node.write(POLICY, policy(REGISTRY, KEY.as_ref()));
        let (url, hosts) = (shop.registry.url(), format!("/etc/containerd/certs.d/{REGISTRY}"));
        let text = format!("server = \"{url}\"\nca = \"/etc/pullgate/shop.pem\"\n");
        node.write(&format!("{hosts}/hosts.toml"), text);
        let deb = deb.strip_prefix(folder()).expect("packages are made in their folder");
        println!("{}", node.run(&format!("dpkg -i {PACKAGES}/{}", deb.display())));
        Self::Node(node)
    }

    /// The text of its policy.json.
    pub(crate) fn policy(&self) -> String {
        let path = match self {
            Self::Here(_, gate) => gate.policy(),
            Self::Node(node) => node.path(POLICY),
        };
        std::fs::read_to_string(path).expect("the policy was written")
    }

    /// A client as kubelet is one.
    pub(crate) async fn gate(&self) -> Cri {
        match self {
            Self::Here(_, gate) => gate.cri().await,
            Self::Node(node) => node.cri().await,
        }
    }

    /// A client of containerd itself.
    pub(crate) async fn containerd(&self) -> Cri {
        match self {
            Self::Here(containerd, _) => containerd.cri().await,
            Self::Node(node) => {
                let socket = node.path("/run/containerd/containerd.sock");
                Cri::connect(&socket).await.expect("containerd to listen")
            }
        }
    }

    /// What pullgated has recorded.
    pub(crate) fn log(&self) -> String {
        match self {
            Self::Here(_, gate) => gate.log(),
            Self::Node(node) => node.journal("short"),
        }
    }
}

const POLICY: &str = "/etc/pullgate/policy.json";
const KEY: &str = "/etc/pullgate/keys/public.gpg";
