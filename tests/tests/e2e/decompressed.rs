//! Compressed layers are unpacked from archives that pullgated makes of them. The image is the same,
//! nothing else stays, and what containerd itself refuses is refused.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::time::Duration;

use flate2::write::GzEncoder;
use futures_util::future::join_all;
use pullgate_tests::image::{Blob, Compression, Image, Recipe};
use pullgate_tests::pullgated::{Pullgated, Settings};
use pullgate_tests::sample;
use pullgate_tests::version::Version;
use serde_json::json;
use tokio::time::timeout;
use tonic::Code;

use crate::broken::check;
use crate::scene::Scene;

/// What is logged of a layer that is decompressed.
const HERE: &str = "a layer is decompressed";

/// And of one that would have been.
const BY_ITSELF: &str = "containerd decompresses a layer by itself";

const GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
const ZSTD: &str = "application/vnd.oci.image.layer.v1.tar+zstd";

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
    let mut scene = logging(version).await;
    // containerd decodes Zstandard by itself where it unpacks nothing else meanwhile.
    let images = [
        ("gzip", sample::synthetic(Compression::Gzip, 3, 4 << 20), 3..=3),
        ("zstd", sample::synthetic(Compression::Zstd, 6, 4 << 20), 1..=5),
    ];
    let mut dumps = Vec::new();
    for (name, image, tries) in &images {
        image.store(&scene.registry, name, "v1");
        let (here, by_itself, dump) = pull(&scene, name).await;
        // The collector may be faster than containerd with one of them.
        assert!(here > 0 && tries.contains(&(here + by_itself)), "{name}: {here}, {by_itself}");
        assert_eq!(files(&scene), parts(image), "no archive stays, even if nothing is collected");
        dumps.push(dump);
        scene.empty().await;
    }

    scene.settings.extra += "containerd.decompress_layers = false\n";
    scene.gate = Pullgated::start(&scene.containerd, &scene.settings).await;
    for ((name, ..), dump) in images.iter().zip(dumps) {
        assert_eq!(pull(&scene, name).await, (0, 0, dump), "the same image either way");
        scene.empty().await;
    }
}

/// How many layers were decompressed here, how many by containerd after all, and what has become of
/// them.
async fn pull(scene: &Scene, name: &str) -> (usize, usize, String) {
    let before = scene.gate.log();
    scene.pull(&format!("{name}:v1")).await.expect("the pull to succeed");
    let after = scene.gate.log();
    let log = after.strip_prefix(&before).expect("a log that grows");
    (log.matches(HERE).count(), log.matches(BY_ITSELF).count(), scene.dump().await)
}

#[tokio::test]
async fn layers_that_cannot_have_a_tail_are_containerd_s_own() {
    let scene = logging(Version::V2_1).await;
    let archive = archive();
    // Two empty blocks are its end, which is optional.
    let endless = &archive[..archive.len() - 1024];
    let odd = [&archive[..], &[0]].concat();
    for (count, (name, unpacked, stored)) in (1..).zip([
        ("plain", &archive[..], archive.clone()),
        ("endless", endless, gzip(&[endless])),
        ("odd", &odd[..], gzip(&[&odd])),
    ]) {
        image(unpacked, stored).store(&scene.registry, name, "v1");
        scene.pull(&format!("{name}:v1")).await.expect("the pull to succeed");
        let log = scene.gate.log();
        assert_eq!(log.matches(BY_ITSELF).count(), count, "{name}: {log}");
    }
}

#[tokio::test]
async fn layers_of_several_members_and_with_a_longer_end_are_unpacked() {
    let scene = logging(Version::V1_7).await;
    let archive = archive();
    let (head, rest) = archive.split_at(archive.len() / 2);
    let padded = [&archive[..], &[0; 10_240]].concat();
    image(&archive, gzip(&[head, rest])).store(&scene.registry, "members", "v1");
    image(&padded, gzip(&[&padded])).store(&scene.registry, "padded", "v1");
    for name in ["members:v1", "padded:v1"] {
        scene.pull(name).await.expect("the pull to succeed");
    }
    let log = scene.gate.log();
    let collected = log.matches("containerd does not take the archive over").count();
    assert_eq!(log.matches(BY_ITSELF).count(), collected, "{log}");
}

#[tokio::test]
async fn what_containerd_refuses_is_refused() {
    let scene = Scene::open(Version::V1_6).await;
    first_pull(&scene).await;
    let archive = archive();
    let short = &archive[..archive.len() / 2];
    let stored = gzip(&[&archive]);
    let torn = stored[..stored.len() / 2].to_vec();
    image(b"another", stored).store(&scene.registry, "other", "v1");
    image(&archive, torn).store(&scene.registry, "torn", "v1");
    image(short, gzip(&[short])).store(&scene.registry, "short", "v1");
    let stored = zstd(&archive);
    let torn = stored[..stored.len() - 3].to_vec();
    for (name, unpacked, stored) in [
        ("zstd-other", &b"another"[..], stored.clone()),
        ("zstd-torn", &archive, torn),
        ("zstd-short", short, zstd(short)),
    ] {
        let below = vec![0; 64 << 20];
        let layers = vec![(&below[..], zstd(&below)), (unpacked, stored)];
        layered(ZSTD, layers).store(&scene.registry, name, "v1");
    }
    for (name, code, words, reason) in [
        ("other:v1", Code::FailedPrecondition, "unpacks to", "DIFF_ID_MISMATCH"),
        ("torn:v1", Code::Unavailable, "unexpected EOF", "CONTAINERD_FAILED"),
        ("short:v1", Code::Unavailable, "unexpected EOF", "CONTAINERD_FAILED"),
        ("zstd-other:v1", Code::FailedPrecondition, "unpacks to", "DIFF_ID_MISMATCH"),
        ("zstd-torn:v1", Code::Unavailable, "unexpected EOF", "CONTAINERD_FAILED"),
        ("zstd-short:v1", Code::Unavailable, "unexpected EOF", "CONTAINERD_FAILED"),
    ] {
        let answer = scene.pull(name).await;
        check(&scene, name, answer, (code, words, reason));
    }
    scene.empty().await;
}

#[tokio::test]
async fn a_pull_that_is_broken_off_leaves_no_archive() {
    let scene = Scene::open(Version::V2_1).await;
    first_pull(&scene).await;
    let image = sample::synthetic(Compression::Gzip, 3, 4 << 20);
    image.store(&scene.registry, "layers", "v1");
    let mut ended = 0;
    for milliseconds in (0..120).step_by(8) {
        let pull = scene.pull("layers:v1");
        ended += usize::from(timeout(Duration::from_millis(milliseconds), pull).await.is_ok());
        scene.empty().await;
        scene.wait_until("no file is left", async || files(&scene).is_empty()).await;
    }
    assert!(ended < 15, "every pull was too fast to be broken off");
}

#[tokio::test]
async fn pulls_side_by_side_share_the_room_for_archives() {
    let scene = Scene::open(Version::V2_1).await;
    first_pull(&scene).await;
    let mut known = BTreeSet::new();
    let names = ["a", "b", "c", "d", "e"];
    for name in names {
        let layer = |number| vec![(format!("{name}{number}"), noise(name, number))];
        let image = Recipe::new().files(layer(0)).files(layer(1)).files(layer(2)).build();
        image.store(&scene.registry, name, "v1");
        known.append(&mut parts(&image));
    }
    let pulls = names.map(|name| {
        let scene = &scene;
        async move { scene.pull(&format!("{name}:v1")).await.expect("the pull to succeed") }
    });
    let (mut pulls, mut most) = (std::pin::pin!(join_all(pulls)), 0);
    while timeout(Duration::from_millis(1), pulls.as_mut()).await.is_err() {
        most = most.max(files(&scene).difference(&known).count());
    }
    assert!((1..=4).contains(&most), "{most} archives at a time");
    assert_eq!(files(&scene), known);
}

/// Some megabytes that gzip makes no smaller.
fn noise(name: &str, number: u64) -> Vec<u8> {
    let seed = name.bytes().map(u64::from).sum::<u64>() * 10 + number;
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let next = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    (0..400_000).flat_map(next).collect()
}

/// The names of an image's files in the content store.
fn parts(image: &Image) -> BTreeSet<String> {
    let parts = image.layers.iter().chain([&image.manifest, &image.config]);
    parts.map(|part| part.digest.trim_start_matches("sha256:").to_owned()).collect()
}

/// A daemon that says why it did not decompress a layer.
async fn logging(version: Version) -> Scene {
    let extra = "log.level = \"debug\"\n".to_owned();
    let settings = Settings { extra, ..Settings::default() };
    let scene = Scene::with(version, Default::default(), settings).await;
    first_pull(&scene).await;
    scene
}

/// containerd makes the folder with the first blob.
async fn first_pull(scene: &Scene) {
    sample::tiny("first").store(&scene.registry, "first", "v1");
    scene.pull("first:v1").await.expect("a first pull");
    scene.empty().await;
}

/// The names of the files in the content store.
fn files(scene: &Scene) -> BTreeSet<String> {
    let store = scene.containerd.root().join("io.containerd.content.v1.content/blobs/sha256");
    let entries = std::fs::read_dir(store).expect("the content store");
    let name = |entry: std::io::Result<std::fs::DirEntry>| {
        entry.expect("an entry").file_name().to_string_lossy().into_owned()
    };
    entries.map(name).collect()
}

/// The archive of a layer that is large enough.
fn archive() -> Vec<u8> {
    let mut image = sample::synthetic(Compression::Plain, 1, 4 << 20);
    image.layers.remove(0).bytes
}

/// An image of one layer, `stored`, that is to unpack to the archive `unpacked`.
fn image(unpacked: &[u8], stored: Vec<u8>) -> Image {
    layered(GZIP, vec![(unpacked, stored)])
}

/// An image of such layers.
fn layered(media_type: &str, layers: Vec<(&[u8], Vec<u8>)>) -> Image {
    let diff_id = |(unpacked, _): &(&[u8], _)| Blob::new(media_type, unpacked.to_vec()).digest;
    let diff_ids: Vec<String> = layers.iter().map(diff_id).collect();
    let layers: Vec<Blob> =
        layers.into_iter().map(|(_, stored)| Blob::new(media_type, stored)).collect();
    let mut image = Recipe::new().text("replaced").build_with(
        |config| config["rootfs"]["diff_ids"] = json!(diff_ids),
        |manifest| manifest["layers"] = layers.iter().map(Blob::descriptor).collect(),
    );
    image.layers = layers;
    image
}

/// One member of a gzip file for each of `parts`.
fn gzip(parts: &[&[u8]]) -> Vec<u8> {
    parts.iter().fold(Vec::new(), |bytes, part| {
        let mut encoder = GzEncoder::new(bytes, flate2::Compression::fast());
        encoder.write_all(part).expect("gzip into memory");
        encoder.finish().expect("gzip into memory")
    })
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 3).expect("zstd into memory")
}
