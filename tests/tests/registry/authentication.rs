//! Basic and Bearer, and where credentials must not go.

use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Method;
use http_body_util::Full;
use pullgate::registry::Credentials;
use pullgate_tests::hosts::Hosts;
use pullgate_tests::registry::{Access, PASSWORD, Registry, USER};
use pullgate_tests::sample;
use pullgate_tests::server::Server;

use crate::{answer, credentials, header, read, reference, repository, resolve, serve};

#[tokio::test]
async fn a_real_registry_takes_basic_credentials() {
    let registry = Registry::start(Access::Login).await;
    let hosts = Hosts::new();
    hosts.point("registry.example", &registry);
    let image = sample::tiny("guarded");
    image.store(&registry, "guarded", "v1");
    let name = "registry.example/guarded:v1";
    let with = async |credentials: &Credentials| {
        let repository = repository(&hosts, name, credentials);
        repository.resolve(&reference(name)).await.map(|resolved| (repository, resolved))
    };
    let (repository, resolved) =
        with(&credentials(USER, PASSWORD)).await.expect("the right password");
    assert_eq!(resolved.blob.digest().to_string(), image.manifest.digest);
    let layer = &image.layers[0];
    assert_eq!(read(&repository, layer).await.expect("the layer"), layer.bytes);
    for wrong in [credentials(USER, "wrong"), Credentials::default()] {
        let error = with(&wrong).await.expect_err("no access");
        assert!(error.denied() && !error.unavailable(), "{error}");
        assert!(!error.to_string().contains("wrong"), "{error}");
    }
}

/// What a token server was asked.
type Seen = Arc<Mutex<Vec<String>>>;

/// A registry that wants a token, and the token server. `oauth` says whether it knows the POST.
async fn guarded(oauth: bool) -> (Server, Server, Seen, pullgate_tests::image::Image) {
    let seen = Seen::default();
    let record = Arc::clone(&seen);
    let tokens = Server::start(move |request| {
        let basic = header(request.headers(), "authorization").unwrap_or_default().to_owned();
        let line = format!("{} {} {basic}", request.method(), request.uri());
        record.lock().expect("no panic").push(line);
        if request.method() == Method::POST && !oauth {
            return answer(405, &[]);
        }
        let key = if request.method() == Method::POST { "access_token" } else { "token" };
        http::Response::new(Full::from(format!(r#"{{"{key}":"sesame"}}"#)))
    })
    .await;
    let image = sample::tiny("token");
    let (manifest, layer) = (image.manifest.clone(), image.layers[0].clone());
    let realm =
        format!("Bearer realm=\"{}/token\",service=\"reg\",scope=\"a:b:pull\"", tokens.url());
    let registry = Server::start(move |request| {
        if header(request.headers(), "authorization") != Some("Bearer sesame") {
            return answer(401, &[("www-authenticate", &realm)]);
        }
        serve(if request.uri().path().contains("/blobs/") { &layer } else { &manifest })
    })
    .await;
    (registry, tokens, seen, image)
}

#[tokio::test]
async fn a_token_is_fetched_once_and_used_for_the_whole_pull() {
    for (oauth, user) in [(true, "u"), (false, "u"), (true, "")] {
        let (registry, _tokens, seen, image) = guarded(oauth).await;
        let hosts = Hosts::new();
        hosts.write("registry.example", &format!("server = \"{}\"\n", registry.url()));
        let name = "registry.example/team/app:v1";
        let anonymous = user.is_empty();
        let given = if anonymous { Credentials::default() } else { credentials(user, "p") };
        let repository = repository(&hosts, name, &given);
        repository.resolve(&reference(name)).await.expect("the token is taken");
        read(&repository, &image.layers[0]).await.expect("the token is taken again");

        let seen = seen.lock().expect("no panic").clone();
        let basic = format!("Basic {}", STANDARD.encode("u:p"));
        let query = "/token?service=reg&scope=a%3Ab%3Apull&scope=repository%3Ateam%2Fapp%3Apull";
        let expected = match (anonymous, oauth) {
            (true, _) => vec![format!("GET {query} ")],
            (false, true) => vec!["POST /token ".to_owned()],
            (false, false) => vec!["POST /token ".to_owned(), format!("GET {query} {basic}")],
        };
        assert_eq!(seen, expected, "oauth {oauth}, user {user:?}");
    }
}

#[tokio::test]
async fn a_redirect_to_another_host_takes_no_credentials_along() {
    let image = sample::tiny("redirected");
    let layer = image.layers[0].clone();
    let leaked = Arc::new(Mutex::new(Vec::new()));
    let record = Arc::clone(&leaked);
    let served = layer.clone();
    let storage = Server::start(move |request| {
        let found = header(request.headers(), "authorization").map(str::to_owned);
        record.lock().expect("no panic").push(found);
        serve(&served)
    })
    .await;
    let target =
        format!("http://localhost:{}/blob", storage.host().rsplit(':').next().expect("a port"));
    let registry = Server::start(move |request| {
        if header(request.headers(), "authorization").is_none() {
            return answer(401, &[("www-authenticate", "Basic realm=\"r\"")]);
        }
        answer(307, &[("location", &target)])
    })
    .await;
    let hosts = Hosts::new();
    hosts.write("registry.example", &format!("server = \"{}\"\n", registry.url()));
    let repository = repository(&hosts, "registry.example/a:v1", &credentials("u", "p"));
    assert_eq!(read(&repository, &layer).await.expect("the layer"), layer.bytes);
    assert_eq!(*leaked.lock().expect("no panic"), [None]);
}

#[tokio::test]
async fn a_realm_that_is_no_web_address_is_not_followed() {
    let registry = Server::start(|_| {
        answer(401, &[("www-authenticate", "Bearer realm=\"gopher://token.example/\"")])
    })
    .await;
    let hosts = Hosts::new();
    hosts.write("registry.example", &format!("server = \"{}\"\n", registry.url()));
    let error = resolve(&hosts, "registry.example/a:v1").await.expect_err("no such realm");
    assert!(error.denied(), "{error}");
    assert!(error.to_string().contains("gopher://token.example/"), "{error}");
    assert_eq!(registry.requests().len(), 1);
}
