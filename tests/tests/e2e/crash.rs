//! The daemon is killed at random points of a loop of pulls: nothing unverified becomes visible, what it
//! left expires, the ledger opens and the next pull works.

use std::collections::BTreeSet;
use std::time::{Duration, Instant, SystemTime};

use pullgate::ledger::{Filter, Store};
use pullgate_tests::cri::Cri;
use pullgate_tests::dump::lease_expiries;
use pullgate_tests::image::Image;
use pullgate_tests::pullgated::{Settings, policy};
use pullgate_tests::sample;
use pullgate_tests::signer::{Lookaside, Signer};
use pullgate_tests::version::Version;

use crate::scene::{NAME, Scene};

const KILLS: usize = 200;

/// Another one is tried with `PULLGATE_CRASH_SEED`.
const SEED: u64 = 20_261_126;

/// What a round pulls.
const NAMES: [&str; 5] = ["one", "altered", "two", "unsigned", "three"];

#[tokio::test]
async fn a_daemon_killed_at_any_point_leaves_nothing_unverified() {
    let (release, lookaside) = (Signer::new(), Lookaside::new());
    let settings = Settings {
        policy: Some(policy(NAME, &release.public_key())),
        registries_d: Some(lookaside.registries_d(NAME, &lookaside.url())),
        ..Settings::default()
    };
    let mut scene = Scene::with(Version::V1_6, Default::default(), settings).await;
    let publish = |name: &str, signed: bool| {
        let image = sample::tiny(name);
        image.store(&scene.registry, name, "v1");
        if signed {
            let digest = &image.manifest.digest;
            lookaside.add(name, digest, &release.sign(digest, &format!("{NAME}/{name}:v1")));
        }
        image
    };
    let signed = ["one", "two", "three"].map(|name| publish(name, true));
    publish("unsigned", false);
    let altered = publish("altered", true);
    scene.registry.tamper(&altered.layers[0].digest, |bytes| bytes[20] ^= 1);

    let seed =
        std::env::var("PULLGATE_CRASH_SEED").map_or(SEED, |seed| seed.parse().expect("a number"));
    let mut random = seed | 1;
    let start = Instant::now();
    pull_all(scene.gate.cri().await).await;
    let undisturbed = u64::try_from(start.elapsed().as_micros()).expect("a short time");
    for round in 0..KILLS {
        only_signed(&scene, &signed, &format!("seed {seed}, round {round}")).await;
        let pulls = tokio::spawn(pull_all(scene.gate.cri().await));
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        tokio::time::sleep(Duration::from_micros(random % undisturbed)).await;
        scene.gate.kill();
        pulls.await.expect("the client does not panic");
        scene.gate.start_again().await;
    }
    only_signed(&scene, &signed, &format!("seed {seed}, at the end")).await;
    assert!(!scene.gate.log().contains("the ledger "), "{}", scene.gate.log());
    aftermath(&scene).await;
}

/// A round of pulls. Each ends with the daemon, at the latest.
async fn pull_all(cri: Cri) {
    for name in NAMES {
        drop(cri.pull(&format!("{NAME}/{name}:v1")).await);
    }
}

/// What CRI shows is signed. It is removed, so that the next round has something to pull.
async fn only_signed(scene: &Scene, signed: &[Image; 3], when: &str) {
    let allowed: BTreeSet<&str> = signed.iter().map(|image| image.config.digest.as_str()).collect();
    let native = scene.native().await;
    for image in native.list().await.expect("a list of images") {
        assert!(allowed.contains(image.id.as_str()), "{when}: {image:?} is visible");
        native.remove(&image.id).await.expect("the image to be removed");
    }
}

async fn aftermath(scene: &Scene) {
    let day = SystemTime::now() + Duration::from_secs(24 * 60 * 60 + 60);
    let leases = lease_expiries(&scene.containerd.socket()).await;
    assert!(!leases.is_empty(), "no kill hit a pull under way");
    for (id, expiry) in leases {
        let expiry = expiry.unwrap_or_else(|| panic!("lease {id} does not expire"));
        let expiry = humantime::parse_rfc3339(&expiry).expect("a time");
        assert!(expiry < day, "lease {id} expires too late");
    }
    let store = Store::open_read_only(&scene.gate.ledger()).expect("the ledger to open");
    let rows = store.history(&Filter { limit: u32::MAX, ..Filter::default() }).expect("rows");
    assert!(rows.len() > KILLS / 4, "only {} rows", rows.len());
    scene.pull("one:v1").await.expect("the next pull to succeed");
    scene.pull("unsigned:v1").await.expect_err("the policy to hold");
}
