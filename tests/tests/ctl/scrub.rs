//! `pullgate scrub` with blobs that were damaged on a real containerd's disk.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use pullgate_tests::containerd::Containerd;
use pullgate_tests::dump::dump;
use pullgate_tests::hosts::Hosts;
use pullgate_tests::image::Image;
use pullgate_tests::place;
use pullgate_tests::pullgated::{Pullgated, Settings, accept_anything};
use pullgate_tests::registry::{Access, Registry};
use pullgate_tests::sample;
use pullgate_tests::version::Version;
use serde_json::Value;

use crate::schema::{documented, printed};

const NAME: &str = "registry.example";

struct Scene {
    _registry: Registry,
    _hosts: Hosts,
    containerd: Containerd,
    gate: Pullgated,
    image: Image,
    other: Image,
}

impl Scene {
    /// Two images on a node.
    async fn open(version: Version) -> Self {
        let (registry, hosts) = (Registry::start(Access::Open).await, Hosts::new());
        hosts.point(NAME, &registry);
        let containerd = Containerd::start(version, hosts.path()).await;
        let path = Some(hosts.path().to_owned());
        let policy = Some(accept_anything());
        let settings = Settings { policy, hosts: path, ..Settings::default() };
        let gate = Pullgated::start(&containerd, &settings).await;
        let (image, other) = (sample::tiny("one"), sample::tiny("other"));
        image.store(&registry, "one", "v1");
        other.store(&registry, "other", "v1");
        let scene = Self { _registry: registry, _hosts: hosts, containerd, gate, image, other };
        scene.pull("one").await;
        scene.pull("other").await;
        scene
    }

    async fn pull(&self, name: &str) {
        self.gate.cri().await.pull(&format!("{NAME}/{name}:v1")).await.unwrap();
    }

    fn scrub(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(place::built("pullgate"));
        command.arg("--config").arg(self.gate.config()).arg("scrub");
        command.arg("--state").arg(self.state()).args(arguments).output().unwrap()
    }

    fn report(&self, arguments: &[&str]) -> (Option<i32>, Value) {
        let output = self.scrub(&[arguments, &["-o", "json"]].concat());
        let report = serde_json::from_slice(&output.stdout).unwrap();
        (output.status.code(), report)
    }

    fn state(&self) -> PathBuf {
        self.containerd.root().join("scrub.json")
    }

    fn blob(&self, digest: &str) -> PathBuf {
        let (_, hex) = digest.split_once(':').unwrap();
        self.containerd.root().join("io.containerd.content.v1.content/blobs/sha256").join(hex)
    }
}

/// Flips a bit where it lies.
fn damage(file: &Path) {
    let mut bytes = std::fs::read(file).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(file, bytes).unwrap();
}

#[tokio::test]
async fn a_damaged_blob_is_found_and_removed_and_the_next_pull_repairs_it() {
    for version in Version::available() {
        let scene = Scene::open(version).await;
        let sound = dump(&scene.containerd.socket()).await;
        let (code, report) = scene.report(&[]);
        assert_eq!(code, Some(0), "{version}: {report:#}");
        assert_eq!(report.pointer("/blobs").unwrap(), 6, "{version}: two images of three blobs");

        let parts = [&scene.image.layers.first().unwrap().digest, &scene.image.manifest.digest];
        for digest in parts.into_iter().chain([&scene.image.config.digest]) {
            let file = scene.blob(digest);
            damage(&file);
            let (code, report) = scene.report(&[]);
            let found = report.pointer("/damaged/0").unwrap();
            assert_eq!(
                (code, found.pointer("/digest").unwrap().as_str()),
                (Some(1), Some(digest.as_str()))
            );
            let images = found.pointer("/images").unwrap().to_string();
            assert!(images.contains(&format!("{NAME}/one:v1")), "{version}: {images}");
            assert!(!images.contains("other"), "{version}: {images}");
            assert!(file.exists(), "{version}: nothing is removed unasked");
            assert_eq!(printed(&[report]), documented("scrub"), "{version}");

            let (code, report) = scene.report(&["--remove"]);
            assert_eq!(code, Some(1), "{version}");
            assert_eq!(
                report.pointer("/damaged/0/removed").unwrap(),
                true,
                "{version}: {report:#}"
            );
            assert!(!file.exists(), "{version}: {digest} is still there");
            let left = dump(&scene.containerd.socket()).await;
            assert!(!left.contains("/one"), "{version}: the image went with it:\n{left}");
            assert!(left.contains("other"), "{version}: the other image stays:\n{left}");

            scene.pull("one").await;
            assert_eq!(scene.report(&[]).0, Some(0), "{version}");
            assert_eq!(dump(&scene.containerd.socket()).await, sound, "{version}: repaired");
        }
    }
}

#[tokio::test]
async fn a_run_that_ended_early_goes_on_where_it_stood() {
    let scene = Scene::open(Version::V1_6).await;
    let mut digests: Vec<&String> = [&scene.image, &scene.other]
        .into_iter()
        .flat_map(|image| image.layers.iter().chain([&image.manifest, &image.config]))
        .map(|blob| &blob.digest)
        .collect();
    digests.sort();
    damage(&scene.blob(digests.first().unwrap()));
    for number in 1..=6 {
        let (code, report) = scene.report(&["--for", "0s"]);
        assert_eq!(report.pointer("/blobs").unwrap(), number);
        assert_eq!(report.pointer("/complete").unwrap(), number == 6, "{report:#}");
        assert_eq!(code, Some(1), "what an earlier run found is not forgotten: {report:#}");
        assert_eq!(scene.state().exists(), number < 6);
    }
    scene.report(&["--for", "0s"]);
    let (_, report) = scene.report(&["--restart"]);
    assert_eq!(report.pointer("/blobs").unwrap(), 6);
}

#[tokio::test]
async fn the_report_says_what_to_do() {
    let scene = Scene::open(Version::V1_6).await;
    let digest = &scene.image.config.digest;
    std::fs::remove_file(scene.blob(digest)).unwrap();
    let output = scene.scrub(&[]);
    let bytes: usize = [&scene.image, &scene.other]
        .into_iter()
        .flat_map(|image| image.layers.iter().chain([&image.manifest, &image.config]))
        .map(|blob| blob.bytes.len())
        .sum();
    let by_digest = &scene.image.manifest.digest;
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        format!(
            "{digest}: the file is missing
  part of {NAME}/one:v1
  part of {NAME}/one@{by_digest}
  part of {digest}
  still there: run with --remove
6 blobs, {bytes} bytes hashed, 1 damaged
"
        )
    );
    assert_eq!(output.status.code(), Some(1));
    assert!(output.stderr.is_empty(), "no progress bar where there is no terminal: {output:?}");
}
