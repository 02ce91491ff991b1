//! What the daemon holds in memory while 10 GB come in.

use pullgate_tests::containerd::Containerd;
use pullgate_tests::hosts::Hosts;
use pullgate_tests::image::{Compression, Recipe};
use pullgate_tests::pullgated::{self, Pullgated};
use pullgate_tests::registry::{Access, Registry};
use pullgate_tests::version::Version;
use serde_json::json;

use crate::row::{Report, Row, Unit, mebibytes};

const NAME: &str = "registry.example";

/// All of them are fetched at a time.
const LAYERS: usize = 4;
const FILES: usize = 25;
const FILE_BYTES: usize = 100_000_000;

/// With the newest containerd.
pub(crate) async fn measure(report: &mut Report) {
    let version = Version::available().into_iter().last().expect("a containerd");
    let (registry, hosts) = (Registry::start(Access::Open).await, Hosts::new());
    hosts.point(NAME, &registry);
    store(&registry);
    let containerd = Containerd::start(version, hosts.path()).await;
    let settings = pullgated::Settings {
        policy: Some(pullgated::accept_anything()),
        hosts: Some(hosts.path().to_owned()),
        extra: format!("registry.max_parallel_layers = {LAYERS}"),
        ..pullgated::Settings::default()
    };
    let gate = Pullgated::start(&containerd, &settings).await;
    gate.cri().await.pull(&format!("{NAME}/huge:v1")).await.expect("the pull to succeed");
    let peak = vec![mebibytes(gate.peak_memory())];
    report.add(Row::of(format!("peak: 10 GB in {LAYERS} layers"), Unit::Mebibytes, peak));
}

/// One layer after the other: all of them do not fit into memory.
fn store(registry: &Registry) {
    let (mut digests, mut descriptors) = (Vec::new(), Vec::new());
    for layer in 0..LAYERS {
        let file = |number| (format!("data{layer}/f{number}"), vec![0; FILE_BYTES]);
        let files = (0..FILES).map(file).collect();
        let image = Recipe::new().compression(Compression::Plain).files(files).build();
        let blob = &image.layers[0];
        registry.put_blob("huge", &blob.digest, &blob.bytes);
        digests.push(blob.digest.clone());
        descriptors.push(blob.descriptor());
    }
    let image = Recipe::new().build_with(
        |config| config["rootfs"]["diff_ids"] = json!(digests),
        |manifest| manifest["layers"] = json!(descriptors),
    );
    image.store(registry, "huge", "v1");
}
