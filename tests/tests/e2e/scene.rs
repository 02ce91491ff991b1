//! A registry, a containerd and the daemon in front of it.

use std::time::Duration;

use pullgate_tests::containerd::{self, Containerd};
use pullgate_tests::cri::Cri;
use pullgate_tests::dump::{collect, dump, leases};
use pullgate_tests::hosts::Hosts;
use pullgate_tests::pullgated::{Pullgated, Settings, accept_anything};
use pullgate_tests::registry::{Access, Registry};
use pullgate_tests::version::Version;

/// The name under which the registry is known.
pub(crate) const NAME: &str = "registry.example";

/// Longest wait for something that containerd does in the background.
const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct Scene {
    pub(crate) registry: Registry,
    pub(crate) hosts: Hosts,
    pub(crate) containerd: Containerd,
    pub(crate) gate: Pullgated,
    pub(crate) settings: Settings,
}

impl Scene {
    /// With a policy that accepts everything.
    pub(crate) async fn open(version: Version) -> Self {
        Self::with(version, containerd::Settings::default(), Settings::default()).await
    }

    pub(crate) async fn with(
        version: Version,
        containerd: containerd::Settings,
        gate: Settings,
    ) -> Self {
        let registry = Registry::start(Access::Open).await;
        let hosts = Hosts::new();
        hosts.point(NAME, &registry);
        let path = Some(hosts.path().to_owned());
        let containerd = containerd::Settings { hosts: path.clone(), ..containerd };
        let containerd = Containerd::start_with(version, containerd).await;
        let policy = gate.policy.clone().or_else(|| Some(accept_anything()));
        let settings = Settings { policy, hosts: path, ..gate };
        let gate = Pullgated::start(&containerd, &settings).await;
        Self { registry, hosts, containerd, gate, settings }
    }

    pub(crate) async fn dump(&self) -> String {
        dump(&self.containerd.socket()).await
    }

    /// Removes every image and waits until nothing of them is left.
    pub(crate) async fn empty(&self) {
        let cri = self.containerd.cri().await;
        for image in cri.list().await.expect("a list of images") {
            cri.remove(&image.id).await.expect("the image to be removed");
        }
        self.wait_until_nothing_is_left().await;
    }

    /// Waits until no lease is held and nothing but what the images need is stored.
    pub(crate) async fn settle(&self) {
        let socket = self.containerd.socket();
        self.wait_until("no lease is held", async || leases(&socket).await.is_empty()).await;
        collect(&socket).await;
    }

    /// Waits until no lease is held and nothing is stored.
    pub(crate) async fn wait_until_nothing_is_left(&self) {
        let met = async || {
            self.settle().await;
            self.dump().await.is_empty()
        };
        self.wait_until("nothing is left", met).await;
    }

    pub(crate) async fn wait_until(&self, what: &str, met: impl AsyncFn() -> bool) {
        let end = tokio::time::Instant::now() + PATIENCE;
        while !met().await {
            assert!(
                tokio::time::Instant::now() < end,
                "{what}: not within {PATIENCE:?}; the store:\n{}\nthe log:\n{}",
                self.dump().await,
                self.gate.log()
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub(crate) async fn pull(&self, name: &str) -> Result<String, tonic::Status> {
        self.gate.cri().await.pull(&format!("{NAME}/{name}")).await
    }

    pub(crate) async fn native(&self) -> Cri {
        self.containerd.cri().await
    }
}
