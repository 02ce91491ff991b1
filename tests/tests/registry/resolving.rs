//! References and manifests: what is checked, what is repeated, which host is asked.

use std::sync::atomic::{AtomicUsize, Ordering};

use http_body_util::Full;
use pullgate_tests::hosts::Hosts;
use pullgate_tests::image::Blob;
use pullgate_tests::registry::{Access, Registry};
use pullgate_tests::sample;
use pullgate_tests::server::Server;

use crate::{answer, resolve, serve};

#[tokio::test]
async fn a_real_registry_resolves_tags_and_digests_over_tls() {
    let registry = Registry::start(Access::Tls).await;
    let hosts = Hosts::new();
    hosts.point("registry.example", &registry);
    let image = sample::tiny("tls");
    image.store(&registry, "tls", "v1");
    let digest = &image.manifest.digest;
    for name in ["registry.example/tls:v1", &format!("registry.example/tls@{digest}")] {
        let resolved = resolve(&hosts, name).await.expect(name);
        assert_eq!(resolved.body, image.manifest.bytes, "{name}");
        assert_eq!(resolved.media_type, image.manifest.media_type, "{name}");
        assert_eq!(resolved.source.physical().to_string(), name, "{name}");
    }
    let missing = resolve(&hosts, "registry.example/tls:v2").await.expect_err("no such tag");
    assert!(missing.not_found() && !missing.unavailable(), "{missing}");
}

async fn refusal(
    answer: impl Fn() -> pullgate_tests::server::Answer + Send + Sync + 'static,
    name: &str,
) -> String {
    let server = Server::start(move |_| answer()).await;
    let hosts = Hosts::new();
    hosts.write("registry.example", &format!("server = \"{}\"\n", server.url()));
    let first = resolve(&hosts, name).await.expect_err(name).to_string();
    let second = resolve(&hosts, name).await.expect_err(name).to_string();
    assert_eq!(first, second, "kubelet compares the texts of several tries");
    first
}

#[tokio::test]
async fn what_a_registry_serves_must_be_what_it_promised() {
    let honest = sample::tiny("honest").manifest;
    let other = sample::tiny("other").manifest;
    let lie = Blob { digest: other.digest.clone(), ..honest.clone() };
    let untyped = honest.clone();
    let plain = move || http::Response::new(Full::from(untyped.bytes.clone()));
    let by_digest = format!("registry.example/a@{}", other.digest);
    let served = honest.clone();
    for (title, found) in [
        ("served other bytes", refusal(move || serve(&lie), "registry.example/a:v1").await),
        ("served other bytes", refusal(move || serve(&served), &by_digest).await),
        ("without a Content-Type", refusal(plain, "registry.example/a:v1").await),
        ("denied access (403", refusal(|| answer(403, &[]), "registry.example/a:v1").await),
        ("answered 418", refusal(|| answer(418, &[]), "registry.example/a:v1").await),
        (
            "redirected more than 10 times",
            refusal(|| answer(302, &[("location", "/again")]), "registry.example/a:v1").await,
        ),
    ] {
        assert!(found.contains(title), "{title}: {found}");
    }
}

#[tokio::test]
async fn a_registry_that_asks_to_wait_is_asked_again() {
    for (status, refusals) in [(429, 3), (408, 1), (503, 1), (500, 1)] {
        let manifest = sample::tiny("patience").manifest;
        let count = AtomicUsize::new(0);
        let server = Server::start(move |_| {
            if count.fetch_add(1, Ordering::SeqCst) < refusals {
                return answer(status, &[("retry-after", "0")]);
            }
            serve(&manifest)
        })
        .await;
        let hosts = Hosts::new();
        hosts.write("registry.example", &format!("server = \"{}\"\n", server.url()));
        resolve(&hosts, "registry.example/a:v1").await.expect("the next answer is good");
        assert_eq!(server.requests().len(), refusals + 1, "{status}");
    }
    let down = Server::start(|_| answer(503, &[])).await;
    let hosts = Hosts::new();
    hosts.write("registry.example", &format!("server = \"{}\"\n", down.url()));
    let error = resolve(&hosts, "registry.example/a:v1").await.expect_err("still down");
    assert!(error.unavailable(), "{error}");
    assert_eq!(down.requests().len(), 2);
}

#[tokio::test]
async fn a_registry_that_says_nothing_is_left() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    let hosts = Hosts::new();
    hosts.write("registry.example", &format!("server = \"http://{address}\"\n"));
    let error = resolve(&hosts, "registry.example/a:v1").await.expect_err("silence");
    assert!(error.unavailable() && error.to_string().contains("no progress"), "{error}");
}
