//! Containers of an image that was accepted before: what they cost, and what ends it.

use pullgate_tests::cri::{Cri, container, pod};
use pullgate_tests::image::Image;
use pullgate_tests::pullgated::{Settings, policy};
use pullgate_tests::sample;
use pullgate_tests::signer::{Lookaside, Signer};
use pullgate_tests::version::Version;
use tonic::Status;

use crate::counts::{CALLS, Counts};
use crate::scene::{NAME, Scene};

/// Containers that are asked for.
const CONTAINERS: u64 = 5;

#[tokio::test]
async fn containerd_1_6() {
    ask(Version::V1_6).await;
}

#[tokio::test]
async fn containerd_1_7() {
    ask(Version::V1_7).await;
}

#[tokio::test]
async fn containerd_2_1() {
    ask(Version::V2_1).await;
}

async fn ask(version: Version) {
    if !Version::available().contains(&version) {
        return;
    }
    let counts = Counts::new();
    let (release, lookaside) = (Signer::new(), Lookaside::new());
    let settings = Settings {
        policy: Some(policy(NAME, &release.public_key())),
        registries_d: Some(lookaside.registries_d(NAME, &lookaside.url())),
        ..Settings::default()
    };
    let scene = Scene::with(version, counts.shown_by(Default::default()), settings).await;
    let image = sample::tiny("remembered");
    image.store(&scene.registry, "remembered", "v1");
    let digest = &image.manifest.digest;
    lookaside.add("remembered", digest, &release.sign(digest, &name()));
    let gate = scene.gate.cri().await;
    gate.pull(&name()).await.expect("a signed image");

    known(&scene, counts, &image).await;
    for name in [name(), String::new()] {
        let calls = asked(counts, &gate, &image, &name, CONTAINERS).await;
        assert_eq!(calls, [0, 0], "images.Get and ImageStatus, as `{name}`");
    }
    changed_key(&scene, &release, &image).await;
    changed_record(&scene, counts, &image).await;
    removed(&scene, &image).await;
}

/// Waits until containerd has told of the last records that were written, and their targets are known.
async fn known(scene: &Scene, counts: Counts, image: &Image) {
    let gate = scene.gate.cri().await;
    let known = async || asked(counts, &gate, image, &name(), 1).await == [0, 0];
    scene.wait_until("a container costs no call", known).await;
}

/// What containerd is asked while so many containers are created, each of which the gate lets pass.
async fn asked(counts: Counts, gate: &Cri, image: &Image, name: &str, containers: u64) -> [u64; 2] {
    let before = calls(counts).await;
    for _ in 0..containers {
        let status = create(gate, image, name).await;
        assert!(status.message().contains("sandbox"), "accepted: {}", status.message());
    }
    let after = calls(counts).await;
    [0, 1].map(|number| after[number] - before[number])
}

/// A record that somebody changes is asked for again, until it is known again.
async fn changed_record(scene: &Scene, counts: Counts, image: &Image) {
    let (gate, native) = (scene.gate.cri().await, scene.native().await);
    sample::tiny("other").store(&scene.registry, "other", "v1");
    let other = format!("{NAME}/other:v1");
    native.pull(&other).await.expect("containerd's own pull");
    known(scene, counts, image).await;
    for target in [&other, &name()] {
        scene.containerd.ctr(&["images", "tag", "--force", target, &image.config.digest]);
        let [records, _] = asked(counts, &gate, image, &name(), 1).await;
        assert!(records > 0, "the ID stands for {target} now, and nobody looked");
    }
    known(scene, counts, image).await;
}

/// Another key in the same file counts for the next container, and so does the old one put back.
async fn changed_key(scene: &Scene, release: &Signer, image: &Image) {
    let (gate, file) = (scene.gate.cri().await, release.public_key());
    let old = std::fs::read(&file).expect("the key");
    std::fs::write(&file, std::fs::read(Signer::new().public_key()).expect("a key"))
        .expect("the key to be written");
    let status = create(&gate, image, &name()).await;
    assert!(status.message().contains("SignatureValidationFailed"), "{}", status.message());
    std::fs::write(&file, old).expect("the key to be written");
    let status = create(&gate, image, &name()).await;
    assert!(status.message().contains("sandbox"), "{}", status.message());
}

/// What was accepted and is gone is told in containerd's words: kubelet pulls it then.
async fn removed(scene: &Scene, image: &Image) {
    let (gate, native) = (scene.gate.cri().await, scene.native().await);
    native.remove(&image.config.digest).await.expect("the image to be removed");
    let (theirs, ours) =
        (create(&native, image, &name()).await, create(&gate, image, &name()).await);
    assert_eq!((ours.code(), ours.message()), (theirs.code(), theirs.message()));
}

fn name() -> String {
    format!("{NAME}/remembered:v1")
}

/// What is answered to a container in a sandbox that does not exist.
async fn create(cri: &Cri, image: &Image, name: &str) -> Status {
    let config = container("default", &image.config.digest, name);
    let created = cri.create("no-such-sandbox", &pod("default", "pod"), config).await;
    created.expect_err("no sandbox")
}

/// How often containerd was asked for image records, and for the status of images.
async fn calls(counts: Counts) -> [u64; 2] {
    [
        counts.of(CALLS, "containerd.services.images.v1.Images", "Get").await,
        counts.of(CALLS, "runtime.v1.ImageService", "ImageStatus").await,
    ]
}
