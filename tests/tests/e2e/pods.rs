//! Pods of images that came to the node past pullgate: each way in works with containerd alone, and
//! fails with pullgate before it.

use pullgate_proto::{ContainerConfig, ImageSpec, Mount, PodSandboxConfig};
use pullgate_tests::containerd::SANDBOX_IMAGE;
use pullgate_tests::cri::{Cri, container, pod};
use pullgate_tests::image::Image;
use pullgate_tests::pullgated::{Settings, accept_anything, policy};
use pullgate_tests::sample;
use pullgate_tests::signer::{Lookaside, Signer};
use pullgate_tests::version::Version;
use tonic::{Code, Status};

use crate::scene::{NAME, Scene};

const REJECTED: &str = "SignatureValidationFailed: ";

#[tokio::test]
async fn containerd_1_6() {
    walk_around(Version::V1_6).await;
}

#[tokio::test]
async fn containerd_1_7() {
    walk_around(Version::V1_7).await;
}

#[tokio::test]
async fn containerd_2_1() {
    walk_around(Version::V2_1).await;
}

async fn walk_around(version: Version) {
    if !Version::available().contains(&version) {
        return;
    }
    let mut node = Node::start(version).await;
    node.sandbox_image().await;
    node.ways_in().await;
    node.names_and_policies().await;
    node.without_registry_and_after_a_restart().await;
}

/// A node whose policy wants the release key's signature, and a pod on it for the containers.
struct Node {
    scene: Scene,
    release: Signer,
    lookaside: Lookaside,
    pod: PodSandboxConfig,
    sandbox: String,
}

impl Node {
    async fn start(version: Version) -> Self {
        let (release, lookaside) = (Signer::new(), Lookaside::new());
        let settings = Settings {
            policy: Some(policy(NAME, &release.public_key())),
            registries_d: Some(lookaside.registries_d(NAME, &lookaside.url())),
            ..Settings::default()
        };
        let scene = Scene::with(version, Default::default(), settings).await;
        scene.gate.set_policy_of("lax", &accept_anything());
        let pod = pod("default", "pod");
        Self { scene, release, lookaside, pod, sandbox: String::new() }
    }

    /// Puts an image into the registry as `name:v1`.
    fn publish(&self, name: &str, image: &Image, signed: bool) {
        image.store(&self.scene.registry, name, "v1");
        if signed {
            self.sign(name, "v1", image);
        }
    }

    fn sign(&self, name: &str, tag: &str, image: &Image) {
        let digest = &image.manifest.digest;
        let signature = self.release.sign(digest, &format!("{NAME}/{name}:{tag}"));
        self.lookaside.add(name, digest, &signature);
    }

    async fn native(&self) -> Cri {
        self.scene.native().await
    }

    async fn gate(&self) -> Cri {
        self.scene.gate.cri().await
    }

    /// Runs a container to see that it works, and removes it.
    async fn run(&self, cri: &Cri, config: ContainerConfig) -> Result<(), Status> {
        let id = cri.create(&self.sandbox, &self.pod, config).await?;
        cri.start(&id).await.expect("a container that was created to start");
        cri.remove_container(&id).await.expect("the container to be removed");
        Ok(())
    }

    /// Containerd alone runs it, pullgate refuses it for this reason.
    async fn walks_past_containerd_only(&self, config: ContainerConfig, reason: &str) {
        let what = format!("{:?}", config.image);
        self.run(&self.native().await, config.clone()).await.expect("containerd alone to run it");
        self.refuses(config, reason, &what).await;
    }

    async fn refuses(&self, config: ContainerConfig, reason: &str, what: &str) {
        let status = self.run(&self.gate().await, config).await.expect_err(what);
        assert!(status.message().starts_with(REJECTED), "{what}: {}", status.message());
        assert_eq!(status.code(), Code::Unknown, "{what}");
        self.recorded(reason, what);
    }

    fn recorded(&self, reason: &str, what: &str) {
        let log = self.scene.gate.log();
        let last = log.lines().rfind(|line| line.contains("PULL_ID="));
        let last = last.unwrap_or_else(|| panic!("{what}: no record in\n{log}"));
        assert!(last.contains(&format!("REASON=\"{reason}\"")), "{what}: {last}");
    }

    async fn accepts(&self, config: ContainerConfig) {
        let what = format!("{:?}", config.image);
        self.run(&self.gate().await, config).await.expect(&what);
    }

    /// The ways in which an image comes to the node past pullgate.
    async fn ways_in(&self) {
        self.present_before_the_install().await;
        self.imported().await;
        self.checkpoints().await;
        self.absent().await;
        if self.scene.containerd.version() == Version::V2_1 {
            self.image_volume().await;
        }
    }

    /// The ways in which an image is another one than it seems, or for another pod.
    async fn names_and_policies(&self) {
        self.renamed().await;
        self.several_names_of_one_image().await;
        self.moved_and_untagged_between_pull_and_create().await;
        self.other_namespace().await;
        self.other_policy().await;
    }

    /// Containerd pulls its sandbox image by itself, so a policy has to hold before.
    async fn sandbox_image(&mut self) {
        sample::waiting("another pause").store(&self.scene.registry, "pause", "3.10");
        let native = self.native().await;
        let sandbox = native.run_sandbox(&self.pod).await.expect("containerd to pull the image");
        native.remove_sandbox(&sandbox).await.expect("the sandbox to be removed");
        assert!(self.sandbox_image_status().await.is_some(), "containerd has pulled the image");
        self.no_sandbox().await;
        native.remove(SANDBOX_IMAGE).await.expect("the image to be removed");
        self.no_sandbox().await;
        assert!(self.sandbox_image_status().await.is_none(), "containerd has not pulled it");
        self.signed_sandbox_image().await;
    }

    /// The gate brings it in, and asks nobody the next time.
    async fn signed_sandbox_image(&mut self) {
        let pause = sample::waiting("pause");
        pause.store(&self.scene.registry, "pause", "3.10");
        self.sign("pause", "3.10", &pause);
        let gate = self.gate().await;
        let sandbox = gate.run_sandbox(&self.pod).await.expect("a signed sandbox image");
        gate.remove_sandbox(&sandbox).await.expect("the sandbox to be removed");
        let status = self.sandbox_image_status().await.expect("the image is there");
        assert!(status.pinned || self.scene.containerd.version() == Version::V1_6, "{status:?}");
        let asked = self.scene.registry.requests().len();
        self.sandbox = gate.run_sandbox(&self.pod).await.expect("the image is there and accepted");
        assert_eq!(self.scene.registry.requests().len(), asked, "nobody was asked");
    }

    async fn sandbox_image_status(&self) -> Option<pullgate_proto::Image> {
        self.native().await.status(SANDBOX_IMAGE).await.expect("a status").image
    }

    async fn no_sandbox(&self) {
        let status = self.gate().await.run_sandbox(&self.pod).await.expect_err("unsigned");
        assert!(status.message().starts_with(REJECTED), "{}", status.message());
        self.recorded("SIGNATURE_MISSING", "sandbox image");
    }

    async fn present_before_the_install(&self) {
        let (signed, unsigned) = (sample::waiting("early"), sample::waiting("early, unsigned"));
        self.publish("early", &signed, true);
        self.publish("bad-early", &unsigned, false);
        let native = self.native().await;
        for name in ["early", "bad-early"] {
            native.pull(&format!("{NAME}/{name}:v1")).await.expect("containerd's own pull");
        }
        self.walks_past_containerd_only(by_id(&unsigned, "bad-early"), "SIGNATURE_MISSING").await;
        self.walks_past_containerd_only(by_id(&unsigned, ""), "SIGNATURE_MISSING").await;
        self.accepts(by_id(&signed, "early")).await;
        self.recorded("SIGNED", "the registry has the signature");
        let records = || self.scene.gate.log().matches("PULL_ID=").count();
        let before = records();
        self.accepts(by_id(&signed, "early")).await;
        self.accepts(by_id(&signed, "")).await;
        assert_eq!(records(), before, "the ledger knows");
    }

    /// `ctr image import`: containerd hears of no registry.
    async fn imported(&self) {
        let image = sample::waiting("imported");
        let archive = self.lookaside.path().join(".imported.tar");
        std::fs::write(&archive, image.archive(&format!("{NAME}/imported:v1"))).expect("a file");
        self.scene.containerd.ctr(&["images", "import", &archive.to_string_lossy()]);
        self.shown(&image).await;
        self.walks_past_containerd_only(by_id(&image, "imported"), "NOT_VERIFIED").await;
    }

    /// An unsigned image gets the name of a signed one.
    async fn renamed(&self) {
        let (good, evil) = (sample::waiting("good"), sample::waiting("evil"));
        self.publish("good", &good, true);
        self.publish("evil", &evil, false);
        self.gate().await.pull(&format!("{NAME}/good:v1")).await.expect("a signed image");
        self.native().await.pull(&format!("{NAME}/evil:v1")).await.expect("containerd's own pull");
        let (evil_name, good_name) = (format!("{NAME}/evil:v1"), format!("{NAME}/good:v1"));
        self.scene.containerd.ctr(&["images", "tag", "--force", &evil_name, &good_name]);
        self.scene
            .wait_until("CRI follows the name", async || {
                let status = self.native().await.status(&good_name).await.expect("a status");
                status.image.is_some_and(|image| image.id == evil.config.digest)
            })
            .await;
        self.walks_past_containerd_only(by_id(&evil, "good"), "NOT_VERIFIED").await;
        let by_name = container("default", &good_name, "");
        self.walks_past_containerd_only(by_name, "NOT_VERIFIED").await;
    }

    /// The test list of CRI-O's reviewers: the name that the pod uses decides.
    async fn several_names_of_one_image(&self) {
        let image = sample::waiting("two names");
        self.publish("name-good", &image, true);
        self.publish("name-bad", &image, false);
        self.gate().await.pull(&format!("{NAME}/name-good:v1")).await.expect("a signed name");
        self.native().await.pull(&format!("{NAME}/name-bad:v1")).await.expect("the same image");
        self.accepts(by_id(&image, "name-good")).await;
        self.walks_past_containerd_only(by_id(&image, "name-bad"), "SIGNATURE_MISSING").await;
        let digest = &image.manifest.digest;
        self.accepts(container("default", &format!("{NAME}/name-good@{digest}"), "")).await;
        let other = format!("{NAME}/name-bad@{digest}");
        self.walks_past_containerd_only(container("default", &other, ""), "SIGNATURE_MISSING")
            .await;
        // What runs is what was signed, and a kubelet before 1.30 does not tell the name.
        self.accepts(by_id(&image, "")).await;
    }

    async fn moved_and_untagged_between_pull_and_create(&self) {
        let (first, second) = (sample::waiting("first"), sample::waiting("second"));
        let gate = self.gate().await;
        self.publish("moving", &first, true);
        gate.pull(&format!("{NAME}/moving:v1")).await.expect("a signed image");
        self.publish("moving", &second, true);
        gate.pull(&format!("{NAME}/moving:v1")).await.expect("a signed image");
        self.accepts(by_id(&first, "moving")).await;
        self.accepts(by_id(&second, "moving")).await;

        self.scene.containerd.ctr(&["images", "rm", &format!("{NAME}/moving:v1")]);
        let digest = &second.manifest.digest;
        self.scene.containerd.ctr(&["images", "rm", &format!("{NAME}/moving@{digest}")]);
        self.scene
            .wait_until("CRI forgets the names", async || {
                let status = gate.status(&second.config.digest).await.expect("a status").image;
                status.is_none_or(|image| image.repo_tags.is_empty())
            })
            .await;
        self.accepts(by_id(&second, "moving")).await;
        self.accepts(by_id(&second, "")).await;
    }

    async fn other_namespace(&self) {
        let image = sample::waiting("lax");
        self.publish("lax", &image, false);
        let gate = self.gate().await;
        let lax = pod("lax", "pod-of-lax");
        let name = format!("{NAME}/lax:v1");
        gate.pull_for("lax", &name).await.expect("the lax policy");
        let sandbox = gate.run_sandbox(&lax).await.expect("a sandbox");
        let config = container("lax", &image.config.digest, &name);
        let id = gate.create(&sandbox, &lax, config).await.expect("the lax policy");
        gate.start(&id).await.expect("it to start");
        gate.remove_sandbox(&sandbox).await.expect("the sandbox to be removed");
        self.walks_past_containerd_only(by_id(&image, "lax"), "SIGNATURE_MISSING").await;
    }

    async fn other_policy(&self) {
        let image = sample::waiting("policy");
        self.publish("policy", &image, true);
        self.gate().await.pull(&format!("{NAME}/policy:v1")).await.expect("a signed image");
        let path = self.scene.gate.policy();
        let good = std::fs::read(&path).expect("the policy");
        let stranger = Signer::new();
        std::fs::write(&path, policy(NAME, &stranger.public_key())).expect("another policy");
        self.walks_past_containerd_only(by_id(&image, "policy"), "KEY_UNKNOWN").await;
        std::fs::write(&path, "{").expect("a broken policy");
        let status = self.run(&self.gate().await, by_id(&image, "policy")).await;
        let status = status.expect_err("a broken policy");
        assert!(status.message().contains("no usable policy"), "{}", status.message());
        std::fs::write(&path, good).expect("the policy");
        self.accepts(by_id(&image, "policy")).await;
    }

    async fn checkpoints(&self) {
        let path = self.lookaside.path().join(".checkpoint.tar");
        std::fs::write(&path, b"what a checkpoint may hold").expect("a file");
        let config = container("default", &path.to_string_lossy(), "");
        self.refuses(config, "CHECKPOINT_REFUSED", "a path").await;
        let image = sample::checkpoint("checkpoint");
        self.publish("checkpoint", &image, true);
        let name = format!("{NAME}/checkpoint:v1");
        let status = self.gate().await.pull(&name).await.expect_err("a checkpoint");
        assert!(status.message().contains("is a checkpoint"), "{}", status.message());
        self.native().await.pull(&name).await.expect("containerd's own pull");
        self.refuses(by_id(&image, "checkpoint"), "CHECKPOINT_REFUSED", "an image").await;
    }

    /// What is not there is told in containerd's words: kubelet pulls it then.
    async fn absent(&self) {
        let config = by_id(&sample::tiny("nowhere"), "nowhere");
        let native = self.run(&self.native().await, config.clone()).await.expect_err("absent");
        let ours = self.run(&self.gate().await, config).await.expect_err("absent");
        assert_eq!(native.code(), Code::NotFound, "{}", native.message());
        assert_eq!((ours.code(), ours.message()), (native.code(), native.message()));
    }

    async fn image_volume(&self) {
        let (app, evil) = (sample::waiting("app"), sample::waiting("evil volume"));
        self.publish("app", &app, true);
        self.publish("volume", &evil, false);
        self.gate().await.pull(&format!("{NAME}/app:v1")).await.expect("a signed image");
        self.native().await.pull(&format!("{NAME}/volume:v1")).await.expect("containerd's own");
        let mut config = by_id(&app, "app");
        config.mounts.push(Mount {
            container_path: "/volume".to_owned(),
            readonly: true,
            image: Some(ImageSpec { image: evil.config.digest.clone(), ..ImageSpec::default() }),
            ..Mount::default()
        });
        self.walks_past_containerd_only(config, "SIGNATURE_MISSING").await;
    }

    /// The registry is gone, the daemon was killed: what was accepted is, what was not is not, and what
    /// runs is reported.
    async fn without_registry_and_after_a_restart(&mut self) {
        let (known, unknown) = (sample::waiting("known"), sample::waiting("unknown"));
        self.publish("known", &known, true);
        self.publish("unknown", &unknown, true);
        self.gate().await.pull(&format!("{NAME}/known:v1")).await.expect("a signed image");
        self.native().await.pull(&format!("{NAME}/unknown:v1")).await.expect("containerd's own");
        let native = self.native().await;
        for image in [&known, &unknown] {
            let config = by_id(image, "");
            let name = if image == &known { "a" } else { "b" };
            let config = named(config, name);
            let id = native.create(&self.sandbox, &self.pod, config).await.expect("a container");
            native.start(&id).await.expect("it to start");
        }
        self.scene.hosts.write(NAME, "server = \"http://127.0.0.1:1\"\n");
        self.scene.gate.kill();
        self.scene.gate.start_again().await;
        let log = async || self.scene.gate.log();
        let total = "containers that run already: 1 accepted, 0 rejected, 1 unknown";
        self.scene.wait_until(total, async || log().await.contains(total)).await;

        self.accepts(by_id(&known, "known")).await;
        self.refuses(by_id(&unknown, "unknown"), "NOT_VERIFIED", "nobody can be asked").await;
        native.remove_sandbox(&self.sandbox).await.expect("the sandbox to be removed");
    }

    async fn shown(&self, image: &Image) {
        let native = self.native().await;
        self.scene
            .wait_until("CRI shows the image", async || {
                native.status(&image.config.digest).await.expect("a status").image.is_some()
            })
            .await;
    }
}

/// A container as kubelet asks for it: the image by its ID, and the pod's word where there is one.
fn by_id(image: &Image, name: &str) -> ContainerConfig {
    let name = if name.is_empty() { String::new() } else { format!("{NAME}/{name}:v1") };
    container("default", &image.config.digest, &name)
}

fn named(mut config: ContainerConfig, name: &str) -> ContainerConfig {
    if let Some(metadata) = &mut config.metadata {
        name.clone_into(&mut metadata.name);
    }
    config
}
