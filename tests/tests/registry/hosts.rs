//! hosts.toml: which hosts are asked, in which order and with what, and files that are refused.

use pullgate::registry::Credentials;
use pullgate_tests::hosts::Hosts;
use pullgate_tests::sample;
use pullgate_tests::server::Server;

use crate::{answer, client, header, reference, resolve, serve};

#[tokio::test]
async fn hosts_are_asked_in_the_order_of_the_file() {
    let manifest = sample::tiny("mirrored").manifest;
    let (zebra, served) = (Server::start(|_| answer(404, &[])).await, manifest.clone());
    let pushed = Server::start(|_| answer(500, &[])).await;
    let mirror = Server::start(move |request| {
        if header(request.headers(), "x-team") != Some("blue") {
            return answer(403, &[]);
        }
        serve(&served)
    })
    .await;
    let hosts = Hosts::new();
    let text = format!(
        "server = \"http://127.0.0.1:1\"\n\
         [host.\"{}\"]\n\
         [host.\"{}\"]\ncapabilities = [\"push\"]\n\
         [host.\"{}/cache\"]\ncapabilities = [\"pull\", \"resolve\"]\noverride_path = true\n\
         [host.\"{}/cache\".header]\nx-team = \"blue\"\n",
        zebra.url(),
        pushed.url(),
        mirror.url(),
        mirror.url()
    );
    hosts.write("_default", &text);
    let resolved = resolve(&hosts, "registry.example:5000/team/app:v1").await.expect("the mirror");
    let query = "/team/app/manifests/v1?ns=registry.example%3A5000";
    assert_eq!(zebra.requests(), [format!("GET /v2{query}")]);
    assert_eq!(mirror.requests(), [format!("GET /cache{query}")]);
    assert_eq!(pushed.requests().len(), 0);
    assert_eq!(
        resolved.source.physical().to_string(),
        format!("{}/cache/team/app:v1", mirror.host())
    );

    hosts.write("registry.example_5000_", &format!("server = \"{}\"\n", zebra.url()));
    let error =
        resolve(&hosts, "registry.example:5000/team/app:v1").await.expect_err("its own folder");
    assert!(error.not_found(), "{error}");
}

#[tokio::test]
async fn every_host_that_failed_is_named() {
    let missing = Server::start(|_| answer(404, &[])).await;
    let hosts = Hosts::new();
    let text = format!("server = \"http://127.0.0.1:1\"\n[host.\"{}\"]\n", missing.url());
    hosts.write("registry.example", &text);
    let error = resolve(&hosts, "registry.example/a:v1").await.expect_err("nobody has it");
    assert!(error.unavailable(), "the registry itself was not reached: {error}");
    let text = error.to_string();
    let first = text.find(&missing.host()).expect("the mirror is named");
    let second = text.find("127.0.0.1:1/").expect("the registry is named");
    assert!(first < second, "{text}");
}

#[tokio::test]
async fn a_file_that_is_not_valid_is_never_passed_over() {
    let hosts = Hosts::new();
    for (text, expected) in [
        ("skip_verfy = true", "skip_verfy"),
        ("[host.\"https://a.example\"]\ncapabilities = [\"resolv\"]", "resolv"),
        ("[host.\"https://a.example\"]\nca = 1", "hosts.toml"),
        ("ca = \"missing.crt\"", "missing.crt"),
        ("server = \"https://\"", "https://"),
        ("server = \"http//a.example\"", "http//a.example"),
        ("dial_timeout = \"soon\"", "dial_timeout"),
        ("server = [", "hosts.toml"),
        ("[host.\"https://a.example\".header]\n\"x team\" = \"blue\"", "`header.x team`"),
        ("[host.\"https://a.example\".header]\nx-team = \"a\\nb\"", "`header.x-team`"),
        ("client = [\"a\", \"b\"]", "client"),
    ] {
        hosts.write("registry.example", text);
        let name = reference("registry.example/a:v1");
        let error =
            client(&hosts).repository(name.reference(), &Credentials::default()).expect_err(text);
        let found = pullgate::audit::chain(&error);
        assert!(found.contains(expected), "{text}: {found}");
        assert!(!error.unavailable() && !error.not_found() && !error.denied(), "{text}");
    }
}

#[tokio::test]
async fn a_host_without_the_capability_is_not_asked() {
    let hosts = Hosts::new();
    hosts.write("registry.example", "server = \"http://127.0.0.1:1\"\ncapabilities = [\"pull\"]\n");
    let error = resolve(&hosts, "registry.example/a:v1").await.expect_err("nobody resolves");
    assert!(error.to_string().contains("capability `resolve`"), "{error}");
}
