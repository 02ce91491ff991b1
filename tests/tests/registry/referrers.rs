//! Bundles are found through the referrers API, or through the tag that stands in for it: whatever a
//! registry without that API answers, and never by taking "could not look" for "there are none".

use std::time::Duration;

use http::Response;
use http_body_util::Full;
use pullgate::evidence::{Collector, Evidence, EvidenceError};
use pullgate_policy::limits;
use pullgate_policy::lookaside::Lookaside;
use pullgate_policy::signature::UntrustedSignature;
use pullgate_tests::hosts::Hosts;
use pullgate_tests::image::Blob;
use pullgate_tests::sample;
use pullgate_tests::server::{Answer, Server};
use serde_json::{Value, json};

use crate::evidence::drip;
use crate::{answer, header, resolve, serve};

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const BUNDLE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";
const EMPTY: &str = "application/vnd.oci.empty.v1+json";
const TAG: &str = "/manifests/sha256-";

fn document(media_type: &str, value: &Value) -> Blob {
    Blob::new(media_type, value.to_string().into_bytes())
}

/// A manifest with one bundle, and the bundle.
fn referrer(text: &str) -> (Blob, Blob) {
    let bundle = Blob::new(BUNDLE, text.as_bytes().to_vec());
    let config = Blob::new(EMPTY, b"{}".to_vec());
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "artifactType": BUNDLE,
        "config": config.descriptor(),
        "layers": [bundle.descriptor()],
    });
    (document(MANIFEST, &manifest), bundle)
}

/// The list of these manifests, as cosign labels them.
fn list(manifests: &[&Blob]) -> Blob {
    let entries: Vec<Value> = manifests
        .iter()
        .map(|manifest| {
            let mut entry = manifest.descriptor();
            entry["artifactType"] = json!(EMPTY);
            entry
        })
        .collect();
    document(INDEX, &json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}))
}

/// A registry with one image and two bundles of it, which answers `referrers` where its list is asked for,
/// with the query, and has `tagged` as what clients listed under the tag.
async fn registry(
    referrers: impl Fn(&str) -> Answer + Send + Sync + 'static,
    tagged: Option<Blob>,
) -> Server {
    let image = sample::tiny("referred to").manifest;
    let parts = [referrer("first"), referrer("second"), referrer(&large())];
    Server::start(move |request| {
        let path = request.uri().path();
        if path.contains("/referrers/") {
            return referrers(request.uri().query().unwrap_or_default());
        }
        if path.contains(TAG) {
            return tagged.as_ref().map_or_else(|| answer(404, &[]), serve);
        }
        if path.ends_with("/manifests/v1") {
            return serve(&image);
        }
        let blobs = parts.iter().flat_map(|(manifest, bundle)| [manifest, bundle]);
        let found = blobs.into_iter().find(|blob| path.ends_with(&blob.digest));
        found.map_or_else(|| answer(404, &[]), serve)
    })
    .await
}

/// A bundle of which there is room for one.
fn large() -> String {
    "x".repeat(limits::BUNDLES_BYTES / 2 + 1)
}

async fn collect(server: &Server, attachments: bool) -> Result<Evidence, EvidenceError> {
    collect_within(Duration::from_millis(500), server, attachments).await
}

/// [`collect`], where all of it may take ten times `patience`.
async fn collect_within(
    patience: Duration,
    server: &Server,
    attachments: bool,
) -> Result<Evidence, EvidenceError> {
    let hosts = Hosts::new();
    hosts.write("registry.example", &format!("server = \"{}\"\n", server.url()));
    let source = resolve(&hosts, "registry.example/team/app:v1").await.expect("a manifest").source;
    let text = format!("default-docker:\n  use-sigstore-attachments: {attachments}\n");
    let lookaside = Lookaside::parse([("a.yaml", text.as_bytes())]).expect("valid registries.d");
    let digest = sample::tiny("referred to").manifest.digest.parse().expect("a digest");
    let collector = Collector::new(patience).expect("a client");
    collector.bundles(&lookaside, &source, &digest).await
}

fn texts(evidence: &Evidence) -> Vec<String> {
    let text = |signature: &UntrustedSignature| match signature {
        UntrustedSignature::Bundle(bundle) => {
            assert_eq!(bundle.found_in.to_string(), "registry.example/team/app");
            String::from_utf8_lossy(&bundle.text).into_owned()
        }
        UntrustedSignature::Sigstore(_) | UntrustedSignature::Simple(_) => {
            panic!("{signature:?} is no bundle")
        }
    };
    evidence.signatures.iter().map(text).collect()
}

fn asked(server: &Server, part: &str) -> usize {
    server.requests().iter().filter(|request| request.contains(part)).count()
}

#[tokio::test]
async fn the_registrys_own_list_is_read_page_by_page() {
    let (first, second) = (referrer("first").0, referrer("second").0);
    let server = registry(
        move |query| match query {
            "ns=registry.example" => {
                let mut page = serve(&list(&[&first]));
                let next = "</v2/elsewhere/referrers/x?page=2>; rel=\"next\"";
                page.headers_mut().insert("link", next.parse().expect("a header"));
                page
            }
            "page=2&ns=registry.example" => serve(&list(&[&second])),
            other => panic!("{other}"),
        },
        None,
    )
    .await;
    let found = collect(&server, true).await.expect("two bundles");
    assert_eq!(texts(&found), ["first", "second"]);
    assert_eq!(asked(&server, TAG), 0, "{:?}", server.requests());
    assert_eq!(asked(&server, "elsewhere"), 0, "{:?}", server.requests());

    let server = registry(|_| serve(&list(&[])), Some(list(&[]))).await;
    let none = collect(&server, true).await.expect("an empty list");
    assert_eq!((none.signatures.len(), none.searched.len()), (0, 1));
    let off = collect(&server, false).await.expect("registries.d does not say so");
    assert_eq!(off, Evidence::default());
}

#[tokio::test]
async fn a_registry_without_the_api_has_the_list_under_a_tag() {
    let listed = || Some(list(&[&referrer("first").0]));
    let web = Server::start(|_| answer(429, &[("retry-after", "30")])).await;
    let page = web.url();
    let html = |_: &str| {
        Response::builder()
            .header("content-type", "text/html")
            .body(Full::from("<html>"))
            .expect("html")
    };
    let mut servers = vec![
        registry(html, listed()).await,
        registry(move |_| answer(303, &[("location", &page)]), listed()).await,
        registry(|_| answer(303, &[("location", "http://127.0.0.1:1/")]), listed()).await,
    ];
    for status in [303, 400, 404, 405, 406, 410, 429, 501] {
        servers.push(registry(move |_| answer(status, &[("retry-after", "30")]), listed()).await);
    }
    for server in &servers {
        let began = std::time::Instant::now();
        let found = collect(server, true).await.expect("the list under the tag");
        assert_eq!(texts(&found), ["first"], "{:?}", server.requests());
        assert!(found.searched.iter().any(|place| place.contains(":sha256-")), "{found:?}");
        assert_eq!(asked(server, "/referrers/"), 1, "nothing is waited for");
        assert!(began.elapsed() < Duration::from_secs(10), "nothing is waited for");
    }
    assert_eq!(web.requests(), [""; 0], "nobody has named it");
    let nothing = registry(|_| answer(404, &[]), None).await;
    assert_eq!(texts(&collect(&nothing, true).await.expect("no list")), [""; 0]);
}

#[tokio::test]
async fn a_list_that_cannot_be_read_is_not_an_empty_one() {
    for (status, unavailable) in [(401, false), (403, false), (500, true), (502, true), (503, true)]
    {
        let server = registry(move |_| answer(status, &[]), Some(list(&[]))).await;
        let error = collect(&server, true).await.expect_err("the list");
        assert_eq!(error.unavailable(), unavailable, "{status}: {error}");
        assert_eq!(asked(&server, TAG), 0, "{status}: the registry has a list");
    }
    let endless = registry(
        |_| {
            let mut page = serve(&list(&[]));
            page.headers_mut().insert("link", "<?page=2>; rel=\"next\"".parse().expect("a header"));
            page
        },
        None,
    )
    .await;
    let error = collect(&endless, true).await.expect_err("too many pages").to_string();
    assert!(error.contains("more than 8 pages"), "{error}");
    let many = referrer("first").0;
    let many = list(&vec![&many; 129]);
    let crowded = registry(move |_| serve(&many), None).await;
    let error = collect(&crowded, true).await.expect_err("too many manifests");
    assert!(matches!(error, EvidenceError::TooMany { limit: 128, .. }), "{error}");
    let large = referrer(&large()).0;
    let twice = list(&[&large, &large]);
    let server = registry(move |_| serve(&list(&[&large])), None).await;
    assert_eq!(collect(&server, true).await.expect("room for one").signatures.len(), 1);
    let server = registry(move |_| serve(&twice), None).await;
    let error = collect(&server, true).await.expect_err("room for one").to_string();
    assert!(error.contains("8388609 bytes, the limit is 8388607"), "{error}");
    let gone = list(&[&referrer("gone").0]);
    let dangling = registry(move |_| serve(&gone), None).await;
    let error = collect(&dangling, true).await.expect_err("no such manifest");
    assert!(matches!(error, EvidenceError::Registry(_)), "{error}");
    let strange = registry(|_| answer(404, &[]), Some(referrer("first").0)).await;
    let error = collect(&strange, true).await.expect_err("no list under the tag");
    assert!(matches!(error, EvidenceError::Attachment { .. }), "{error}");
}

#[tokio::test]
async fn a_registry_that_trickles_bundles_is_left() {
    let (elsewhere, dripping) = drip(INDEX).await;
    let server = registry(move |_| answer(307, &[("location", &elsewhere)]), None).await;
    let found = collect_within(Duration::from_millis(50), &server, true).await;
    let error = found.expect_err("a drop now and then");
    assert!(matches!(error, EvidenceError::TooSlow { .. }) && error.unavailable(), "{error}");
    assert_eq!(error.to_string(), "the signatures could not be read within 500ms");
    dripping.abort();
}

/// The credentials of the pull go where the image came from.
#[tokio::test]
async fn the_list_is_read_with_the_pulls_credentials() {
    let (manifest, list) = (sample::tiny("referred to").manifest, list(&[]));
    let server = Server::start(move |request| {
        if header(request.headers(), "authorization") != Some("Basic dXNlcjpodXNo") {
            return answer(401, &[("www-authenticate", "Basic realm=\"x\"")]);
        }
        serve(if request.uri().path().contains("/referrers/") { &list } else { &manifest })
    })
    .await;
    let hosts = Hosts::new();
    hosts.write("registry.example", &format!("server = \"{}\"\n", server.url()));
    let name = "registry.example/team/app:v1";
    let repository = crate::repository(&hosts, name, &crate::credentials("user", "hush"));
    let source = repository.resolve(&crate::reference(name)).await.expect("a manifest").source;
    let digest = sample::tiny("referred to").manifest.digest.parse().expect("a digest");
    let pages = source.referrers(&digest, 8).await.expect("the list");
    assert_eq!(pages.map(|pages| pages.len()), Some(1));
}
