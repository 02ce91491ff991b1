//! `make demo`: one image that may enter the node and four that may not. `demo node` installs the
//! package on a booted Debian and shows its units at work.
//!
//! Everything is real and private to this run: containerd, the registry, the keys, the daemon. It
//! exits with an error if any image fares otherwise than it should, and leaves nothing running.
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a demonstration prints, and ends where it cannot go on"
)]

mod stage;

use std::process::ExitCode;

use pullgate_tests::hosts::Hosts;
use pullgate_tests::image::Image;
use pullgate_tests::pullgated::{Settings, policy};
use pullgate_tests::registry::{Access, Registry};
use pullgate_tests::sample;
use pullgate_tests::signer::{Lookaside, Signer};
use stage::Stage;

/// The name that the images have. It exists nowhere: `hosts.toml` points to the private registry.
const REGISTRY: &str = "registry.example";

#[tokio::main]
async fn main() -> ExitCode {
    let shop = Shop::open().await;
    let scenes = shop.scenes();
    let stage = match std::env::args().nth(1).as_deref() {
        Some("node") => Stage::node(&shop).await,
        _ => Stage::here(&shop).await,
    };
    println!("containerd and pullgated are up; policy.json:\n{}\n", stage.policy());
    let mut all_as_expected = true;
    for scene in scenes {
        all_as_expected &= scene.play(&stage).await;
    }
    if all_as_expected { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// A registry with images, a signature store, and whom the node trusts.
struct Shop {
    registry: Registry,
    hosts: Hosts,
    lookaside: Lookaside,
    release: Signer,
    stranger: Signer,
}

impl Shop {
    async fn open() -> Self {
        let registry = Registry::start(Access::Tls).await;
        let hosts = Hosts::new();
        hosts.point(REGISTRY, &registry);
        let (release, stranger) = (Signer::new(), Signer::new());
        Self { registry, hosts, lookaside: Lookaside::new(), release, stranger }
    }

    fn settings(&self) -> Settings {
        Settings {
            policy: Some(self.policy()),
            registries_d: Some(self.lookaside.registries_d(REGISTRY, &self.lookaside.url())),
            hosts: Some(self.hosts.path().to_owned()),
            ..Settings::default()
        }
    }

    fn policy(&self) -> String {
        policy(REGISTRY, &self.release.public_key())
    }

    fn scenes(&self) -> Vec<Scene> {
        let signed = self.publish("signed");
        self.sign(&self.release, &signed, "signed", "signed");
        self.publish("unsigned");
        let stranger = self.publish("stranger");
        self.sign(&self.stranger, &stranger, "stranger", "stranger");
        let renamed = self.publish("renamed");
        self.sign(&self.release, &renamed, "renamed", "another");
        let altered = self.publish("altered");
        self.sign(&self.release, &altered, "altered", "altered");
        self.registry.tamper(&altered.layers[0].digest, |bytes| bytes[20] ^= 1);
        vec![
            Scene::new("signed by the release key", "signed", Expected::Accepted(signed)),
            Scene::new("not signed", "unsigned", Expected::Refused(SIGNATURE)),
            Scene::new("signed by a key nobody trusts", "stranger", Expected::Refused(SIGNATURE)),
            Scene::new("signed as another image", "renamed", Expected::Refused(SIGNATURE)),
            Scene::new("signed, then a layer altered", "altered", Expected::Refused("sha256:")),
        ]
    }

    fn publish(&self, name: &str) -> Image {
        let image = sample::tiny(name);
        image.store(&self.registry, &format!("shop/{name}"), "v1");
        image
    }

    fn sign(&self, signer: &Signer, image: &Image, name: &str, claimed: &str) {
        let reference = format!("{REGISTRY}/shop/{claimed}:v1");
        let signature = signer.sign_with_skopeo(&image.manifest.bytes, &reference);
        self.lookaside.add(&format!("shop/{name}"), &image.manifest.digest, &signature);
    }
}

/// How the kubelet recognises a refusal by policy.
const SIGNATURE: &str = "SignatureValidationFailed";

/// One image that a node asks for.
struct Scene {
    title: &'static str,
    image: String,
    expected: Expected,
}

/// What should become of it.
enum Expected {
    Accepted(Image),
    /// With these words in the answer.
    Refused(&'static str),
}

impl Scene {
    fn new(title: &'static str, name: &str, expected: Expected) -> Self {
        Self { title, image: format!("{REGISTRY}/shop/{name}:v1"), expected }
    }

    /// Pulls through the gate, then asks containerd itself what came of it.
    async fn play(&self, stage: &Stage) -> bool {
        let before = stage.log().len();
        let answer = stage.gate().await.pull(&self.image).await;
        let images = stage.containerd().await.list().await;
        let images = images.expect("containerd to list its images");
        let listed = images.iter().any(|image| image.repo_tags.contains(&self.image));
        let (shown, as_expected) = match (&answer, &self.expected) {
            (Ok(id), Expected::Accepted(image)) => {
                (id.as_str(), *id == image.config.digest && listed)
            }
            (Ok(id), Expected::Refused(_)) => (id.as_str(), false),
            (Err(status), Expected::Accepted(_)) => (status.message(), false),
            (Err(status), Expected::Refused(words)) => {
                (status.message(), status.message().contains(words) && !listed)
            }
        };
        println!("--- {}", self.title);
        println!("pull     {}", self.image);
        println!("answer   {shown}");
        println!("CRI      {}", if listed { "lists it" } else { "does not list it" });
        for line in stage.log().split_at(before).1.lines() {
            println!("journal  {line}");
        }
        println!("{}\n", if as_expected { "as expected" } else { "NOT AS EXPECTED" });
        as_expected
    }
}
