//! The collector of signatures: "could not look" is never "there are none".

use std::time::Duration;

use pullgate::evidence::{Collector, Evidence, EvidenceError};
use pullgate_policy::digest::Digest;
use pullgate_policy::limits;
use pullgate_policy::lookaside::Lookaside;
use pullgate_tests::hosts::Hosts;
use pullgate_tests::sample;
use pullgate_tests::server::{self, Server};
use pullgate_tests::signer::Lookaside as Store;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::task::JoinHandle;

use crate::{answer, resolve};

const SIGNATURE: &[u8] = b"\xa3\x02 any OpenPGP message";

/// Collects the signatures of `digest`, of an image that another registry than `base` served.
async fn collect(base: &str, digest: &Digest) -> Result<Evidence, EvidenceError> {
    collect_within(Duration::from_millis(500), base, digest).await
}

/// [`collect`], where no silence may be longer than `patience`.
async fn collect_within(
    patience: Duration,
    base: &str,
    digest: &Digest,
) -> Result<Evidence, EvidenceError> {
    let manifest = sample::tiny("signed").manifest;
    let registry = Server::of_manifest(&manifest).await;
    let hosts = Hosts::new();
    hosts.write("registry.example", &format!("server = \"{}\"\n", registry.url()));
    let source = resolve(&hosts, "registry.example/team/app:v1").await.expect("a manifest").source;
    let text = format!("default-docker:\n  lookaside: {base}\n");
    let lookaside = Lookaside::parse([("a.yaml", text.as_bytes())]).expect("valid registries.d");
    let collector = Collector::new(patience).expect("a client");
    collector.collect(&lookaside, &source, digest).await
}

#[tokio::test]
async fn signatures_are_read_up_to_the_first_gap() {
    let digest = Digest::sha256(b"manifest");
    let store = Store::new();
    let folder = store.path().join(format!("team/app@sha256={}", digest.hex()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let web = Server::of_files(store.path()).await;
    for (stored, expected) in [(vec![], 0), (vec![1, 2, 4], 2), ((1..=127).collect(), 127)] {
        for number in &stored {
            std::fs::write(folder.join(format!("signature-{number}")), SIGNATURE).expect("a file");
        }
        for base in [store.url(), web.url()] {
            let found = collect(&base, &digest).await.expect(&base);
            assert_eq!(found.signatures.len(), expected, "{base}");
            assert_eq!(found.searched.len(), 1, "{base}");
        }
        for number in &stored {
            std::fs::remove_file(folder.join(format!("signature-{number}"))).expect("a file");
        }
    }
    for number in 1..=128 {
        std::fs::write(folder.join(format!("signature-{number}")), SIGNATURE).expect("a file");
    }
    let error = collect(&store.url(), &digest).await.expect_err("one too many");
    assert!(matches!(error, EvidenceError::TooMany { limit: 127, .. }), "{error}");
}

#[tokio::test]
async fn what_cannot_be_read_is_an_error_also_after_good_ones() {
    let digest = Digest::sha256(b"manifest");
    for (status, unavailable) in [
        (500, true),
        (503, true),
        (429, true),
        (401, false),
        (403, false),
        (410, false),
        (204, false),
    ] {
        let web = Server::start(move |request| {
            if request.uri().path().ends_with("/signature-1") {
                return server::Answer::new(SIGNATURE.to_vec().into());
            }
            answer(status, &[])
        })
        .await;
        let error = collect(&web.url(), &digest).await.expect_err("the second is refused");
        assert!(matches!(error, EvidenceError::Status { .. }), "{status}: {error}");
        assert_eq!(error.unavailable(), unavailable, "{status}");
    }
    let html = Server::start(|_| server::Answer::new("<html>".into())).await;
    let error = collect(&html.url(), &digest).await.expect_err("no signature");
    assert!(
        matches!(error, EvidenceError::NotASignature { .. }) && !error.unavailable(),
        "{error}"
    );

    let huge = Server::start(|_| server::Answer::new(vec![0x90; (4 << 20) + 1].into())).await;
    let error = collect(&huge.url(), &digest).await.expect_err("too large");
    assert!(matches!(error, EvidenceError::TooLarge { .. }), "{error}");

    let error = collect("http://user:hush@127.0.0.1:1/s", &digest).await.expect_err("nobody there");
    assert!(error.unavailable() && !error.to_string().contains("hush"), "{error}");

    let store = Store::new();
    let folder = store.path().join(format!("team/app@sha256={}/signature-1", digest.hex()));
    std::fs::create_dir_all(folder).expect("a folder in the place of a signature");
    let error = collect(&store.url(), &digest).await.expect_err("a folder");
    assert!(matches!(error, EvidenceError::Unreadable { .. }), "{error}");
}

#[tokio::test]
async fn a_store_that_says_nothing_is_left() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    let error = collect(&format!("http://{address}/s"), &Digest::sha256(b"")).await;
    let error = error.expect_err("silence");
    assert!(matches!(error, EvidenceError::NoProgress { .. }) && error.unavailable(), "{error}");
}

#[tokio::test]
async fn a_store_that_says_little_is_left() {
    let (store, dripping) = drip("application/octet-stream").await;
    let found = collect_within(Duration::from_millis(200), &store, &Digest::sha256(b"")).await;
    let error = found.expect_err("a drop now and then");
    assert!(matches!(error, EvidenceError::TooSlow { .. }) && error.unavailable(), "{error}");
    assert_eq!(error.to_string(), "the signatures could not be read within 2s");
    dripping.abort();
}

/// A server whose one answer comes byte by byte, each in time, and the last one never.
pub(crate) async fn drip(media_type: &str) -> (String, JoinHandle<()>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    let head =
        format!("HTTP/1.1 200 OK\r\ncontent-type: {media_type}\r\ncontent-length: 1000000\r\n\r\n");
    let task = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        assert_ne!(stream.read(&mut [0; 1024]).await.expect("a request"), 0);
        let mut rest = head.as_bytes();
        while stream.write_all(rest).await.is_ok() {
            rest = b"\xa3";
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    (format!("http://{address}/s"), task)
}

#[tokio::test]
async fn all_signatures_together_have_a_bound() {
    let digest = Digest::sha256(b"manifest");
    let store = Store::new();
    let folder = store.path().join(format!("team/app@sha256={}", digest.hex()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let largest = vec![0xa3; limits::SIGNATURE_BYTES];
    let most = limits::SIGNATURES_BYTES / limits::SIGNATURE_BYTES;
    for number in 1..=most {
        std::fs::write(folder.join(format!("signature-{number}")), &largest).expect("a file");
    }
    let found = collect(&store.url(), &digest).await.expect("as much as may be");
    assert_eq!(found.signatures.len(), most);
    std::fs::write(folder.join(format!("signature-{}", most + 1)), SIGNATURE).expect("a file");
    let error = collect(&store.url(), &digest).await.expect_err("more than may be");
    assert!(matches!(error, EvidenceError::AllTooLarge { .. }), "{error}");
    assert!(!error.unavailable(), "nothing changes by itself");
}
