//! Images and registries that are not what they should be: each ends in its own reason, leaves nothing
//! behind, and the next pull works.

use pullgate_tests::containerd;
use pullgate_tests::pullgated::Settings;
use pullgate_tests::server::{self, Server};
use pullgate_tests::version::Version;
use pullgate_tests::{broken, sample};
use tonic::Code;

use crate::scene::Scene;

/// A pull that must fail: the name, the code, words of the answer, the reason of the record.
type Row = (&'static str, Code, &'static str, &'static str);

#[tokio::test]
async fn broken_images_end_in_their_own_reason() {
    for extra in ["registry.interleave_hashing = true\n", "registry.interleave_hashing = false\n"] {
        let settings = Settings { extra: extra.to_owned(), ..Settings::default() };
        let scene = Scene::with(Version::V1_6, containerd::Settings::default(), settings).await;
        broken_images(&scene).await;
    }
}

async fn broken_images(scene: &Scene) {
    let registry = &scene.registry;
    broken::wrong_diff_id().store(registry, "diffid", "v1");
    broken::too_many_diff_ids().store(registry, "count", "v1");
    broken::layer_longer_than_declared().store(registry, "longer", "v1");
    broken::layer_shorter_than_declared().store(registry, "shorter", "v1");
    broken::unknown_layer_type().store(registry, "odd", "v1");
    broken::other_platform().store(registry, "elsewhere", "v1");
    let altered = sample::tiny("altered");
    altered.store(registry, "altered", "v1");
    registry.tamper(&altered.layers[0].digest, |bytes| bytes[20] ^= 1);
    let gone = sample::tiny("gone");
    gone.store(registry, "gone", "v1");
    std::fs::remove_file(registry.blob(&gone.layers[0].digest)).expect("the blob to be there");
    let rows: [Row; 9] = [
        ("missing:v1", Code::NotFound, "does not have it (404)", "IMAGE_NOT_FOUND"),
        ("diffid:v1", Code::FailedPrecondition, "unpacks to", "DIFF_ID_MISMATCH"),
        ("count:v1", Code::FailedPrecondition, "2 diffIDs", "MANIFEST_INVALID"),
        ("longer:v1", Code::FailedPrecondition, "longer than the declared", "CONTENT_MISMATCH"),
        ("shorter:v1", Code::FailedPrecondition, "before the declared", "CONTENT_MISMATCH"),
        ("odd:v1", Code::FailedPrecondition, "unknown layer type", "MANIFEST_INVALID"),
        ("elsewhere:v1", Code::NotFound, "no image for linux/", "PLATFORM_MISSING"),
        ("altered:v1", Code::FailedPrecondition, "expected sha256:", "CONTENT_MISMATCH"),
        ("gone:v1", Code::NotFound, "does not have it (404)", "IMAGE_NOT_FOUND"),
    ];
    for row in rows {
        refused(scene, row).await;
    }
    next_pull_works(scene).await;
}

#[tokio::test]
async fn lying_registries_end_in_their_own_reason() {
    let scene = Scene::open(Version::V1_6).await;
    let huge = Server::of_manifest(&broken::huge_manifest().manifest).await;
    let old = Server::of_manifest(&broken::schema_1()).await;
    let mut lie = sample::tiny("a lie").manifest;
    lie.digest = sample::tiny("the truth").manifest.digest;
    let liar = Server::of_manifest(&lie).await;
    let closed = Server::start(|_| server::status(http::StatusCode::FORBIDDEN)).await;
    let down = Server::start(|_| server::status(http::StatusCode::BAD_GATEWAY)).await;
    for (name, server) in [
        ("huge.example", &huge),
        ("old.example", &old),
        ("liar.example", &liar),
        ("closed.example", &closed),
        ("down.example", &down),
    ] {
        scene.hosts.write(name, &format!("server = \"{}\"\n", server.url()));
    }
    scene.hosts.write("nowhere.example", "server = \"http://127.0.0.1:1\"\n");
    scene.hosts.write("strict.example", "server = \"http://127.0.0.1:1\"\nskip_verfy = true\n");
    let rows: [Row; 7] = [
        ("huge.example/a:v1", Code::FailedPrecondition, "sent more than", "REGISTRY_INVALID"),
        ("old.example/a:v1", Code::FailedPrecondition, "schema 1", "MANIFEST_INVALID"),
        ("liar.example/a:v1", Code::FailedPrecondition, "served other bytes", "REGISTRY_INVALID"),
        ("closed.example/a:v1", Code::PermissionDenied, "denied access (403", "REGISTRY_DENIED"),
        ("down.example/a:v1", Code::Unknown, "RegistryUnavailable: ", "REGISTRY_UNAVAILABLE"),
        ("nowhere.example/a:v1", Code::Unknown, "RegistryUnavailable: ", "REGISTRY_UNAVAILABLE"),
        ("strict.example/a:v1", Code::Internal, "skip_verfy", "REGISTRY_INVALID"),
    ];
    for (name, code, words, reason) in rows {
        let answer = scene.gate.cri().await.pull(name).await;
        check(&scene, name, answer, (code, words, reason));
    }
    assert_eq!(scene.dump().await, "", "something is left behind");
}

#[tokio::test]
async fn a_full_disk_is_named() {
    let disk = containerd::Settings { disk: Some(24 << 20), ..containerd::Settings::default() };
    let scene = Scene::with(Version::V1_6, disk, Settings::default()).await;
    sample::five(pullgate_tests::image::Compression::Gzip).store(&scene.registry, "five", "v1");
    let answer = scene.pull("five:v1").await;
    check(&scene, "five:v1", answer, (Code::Unavailable, "no space left", "DISK_FULL"));
    scene.wait_until_nothing_is_left().await;
    next_pull_works(&scene).await;
}

#[tokio::test]
async fn a_containerd_that_was_away_is_found_again() {
    let mut scene = Scene::open(Version::V1_6).await;
    sample::tiny("away").store(&scene.registry, "away", "v1");
    scene.containerd.stop().await;
    let answer = scene.pull("away:v1").await;
    let reason = (Code::Unavailable, "containerd is not reachable", "CONTAINERD_FAILED");
    check(&scene, "away:v1", answer, reason);
    scene.containerd.start_again().await;
    scene.pull("away:v1").await.expect("the pull to succeed");
}

#[tokio::test]
async fn a_containerd_that_is_killed_in_mid_pull_is_named() {
    let mut scene = Scene::open(Version::V1_6).await;
    sample::five(pullgate_tests::image::Compression::Plain).store(&scene.registry, "killed", "v1");
    let cri = scene.gate.cri().await;
    let pull = tokio::spawn(async move { cri.pull("registry.example/killed:v1").await });
    scene
        .wait_until("a layer is on its way", async || {
            scene.registry.requests().iter().any(|request| request.contains("/killed/blobs/"))
        })
        .await;
    scene.containerd.kill();
    let answer = pull.await.expect("the client does not panic");
    scene.containerd.start_again().await;
    let reason = (Code::Unavailable, "containerd is not reachable", "CONTAINERD_FAILED");
    check(&scene, "killed:v1", answer, reason);
    scene.pull("killed:v1").await.expect("the next pull to succeed");
}

#[tokio::test]
async fn a_client_that_goes_away_leaves_nothing() {
    let scene = Scene::open(Version::V1_6).await;
    let image = sample::five(pullgate_tests::image::Compression::Plain);
    image.store(&scene.registry, "slow", "v1");
    for milliseconds in [1, 5, 10, 15, 20, 30, 40, 50, 70, 100, 200] {
        let before = scene.gate.log().matches("REASON=\"ABANDONED\"").count();
        let time = std::time::Duration::from_millis(milliseconds);
        if tokio::time::timeout(time, scene.pull("slow:v1")).await.is_ok() {
            scene.empty().await;
            continue;
        }
        scene
            .wait_until("the pull is abandoned or never began", async || {
                let log = scene.gate.log();
                log.matches("REASON=\"ABANDONED\"").count() > before || !log.contains("slow")
            })
            .await;
        scene.wait_until_nothing_is_left().await;
    }
    scene.pull("slow:v1").await.expect("the next pull to succeed");
}

async fn refused(scene: &Scene, (name, code, words, reason): Row) {
    let answer = scene.pull(name).await;
    check(scene, name, answer, (code, words, reason));
    scene.wait_until_nothing_is_left().await;
}

pub(crate) fn check(
    scene: &Scene,
    name: &str,
    answer: Result<String, tonic::Status>,
    (code, words, reason): (Code, &str, &str),
) {
    let status = answer.expect_err(name);
    assert_eq!(status.code(), code, "{name}: {}", status.message());
    assert!(status.message().contains(words), "{name}: {}", status.message());
    let log = scene.gate.log();
    let records: Vec<&str> =
        log.lines().filter(|line| line.contains("PULL_ID=") && line.contains(name)).collect();
    let last = records.last().unwrap_or_else(|| panic!("{name}: no record in\n{log}"));
    assert!(last.contains(&format!("REASON=\"{reason}\"")), "{name}: {last}");
}

async fn next_pull_works(scene: &Scene) {
    sample::tiny("next").store(&scene.registry, "next", "v1");
    scene.pull("next:v1").await.expect("the next pull to succeed");
}
