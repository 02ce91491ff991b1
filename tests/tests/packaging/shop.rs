//! Images in a registry on loopback, and a node that is told whom to trust.

use pullgate_tests::node::Node;
use pullgate_tests::pullgated::policy;
use pullgate_tests::registry::{Access, Registry};
use pullgate_tests::sample;
use pullgate_tests::server::Server;
use pullgate_tests::signer::{Lookaside, Signer};

/// The name of the registry. It exists nowhere: the node's hosts.toml points to loopback.
pub(crate) const REGISTRY: &str = "registry.example";

/// Where the node has the key.
const KEY: &str = "/etc/pullgate/keys/release.gpg";

pub(crate) struct Shop {
    registry: Registry,
    lookaside: Lookaside,
    signatures: Server,
    signer: Signer,
}

impl Shop {
    pub(crate) async fn open() -> Self {
        let lookaside = Lookaside::new();
        let signatures = Server::of_files(lookaside.path()).await;
        let registry = Registry::start(Access::Open).await;
        Self { registry, lookaside, signatures, signer: Signer::new() }
    }

    /// `HOST:PORT` of the signature store.
    pub(crate) fn signatures(&self) -> String {
        self.signatures.host()
    }

    /// The public key, as its owner exports it.
    pub(crate) fn key(&self) -> Vec<u8> {
        std::fs::read(self.signer.public_key()).unwrap()
    }

    /// Stores an image, signs it if asked, and returns its name.
    pub(crate) fn publish(&self, repository: &str, signed: bool) -> String {
        let image = sample::tiny(repository);
        image.store(&self.registry, repository, "v1");
        let name = format!("{REGISTRY}/{repository}:v1");
        if signed {
            let signature = self.signer.sign(&image.manifest.digest, &name);
            self.lookaside.add(repository, &image.manifest.digest, &signature);
        }
        name
    }

    /// Points the name of the registry to loopback.
    pub(crate) fn connect(&self, node: &Node) {
        let url = self.registry.url();
        let hosts = format!("server = \"{url}\"\n[host.\"{url}\"]\n");
        node.write(&format!("/etc/containerd/certs.d/{REGISTRY}/hosts.toml"), hosts);
    }

    /// Writes the policy, the key, and where signatures are.
    pub(crate) fn trust(&self, node: &Node) {
        self.connect(node);
        node.write(KEY, self.key());
        node.write("/etc/containers/policy.json", policy(REGISTRY, KEY.as_ref()));
        self.store(node, REGISTRY, &self.signatures.url());
    }

    /// Says where the signatures of `scope` are.
    pub(crate) fn store(&self, node: &Node, scope: &str, url: &str) {
        let file = format!("/etc/containers/registries.d/{}.yaml", scope.replace('/', "_"));
        node.write(&file, format!("docker:\n  {scope}:\n    lookaside: {url}\n"));
    }
}
