//! What surrounds the daemon: proxies of its environment, Docker's certificate folders, reloads.

use http::{Response, StatusCode};
use http_body_util::Full;
use nix::sys::signal::Signal;
use pullgate_tests::image::{Blob, Image};
use pullgate_tests::pullgated::{Pullgated, Settings, accept_anything};
use pullgate_tests::registry::{Access, Registry};
use pullgate_tests::sample;
use pullgate_tests::server::{self, Answer, Server};
use pullgate_tests::version::Version;

use crate::scene::{NAME, Scene};

#[tokio::test]
async fn proxies_of_the_environment_are_used_except_where_excluded() {
    let image = sample::tiny("proxied");
    let served = image.clone();
    // A proxy is asked by the full address; this one has the registry's content itself.
    let proxy = Server::start(move |request| serve(&served, request.uri())).await;
    let mut scene = Scene::open(Version::V1_6).await;
    let environment = [
        ("HTTP_PROXY", proxy.url()),
        ("HTTPS_PROXY", proxy.url()),
        ("NO_PROXY", "127.0.0.1,direct.example".to_owned()),
    ];
    scene.settings.environment =
        environment.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    scene.gate = Pullgated::start(&scene.containerd, &scene.settings).await;
    scene.hosts.write("far.example", "server = \"http://far.example\"\n");
    scene.hosts.write("direct.example", "server = \"http://direct.example\"\n");
    sample::tiny("near").store(&scene.registry, "near", "v1");
    let pull = async |name: &str| scene.gate.cri().await.pull(name).await;

    pull("far.example/app:v1").await.expect("the proxy to be asked");
    let asked = proxy.requests();
    assert_eq!(asked[0], "GET http://far.example/v2/app/manifests/v1");
    assert!(asked.len() >= 3, "manifest, configuration and layer: {asked:?}");

    pull(&format!("{NAME}/near:v1")).await.expect("the registry to be asked directly");
    pull("direct.example/app:v1").await.expect_err("there is no such host");
    assert_eq!(proxy.requests(), asked, "NO_PROXY excludes both");

    pull("secure.example/app:v1").await.expect_err("the proxy opens no tunnel");
    let tunnel = proxy.requests().split_off(asked.len());
    assert!(tunnel.iter().any(|line| line == "CONNECT secure.example:443"), "{tunnel:?}");
}

#[tokio::test]
async fn a_node_without_authorities_pulls_over_http_and_says_why_not_over_https() {
    let sealed = Registry::start(Access::Tls).await;
    let mut scene = Scene::open(Version::V1_6).await;
    scene.settings.environment = [("SSL_CERT_FILE", "/dev/null"), ("SSL_CERT_DIR", "")]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec();
    scene.gate = Pullgated::start(&scene.containerd, &scene.settings).await;
    sample::tiny("plain").store(&scene.registry, "plain", "v1");
    let cri = scene.gate.cri().await;
    cri.pull(&format!("{NAME}/plain:v1")).await.expect("http needs no authority");

    scene.hosts.write("sealed.example", &format!("server = \"{}\"\n", sealed.url()));
    let refusal = cri.pull("sealed.example/app:v1").await.expect_err("nobody vouches for it");
    let why = "No CA certificates were loaded from the system: install the package ca-certificates";
    assert!(refusal.message().contains(why), "{refusal}");

    // Where the admin names one, nothing is missing.
    sample::tiny("sealed").store(&sealed, "sealed", "v1");
    scene.hosts.point("named.example", &sealed);
    cri.pull("named.example/sealed:v1").await.expect("hosts.toml names the authority");
}

#[tokio::test]
async fn certificates_in_dockers_layout_are_used() {
    let registry = Registry::start(Access::Tls).await;
    let scene = Scene::open(Version::V1_6).await;
    sample::tiny("sealed").store(&registry, "sealed", "v1");
    let name = format!("{}/sealed:v1", registry.host());
    let folder = scene.hosts.path().join(registry.host());
    std::fs::create_dir(&folder).expect("a folder of certs.d");
    let cri = scene.gate.cri().await;
    cri.pull(&name).await.expect_err("a folder without certificates allows nothing");
    let ca = registry.ca().expect("the registry speaks TLS");
    std::fs::copy(ca, folder.join("ca.crt")).expect("the certificate to be copied");
    cri.pull(&name).await.expect("the certificate to be trusted");
}

#[tokio::test]
async fn the_last_good_policy_survives_a_reload() {
    let settings =
        Settings { extra: "policy.keep_last_good = true\n".to_owned(), ..Settings::default() };
    let scene = Scene::with(Version::V1_6, Default::default(), settings).await;
    sample::tiny("any").store(&scene.registry, "any", "v1");
    std::fs::write(scene.gate.policy(), "{").expect("the policy to be written");
    scene.gate.signal(Signal::SIGHUP);
    let read = "the configuration was read again";
    scene.wait_until(read, async || scene.gate.log().contains(read)).await;
    scene.pull("any:v1").await.expect("the policy of the start to be in force");
    assert!(scene.gate.log().contains("keep_last_good"), "{}", scene.gate.log());

    let text = std::fs::read_to_string(scene.gate.config()).expect("the configuration");
    let strict = text.replace("keep_last_good = true", "keep_last_good = false");
    std::fs::write(scene.gate.config(), strict).expect("the configuration to be written");
    scene.gate.signal(Signal::SIGHUP);
    let twice = async || scene.gate.log().matches(read).count() == 2;
    scene.wait_until(read, twice).await;
    scene.pull("any:v1").await.expect_err("the broken policy counts");
    std::fs::write(scene.gate.policy(), accept_anything()).expect("the policy to be written");
    scene.pull("any:v1").await.expect("the repaired policy to be used");
}

fn serve(image: &Image, uri: &http::Uri) -> Answer {
    if uri.host().is_none() || uri.path().is_empty() {
        return server::status(StatusCode::METHOD_NOT_ALLOWED);
    }
    let path = uri.path();
    let blob: Option<&Blob> = if path.contains("/manifests/") {
        Some(&image.manifest)
    } else {
        [&image.config].into_iter().chain(&image.layers).find(|blob| path.ends_with(&blob.digest))
    };
    let Some(blob) = blob else { return server::status(StatusCode::NOT_FOUND) };
    let answer = Response::builder().header("content-type", &blob.media_type);
    answer.body(Full::from(blob.bytes.clone())).expect("a media type is a header value")
}
