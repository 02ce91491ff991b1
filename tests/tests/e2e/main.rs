//! The product against real containerds and registries: what it leaves behind, and what it refuses.
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a panic fails the test"
)]

/// Runs a test on each version of containerd that there is here.
macro_rules! on_each_version {
    ($test:ident) => {
        on_each_version!(containerd_1_6 V1_6, containerd_1_7 V1_7, containerd_2_1 V2_1: $test);
    };
    ($($name:ident $version:ident),*: $test:ident) => {
        $(
            #[tokio::test]
            async fn $name() {
                use pullgate_tests::version::Version;
                if Version::available().contains(&Version::$version) {
                    $test(Version::$version).await;
                }
            }
        )*
    };
}

mod audit;
mod broken;
mod bundle;
mod counts;
mod crash;
mod environment;
mod exemption;
mod identity;
mod inflated;
mod journal;
mod metrics;
mod namespaces;
mod placed;
mod pods;
mod refused;
mod remembered;
mod scene;
mod secrets;
mod sigstore;
mod unchanged;
mod verifier;
