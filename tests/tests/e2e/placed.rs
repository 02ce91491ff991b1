//! Layers become files of containerd's content store, which containerd takes over. Where that is not
//! possible they go over its API, and the image is the same.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use pullgate_policy::digest::Digest;
use pullgate_tests::containerd;
use pullgate_tests::image::{Compression, Image, Recipe};
use pullgate_tests::pullgated::{Pullgated, Settings};
use pullgate_tests::sample;
use pullgate_tests::version::Version;
use tonic::Code;

use crate::broken::check;
use crate::counts::{Counts, MESSAGES};
use crate::scene::Scene;

/// Messages of an image of two small layers, whose layers are files: for each of them one that begins
/// and one that commits; for configuration and manifest one more, with the bytes.
const PLACED: u64 = 2 * 2 + 2 * 3;

/// The same over the API.
const SENT: u64 = 4 * 3;

/// What is logged, once, where layers cannot become files.
const WARNING: &str = "layers go over containerd's API until a restart";

#[tokio::test]
async fn containerd_1_6() {
    both_ways(Version::V1_6).await;
}

#[tokio::test]
async fn containerd_1_7() {
    both_ways(Version::V1_7).await;
}

#[tokio::test]
async fn containerd_2_1() {
    both_ways(Version::V2_1).await;
}

async fn both_ways(version: Version) {
    if !Version::available().contains(&version) {
        return;
    }
    let counts = Counts::new();
    let containerd = counts.shown_by(Default::default());
    let mut scene = Scene::with(version, containerd, Settings::default()).await;
    let image = two_layers("both ways");
    image.store(&scene.registry, "two", "v1");
    first_pull(&scene).await;
    scene.empty().await;

    let placed = messages(&scene, counts, "two:v1").await;
    assert_eq!(placed, PLACED, "{}", scene.gate.log());
    image.layers.iter().for_each(|layer| is_whole(&file(&scene, &layer.digest), &layer.digest));
    let by_file = scene.dump().await;
    scene.empty().await;
    let log = scene.gate.log();

    scene.settings.extra = "containerd.place_layers = false\n".to_owned();
    scene.gate = Pullgated::start(&scene.containerd, &scene.settings).await;
    assert_eq!(messages(&scene, counts, "two:v1").await, SENT);
    assert_eq!(scene.dump().await, by_file, "the same image either way");
    let log = log + &scene.gate.log();
    assert!(!log.contains(WARNING), "{log}");
}

/// The bytes of a digest, in a file as containerd leaves its own.
fn is_whole(file: &Path, digest: &str) {
    let bytes = std::fs::read(file).expect("the layer's file");
    assert_eq!(Digest::sha256(&bytes).to_string(), digest);
    let mode = std::fs::metadata(file).expect("the layer's file").permissions().mode();
    assert_eq!(mode & 0o7777, 0o444, "{}", file.display());
}

#[tokio::test]
async fn a_store_that_takes_nothing_over_gets_layers_over_its_api() {
    let isolated = "[plugins.\"io.containerd.metadata.v1.bolt\"]
  content_sharing_policy = \"isolated\"";
    let settings = containerd::Settings { extra: isolated.to_owned(), ..Default::default() };
    let counts = Counts::new();
    let scene = Scene::with(Version::V2_1, counts.shown_by(settings), Settings::default()).await;
    first_pull(&scene).await;
    falls_back(&scene, counts, "containerd does not take it over").await;
}

#[tokio::test]
async fn a_store_that_cannot_be_written_gets_layers_over_its_api() {
    let counts = Counts::new();
    let containerd = counts.shown_by(Default::default());
    let mut scene = Scene::with(Version::V1_6, containerd, Settings::default()).await;
    first_pull(&scene).await;
    let script = "mount --bind \"$0\" \"$0\" && mount -o remount,bind,ro \"$0\" && exec \"$@\"";
    let folder = scene.containerd.root().display().to_string();
    let wrapper = ["unshare", "--mount", "sh", "-c", script, &folder];
    scene.settings.wrapper = wrapper.map(str::to_owned).to_vec();
    scene.gate = Pullgated::start(&scene.containerd, &scene.settings).await;
    falls_back(&scene, counts, "Read-only file system").await;
}

/// The first image that would have been placed is whole, and the next one is not tried.
async fn falls_back(scene: &Scene, counts: Counts, why: &str) {
    for name in ["one", "two", "three"] {
        two_layers(name).store(&scene.registry, name, "v1");
        let sent = messages(scene, counts, &format!("{name}:v1")).await;
        assert!(sent >= SENT, "{name}: {sent} messages");
    }
    let log = scene.gate.log();
    let warnings: Vec<&str> = log.lines().filter(|line| line.contains(WARNING)).collect();
    assert!(warnings.len() == 1 && warnings[0].contains(why), "{log}");
}

#[tokio::test]
async fn a_full_disk_is_named() {
    let disk = containerd::Settings { disk: Some(24 << 20), ..Default::default() };
    let mut scene = Scene::with(Version::V1_6, disk, Settings::default()).await;
    // Its disk is in its own mount namespace.
    let namespace = format!("--mount=/proc/{}/ns/mnt", scene.containerd.id());
    scene.settings.wrapper = ["nsenter".to_owned(), namespace].to_vec();
    scene.gate = Pullgated::start(&scene.containerd, &scene.settings).await;
    first_pull(&scene).await;
    scene.empty().await;
    sample::synthetic(Compression::Plain, 1, 32 << 20).store(&scene.registry, "large", "v1");
    let answer = scene.pull("large:v1").await;
    let full = "no space left on containerd's disk (write)";
    check(&scene, "large:v1", answer, (Code::Unavailable, full, "DISK_FULL"));
    scene.wait_until_nothing_is_left().await;
    scene.pull("first:v1").await.expect("the next pull to succeed");
}

#[tokio::test]
async fn a_disk_that_fails_is_named() {
    let mut scene = Scene::open(Version::V1_6).await;
    first_pull(&scene).await;
    // No file may grow over a mebibyte.
    let wrapper = ["env", "--ignore-signal=XFSZ", "prlimit", "--fsize=1048576"];
    scene.settings.wrapper = wrapper.map(str::to_owned).to_vec();
    scene.gate = Pullgated::start(&scene.containerd, &scene.settings).await;
    let image = sample::synthetic(Compression::Plain, 1, 4 << 20);
    image.store(&scene.registry, "large", "v1");
    let answer = scene.pull("large:v1").await;
    let words = "set [containerd] place_layers = false";
    check(&scene, "large:v1", answer, (Code::Unavailable, words, "CONTAINERD_FAILED"));
    assert!(!file(&scene, &image.layers[0].digest).exists(), "it has no name");
    scene.settings.extra = "containerd.place_layers = false\n".to_owned();
    scene.gate = Pullgated::start(&scene.containerd, &scene.settings).await;
    scene.pull("large:v1").await.expect("what the message says helps");
}

#[tokio::test]
async fn what_is_not_proven_has_no_name_and_what_nobody_commits_goes() {
    let mut scene = Scene::open(Version::V2_1).await;
    let (first, altered) = (two_layers("first"), two_layers("altered"));
    first.store(&scene.registry, "first", "v1");
    altered.store(&scene.registry, "altered", "v1");
    scene.pull("first:v1").await.expect("a first pull");
    scene.registry.tamper(&altered.layers[1].digest, |bytes| bytes[20] ^= 1);
    let answer = scene.pull("altered:v1").await;
    let reason = (Code::FailedPrecondition, "expected sha256:", "CONTENT_MISMATCH");
    check(&scene, "altered:v1", answer, reason);
    assert!(!file(&scene, &altered.layers[1].digest).exists(), "its bytes are others");

    let orphan = orphan(&scene).await;
    scene.empty().await;
    scene.containerd.stop().await;
    scene.containerd.start_again().await;
    let left = || {
        [&first, &altered, &orphan]
            .iter()
            .any(|image| image.layers.iter().any(|layer| file(&scene, &layer.digest).exists()))
    };
    scene.wait_until("the collector has removed every file", async || !left()).await;
}

/// An image whose first layer is in the store as after a crash between the name and the commit: the next
/// pull does not fetch it, unless the collector is faster.
async fn orphan(scene: &Scene) -> Image {
    for attempt in 0..5 {
        let (name, image) = (format!("orphan{attempt}"), two_layers(&format!("orphan {attempt}")));
        image.store(&scene.registry, &name, "v1");
        let layer = &image.layers[0];
        std::fs::write(file(scene, &layer.digest), &layer.bytes).expect("a file in the store");
        scene.pull(&format!("{name}:v1")).await.expect("the pull to succeed");
        if fetched(scene, &layer.digest) == 0 {
            return image;
        }
    }
    panic!("what is there is fetched again: {:?}", scene.registry.requests());
}

#[tokio::test]
async fn two_pulls_fetch_a_common_layer_once() {
    let scene = Scene::open(Version::V2_1).await;
    first_pull(&scene).await;
    let [one, two] = [1, 2].map(|layers| sample::synthetic(Compression::Plain, layers, 8 << 20));
    assert_eq!(one.layers[0].digest, two.layers[0].digest, "a common layer");
    one.store(&scene.registry, "one", "v1");
    two.store(&scene.registry, "two", "v1");
    let (first, second) = tokio::join!(scene.pull("one:v1"), scene.pull("two:v1"));
    first.and(second).expect("both pulls to succeed");
    assert_eq!(fetched(&scene, &one.layers[0].digest), 1, "{:?}", scene.registry.requests());
}

/// containerd makes the folder with the first blob.
async fn first_pull(scene: &Scene) {
    sample::tiny("first").store(&scene.registry, "first", "v1");
    scene.pull("first:v1").await.expect("a first pull");
}

fn two_layers(text: &str) -> Image {
    Recipe::new().text(text).text(&format!("{text}, once more")).build()
}

/// Messages of content.Write that a pull sends.
async fn messages(scene: &Scene, counts: Counts, name: &str) -> u64 {
    let count = || counts.of(MESSAGES, "containerd.services.content.v1.Content", "Write");
    let before = count().await;
    scene.pull(name).await.unwrap_or_else(|status| panic!("{name}: {status}"));
    count().await - before
}

fn file(scene: &Scene, digest: &str) -> PathBuf {
    let store = scene.containerd.root().join("io.containerd.content.v1.content/blobs");
    store.join(digest.replace(':', "/"))
}

/// How often the registry was asked for a blob.
fn fetched(scene: &Scene, digest: &str) -> usize {
    let path = format!("/blobs/{digest}");
    scene.registry.requests().iter().filter(|request| request.contains(&path)).count()
}
