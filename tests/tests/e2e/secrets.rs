//! Credentials go where they belong and nowhere else: not into a log, however detailed, and not into the
//! answers to kubelet.

use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{Response, StatusCode};
use http_body_util::Full;
use pullgate_proto::AuthConfig;
use pullgate_tests::hosts::Hosts;
use pullgate_tests::place;
use pullgate_tests::pullgated::{Settings, policy};
use pullgate_tests::sample;
use pullgate_tests::server::Server;
use pullgate_tests::signer::Signer;
use pullgate_tests::version::Version;

use crate::scene::Scene;

/// Each of them contains this, and nothing else does.
const PLANTED: &str = "planted";

#[tokio::test]
async fn no_credential_is_ever_logged_or_answered() {
    let signer = Signer::new();
    let registries_d = place::on_disk("registries.d");
    let lookaside = "docker:\n  registry.example:\n    lookaside: \
                     http://planted-store-user:planted-store-password@127.0.0.1:1/\n";
    std::fs::write(registries_d.path().join("a.yaml"), lookaside).expect("a file");
    let proxy = "http://planted-proxy-user:planted-proxy-password@127.0.0.1:1".to_owned();
    let settings = Settings {
        policy: Some(policy("registry.example", &signer.public_key())),
        registries_d: Some(registries_d.path().to_owned()),
        environment: vec![("HTTPS_PROXY".to_owned(), proxy)],
        extra: "log.level = 'trace'".to_owned(),
        ..Settings::default()
    };
    let scene = Scene::with(Version::V1_6, Default::default(), settings).await;
    sample::tiny("app").store(&scene.registry, "app", "v1");
    let seen = Arc::new(Mutex::new(Vec::new()));
    let spiteful = spiteful(Arc::clone(&seen)).await;
    plant(&scene.hosts, &spiteful);

    let mut answers = Vec::new();
    let cri = scene.gate.cri().await;
    for auth in credentials() {
        for image in [
            "spiteful.example/app:v1",
            "userinfo.example/app:v1",
            "broken.example/app:v1",
            "syntax.example/app:v1",
            "registry.example/app:v1",
            "unknown.example/app:v1",
            "planted-name-user:planted-name-password@registry.example/app:v1",
            "https://planted-name-user:planted-name-password@registry.example/app:v1",
        ] {
            let status = cri.pull_as(image, Some(auth.clone()), None).await.expect_err(image);
            answers.push(format!("{image}: {status:?}"));
        }
    }
    for broken in [
        "docker:\n  registry.example:\n    lookaside: http://planted-base-user:planted-base-password@%zz/\n",
        "docker:\n  registry.example:\n    lookaside: [http://planted-yaml-user:planted-yaml-password@h/\n",
    ] {
        std::fs::write(registries_d.path().join("a.yaml"), broken).expect("a file");
        let status = cri.pull("registry.example/app:v1").await.expect_err(broken);
        answers.push(format!("{status:?}"));
    }
    let used = seen.lock().expect("no request panics").join("\n");
    for secret in ["planted-header", &basic("planted-user:planted-password")] {
        assert!(used.contains(secret), "{secret} was never sent: {used}");
    }
    let log = scene.gate.log();
    assert!(log.contains("DEBUG"), "all is logged: {log}");
    for text in log.lines().chain(answers.iter().map(String::as_str)) {
        check(text);
    }
}

/// Files with credentials, and broken ones.
fn plant(hosts: &Hosts, spiteful: &Server) {
    let (host, url) = (spiteful.host(), spiteful.url());
    hosts.write("spiteful.example", &hosts_toml(&url));
    hosts.write(
        "userinfo.example",
        &hosts_toml(&format!("http://planted-url-user:planted-url-password@{host}")),
    );
    hosts.write(
        "broken.example",
        "[host.\"http://127.0.0.1:1\".header]\nAuthorization = [\"planted-broken\\n\"]\n",
    );
    hosts.write("syntax.example", "[host.\"http://h\".header]\nAuthorization = \"planted-syntax\n");
}

/// The name of an image is no credential: kubelet says it to everybody. All else must be hidden, also
/// where it is in base64.
fn check(text: &str) {
    let named = ["planted-name-user", "planted-name-password"];
    let text = named.iter().fold(text.to_owned(), |text, name| text.replace(name, ""));
    // Twelve digits hold the first nine bytes, whatever follows.
    let encoded = |what: &str| STANDARD.encode(what).chars().take(12).collect::<String>();
    for form in [PLANTED.to_owned(), encoded("planted-user"), encoded("planted-auth-user")] {
        assert!(!text.contains(&form), "{form} in {text}");
    }
}

/// Each way in which a request carries credentials.
fn credentials() -> Vec<AuthConfig> {
    let planted = |what: &str| format!("{PLANTED}-{what}");
    vec![
        AuthConfig {
            username: planted("user"),
            password: planted("password"),
            ..AuthConfig::default()
        },
        AuthConfig {
            auth: STANDARD.encode("planted-auth-user:planted-auth-password"),
            ..AuthConfig::default()
        },
        AuthConfig { auth: planted("no-base64"), ..AuthConfig::default() },
        AuthConfig { identity_token: planted("identity-token"), ..AuthConfig::default() },
        AuthConfig { registry_token: planted("registry-token"), ..AuthConfig::default() },
    ]
}

fn hosts_toml(url: &str) -> String {
    format!(
        "server = \"{url}\"\n[host.\"{url}\"]\n  capabilities = [\"pull\", \"resolve\"]\n  \
         [host.\"{url}\".header]\n    X-Api-Key = [\"planted-header\"]\n    \
         Authorization = [\"Bearer planted-authorization\"]\n"
    )
}

fn basic(text: &str) -> String {
    format!("Basic {}", STANDARD.encode(text))
}

/// A registry that wants a login, refuses each, and repeats in its answer whatever it was told.
async fn spiteful(seen: Arc<Mutex<Vec<String>>>) -> Server {
    Server::start(move |request| {
        let told = format!("{} {:?}", request.uri(), request.headers());
        let text = told.replace(['"', '\\', '\n'], "'");
        seen.lock().expect("no request panics").push(told);
        let host = request.headers().get("host").and_then(|host| host.to_str().ok());
        let challenge = match (request.uri().path(), host) {
            ("/v2/app/manifests/v1", _) => "Basic realm=\"here\"".to_owned(),
            (_, host) => format!("Bearer realm=\"http://{}/token\"", host.unwrap_or_default()),
        };
        let body = format!(r#"{{"errors":[{{"code":"DENIED","message":"{text}"}}]}}"#);
        Response::builder()
            .status(StatusCode::UNAUTHORIZED)
            .header("www-authenticate", challenge)
            .body(Full::from(body))
            .expect("an answer")
    })
    .await
}
