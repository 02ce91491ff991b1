//! The registry client against a real registry, and against servers that lie, stall and break off.
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a panic fails the test"
)]

mod authentication;
mod evidence;
mod hosts;
mod referrers;
mod resolving;
mod transfers;

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::TryStreamExt as _;
use http::{HeaderMap, Response};
use http_body_util::Full;
use pullgate::registry::{
    AuthConfig, Credentials, Registry, RegistryError, Repository, Resolved, Settings,
};
use pullgate_policy::manifest::Descriptor;
use pullgate_policy::reference::PullReference;
use pullgate_tests::hosts::Hosts;
use pullgate_tests::image::Blob;
use pullgate_tests::server::Answer;

/// A client that waits for nobody.
pub(crate) fn client(hosts: &Hosts) -> Registry {
    Registry::new(Settings {
        config_path: vec![hosts.path().to_owned()],
        no_progress: Duration::from_millis(500),
        pause: Duration::from_millis(1),
    })
}

pub(crate) fn reference(text: &str) -> PullReference {
    PullReference::parse(text).expect("a reference")
}

pub(crate) fn credentials(user: &str, password: &str) -> Credentials {
    let (username, password) = (user.to_owned(), password.to_owned());
    Credentials::new(AuthConfig { username, password, ..AuthConfig::default() }).expect("no auth")
}

pub(crate) fn repository(hosts: &Hosts, name: &str, credentials: &Credentials) -> Repository {
    let reference = reference(name);
    client(hosts).repository(reference.reference(), credentials).expect("hosts.toml is valid")
}

pub(crate) async fn resolve(hosts: &Hosts, name: &str) -> Result<Resolved, RegistryError> {
    repository(hosts, name, &Credentials::default()).resolve(&reference(name)).await
}

pub(crate) fn descriptor(blob: &Blob) -> Descriptor {
    Descriptor {
        media_type: blob.media_type.clone(),
        digest: blob.digest.parse().expect("a digest"),
        size: blob.bytes.len() as u64,
        platform: None,
    }
}

/// The whole blob, read through the stream.
pub(crate) async fn read(repository: &Repository, blob: &Blob) -> Result<Bytes, RegistryError> {
    let stream = repository.blob(&descriptor(blob)).await?;
    let body = stream.try_fold(BytesMut::new(), async |mut body, chunk| {
        body.extend_from_slice(&chunk);
        Ok(body)
    });
    Ok(body.await?.freeze())
}

/// 200 with a blob's bytes, type and digest.
pub(crate) fn serve(blob: &Blob) -> Answer {
    let answer = Response::builder()
        .header("content-type", &blob.media_type)
        .header("docker-content-digest", &blob.digest);
    answer.body(Full::from(blob.bytes.clone())).expect("header values")
}

pub(crate) fn answer(status: u16, headers: &[(&str, &str)]) -> Answer {
    let mut answer = Response::builder().status(status);
    for (name, value) in headers {
        answer = answer.header(*name, *value);
    }
    answer.body(Full::default()).expect("header values")
}

pub(crate) fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}
