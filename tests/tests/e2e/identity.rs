//! What our pull leaves in containerd is what containerd's own pull leaves there, to the letter.

use pullgate_tests::cri::Cri;
use pullgate_tests::image::{Compression, Format, Recipe};
use pullgate_tests::sample;
use pullgate_tests::version::Version;

use crate::scene::{NAME, Scene};

/// One way to use a registry: the pulls to make, in order. Before a pull that has one, the tag is
/// moved to another image.
struct Case {
    title: &'static str,
    pulls: Vec<(String, Option<String>)>,
}

#[tokio::test]
async fn containerd_1_6() {
    compare(Version::V1_6).await;
}

#[tokio::test]
async fn containerd_1_7() {
    compare(Version::V1_7).await;
}

#[tokio::test]
async fn containerd_2_1() {
    compare(Version::V2_1).await;
}

async fn compare(version: Version) {
    if !Version::available().contains(&version) {
        return;
    }
    let scene = Scene::open(version).await;
    let cases = publish(&scene);
    let mut different = Vec::new();
    for case in &cases {
        let native = played(&scene, &scene.native().await, case).await;
        scene.empty().await;
        let ours = played(&scene, &scene.gate.cri().await, case).await;
        scene.empty().await;
        assert!(native.contains("status"), "{}: containerd's own pull left nothing", case.title);
        if native != ours {
            different.push(format!("{}:\n{}", case.title, difference(&native, &ours)));
        }
    }
    assert!(different.is_empty(), "containerd {version}\n{}", different.join("\n"));
}

async fn played(scene: &Scene, cri: &Cri, case: &Case) -> String {
    for (name, moved_to) in &case.pulls {
        if let Some(digest) = moved_to {
            scene.registry.tag("moving", "v1", digest);
        }
        let pulled = cri.pull(&format!("{NAME}/{name}")).await;
        pulled.unwrap_or_else(|status| {
            panic!("{}: {name}: {status}\n{}", case.title, scene.gate.log())
        });
    }
    scene.settle().await;
    scene.dump().await
}

fn publish(scene: &Scene) -> Vec<Case> {
    let registry = &scene.registry;
    let once = |title, name: &str| Case { title, pulls: vec![(name.to_owned(), None)] };

    sample::tiny("oci").store(registry, "oci", "v1");
    Recipe::new().format(Format::Docker).text("docker").build().store(registry, "docker", "v1");
    let compressed = |text: &str, compression| {
        Recipe::new().compression(compression).text(text).text("second layer").build()
    };
    compressed("zstd", Compression::Zstd).store(registry, "zstd", "v1");
    compressed("plain", Compression::Plain).store(registry, "plain", "v1");
    sample::synthetic(Compression::Gzip, 3, 4 << 20).store(registry, "large", "v1");
    sample::synthetic(Compression::Zstd, 3, 4 << 20).store(registry, "large-zstd", "v1");
    sample::multi_arch("index").store(registry, "index", "v1");
    let by_digest = sample::tiny("by digest");
    by_digest.store(registry, "digest", "v1");
    let (before, after) = (sample::tiny("before"), sample::tiny("after"));
    before.store(registry, "moving", "v1");
    after.store(registry, "moving", "v2");
    Recipe::new().text("base").text("one").build().store(registry, "shared/one", "v1");
    Recipe::new().text("base").text("two").build().store(registry, "shared/two", "v1");

    vec![
        once("OCI", "oci:v1"),
        once("Docker schema 2", "docker:v1"),
        once("zstd", "zstd:v1"),
        once("plain tar", "plain:v1"),
        once("gzip layers that are unpacked from archives", "large:v1"),
        once("zstd layers that are, but for the first one", "large-zstd:v1"),
        once("index", "index:v1"),
        once("digest reference", &format!("digest@{}", by_digest.manifest.digest)),
        Case {
            title: "tag moved",
            pulls: vec![
                ("moving:v1".to_owned(), Some(before.manifest.digest)),
                ("moving:v1".to_owned(), Some(after.manifest.digest)),
            ],
        },
        Case {
            title: "shared layers",
            pulls: vec![("shared/one:v1".to_owned(), None), ("shared/two:v1".to_owned(), None)],
        },
        Case {
            title: "second pull",
            pulls: vec![("oci:v1".to_owned(), None), ("oci:v1".to_owned(), None)],
        },
    ]
}

fn difference(native: &str, ours: &str) -> String {
    let only = |sign, these: &str, those: &str| {
        let lines = these.lines().filter(|line| !those.lines().any(|other| other == *line));
        lines.map(|line| format!("{sign} {line}\n")).collect::<String>()
    };
    only("native", native, ours) + &only("ours  ", ours, native)
}
