//! A pull of what is on the node already: it asks the registry once, and writes nothing; where anything
//! is missing or other than it was, it is a pull like the first.

use pullgate_tests::sample;
use pullgate_tests::version::Version;

use crate::scene::{NAME, Scene};

#[tokio::test]
async fn a_second_pull_asks_once_and_writes_nothing() {
    for version in Version::available() {
        let scene = Scene::open(version).await;
        sample::multi_arch("twice").store(&scene.registry, "app", "v1");
        let id = scene.pull("app:v1").await.expect("the first pull");
        scene.settle().await;
        let (before, asked) = (scene.dump().await, scene.registry.requests().len());
        assert_eq!(scene.pull("app:v1").await.expect("the second pull"), id);
        let requests = scene.registry.requests().split_off(asked);
        let manifests = |request: &String| request.contains("/manifests/");
        assert!(requests.iter().all(manifests), "{version}: {requests:?}");
        assert_eq!(scene.dump().await, before, "{version}");
    }
}

#[tokio::test]
async fn what_somebody_took_away_or_changed_comes_back() {
    for version in Version::available() {
        let scene = Scene::open(version).await;
        let image = sample::tiny("kept");
        image.store(&scene.registry, "app", "v1");
        sample::tiny("other").store(&scene.registry, "other", "v1");
        let (name, other) = (format!("{NAME}/app:v1"), format!("{NAME}/other:v1"));
        scene.pull("app:v1").await.expect("a pull");
        scene.pull("other:v1").await.expect("a pull");
        scene.settle().await;
        let whole = scene.dump().await;
        let by_digest = format!("{NAME}/app@{}", image.manifest.digest);
        for change in [
            &["images", "rm", &name][..],
            &["images", "rm", &by_digest],
            &["images", "rm", &image.config.digest],
            &["images", "tag", "--force", &other, &name],
        ] {
            scene.containerd.ctr(change);
            assert_ne!(scene.dump().await, whole, "{version}: {change:?} changes nothing");
            scene.pull("app:v1").await.expect("a pull");
            let same = async || scene.dump().await == whole;
            scene.wait_until(&format!("{version}: {change:?} is undone"), same).await;
        }
        // As in containerd's own pull, a layer that is unpacked is not fetched for its blob's sake.
        for digest in [&image.manifest.digest, &image.config.digest] {
            let held = format!("content {digest} ");
            scene.containerd.ctr(&["content", "rm", digest]);
            assert!(!scene.dump().await.contains(&held), "{version}: {digest} is still there");
            scene.pull("app:v1").await.expect("a pull");
            assert!(scene.dump().await.contains(&held), "{version}: {digest} is missing");
        }
    }
}
