//! The registry client: hosts.toml, TLS, credentials, manifests and blobs. It knows nothing of
//! signatures and nothing of containerd.

mod blob;
mod credentials;
mod endpoint;
mod error;
mod hosts;
mod source;
mod tags;
mod token;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::Stream;
use http::header;
use pullgate_policy::digest::{Digest, VerifiedBlob, Verifier};
use pullgate_policy::limits;
use pullgate_policy::manifest::Descriptor;
use pullgate_policy::reference::{PullReference, Reference};
use reqwest::{Client, Response};

pub use credentials::{AuthConfig, Credentials, CredentialsError};
pub use error::{Failure, Failures, RegistryError, TokenError};
pub use hosts::{HostsError, addresses};
pub use source::Source;

use crate::transport::Tls;
use endpoint::{Api, Ask, Endpoint};
use error::Failures as Causes;
use hosts::Capability;

/// What a manifest may be, in containerd's order of preference.
const MANIFEST_TYPES: &str = "application/vnd.docker.distribution.manifest.v2+json, \
     application/vnd.docker.distribution.manifest.list.v2+json, \
     application/vnd.oci.image.manifest.v1+json, \
     application/vnd.oci.image.index.v1+json, */*";

const ANYTHING: &str = "*/*";

/// How registries are reached.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Roots with one folder a host, containerd's `config_path`.
    pub config_path: Vec<PathBuf>,
    /// How long a peer may send nothing.
    pub no_progress: Duration,
    /// Pause before a request is repeated that a registry refused for the moment.
    pub pause: Duration,
}

/// Every registry this node pulls from.
#[derive(Debug)]
pub struct Registry {
    settings: Settings,
    clients: Mutex<HashMap<Tls, Client>>,
}

impl Registry {
    /// A client with `settings`; no connection is made yet.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self { settings, clients: Mutex::default() }
    }

    /// The repository of `reference`, with the mirrors that hosts.toml names, reached with
    /// `credentials`. hosts.toml is read now, so that a change needs no restart.
    ///
    /// # Errors
    /// [`RegistryError::Hosts`] if hosts.toml or a certificate it names is invalid.
    pub fn repository(
        &self,
        reference: &Reference,
        credentials: &Credentials,
    ) -> Result<Repository, RegistryError> {
        let mut endpoints = Vec::new();
        for host in hosts::load(&self.settings.config_path, reference.domain())? {
            let client = self.client(&host)?;
            endpoints.push(Arc::new(Endpoint::new(
                host,
                client,
                credentials.clone(),
                reference.clone(),
            )));
        }
        let (no_progress, pause) = (self.settings.no_progress, self.settings.pause);
        let name = reference.repository();
        Ok(Repository { inner: Arc::new(Inner { name, endpoints, no_progress, pause }) })
    }

    /// One client, and so one connection pool, for all hosts with the same TLS settings.
    fn client(&self, host: &hosts::Host) -> Result<Client, HostsError> {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(&host.tls) {
            return Ok(client.clone());
        }
        let client = host.tls.client().map_err(|source| HostsError::Certificate {
            host: host.root.host_str().unwrap_or_default().to_owned(),
            source,
        })?;
        clients.insert(host.tls.clone(), client.clone());
        Ok(client)
    }
}

/// The hosts that may serve the images of `domain`, in the order in which they are tried.
///
/// # Errors
/// [`RegistryError::Hosts`] if hosts.toml is invalid.
pub fn hosts(config_path: &[PathBuf], domain: &str) -> Result<Vec<String>, RegistryError> {
    let hosts = hosts::load(config_path, domain)?;
    Ok(hosts.iter().filter_map(|host| credentials::authority(&host.root)).collect())
}

/// One repository at its endpoints.
#[derive(Debug, Clone)]
pub struct Repository {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    name: String,
    endpoints: Vec<Arc<Endpoint>>,
    no_progress: Duration,
    pause: Duration,
}

impl Repository {
    /// Resolves the reference once: the bytes of its manifest or index, verified.
    ///
    /// This is a single GET by tag. A HEAD before it would tell nothing that the GET does not, and a tag
    /// that moves between two requests could not be told from a registry that lies. The request is
    /// always made, whatever is on the node: it is what proves the caller's credentials.
    ///
    /// # Errors
    /// [`RegistryError`] for every way this can fail.
    pub async fn resolve(&self, reference: &PullReference) -> Result<Resolved, RegistryError> {
        let what = reference.to_string();
        let named = reference.reference().digest();
        let target = named.map(ToString::to_string);
        let target = target.as_deref().or_else(|| reference.reference().tag()).unwrap_or_default();
        let path = &format!("manifests/{target}");
        self.inner
            .first(&what, Capability::Resolve, |endpoint, last| async move {
                let answer = endpoint.get(self.inner.ask(path, MANIFEST_TYPES, last)).await?;
                let media_type = content_type(&answer).ok_or(Failure::NoContentType)?;
                let promised = promised_digest(&answer);
                let body = self.inner.body(answer, limits::MANIFEST_BYTES).await?;
                let found = Digest::sha256(&body);
                let expected = named.or(promised.as_ref()).unwrap_or(&found);
                let blob = Verifier::verify(expected, &body).map_err(Failure::Mismatch)?;
                let source = self.source(endpoint)?;
                Ok(Resolved { body, blob, media_type, source })
            })
            .await
    }

    fn source(&self, endpoint: Arc<Endpoint>) -> Result<Source, Failure> {
        let (logical, physical) = (endpoint.logical().clone(), endpoint.physical()?);
        let Inner { name, no_progress, pause, .. } = &*self.inner;
        let (name, no_progress, pause) = (name.clone(), *no_progress, *pause);
        let inner = Arc::new(Inner { name, endpoints: vec![endpoint], no_progress, pause });
        Ok(Source { repository: Self { inner }, logical, physical })
    }

    /// Fetches a manifest of an index, verified against its descriptor.
    ///
    /// # Errors
    /// [`RegistryError`] for every way this can fail.
    pub async fn manifest(
        &self,
        descriptor: &Descriptor,
    ) -> Result<(Bytes, VerifiedBlob), RegistryError> {
        let path = format!("manifests/{}", descriptor.digest);
        self.inner.whole(descriptor, &path, MANIFEST_TYPES, limits::MANIFEST_BYTES).await
    }

    /// Fetches a small blob, such as the image configuration, verified against its descriptor.
    ///
    /// # Errors
    /// [`RegistryError`] for every way this can fail; a blob that declares more than `limit` bytes is
    /// not fetched.
    pub async fn small_blob(
        &self,
        descriptor: &Descriptor,
        limit: usize,
    ) -> Result<(Bytes, VerifiedBlob), RegistryError> {
        let path = format!("blobs/{}", descriptor.digest);
        self.inner.whole(descriptor, &path, ANYTHING, limit).await
    }

    /// Streams a blob, reopening it with `Range` where the peer breaks off. The bytes are not
    /// verified: whoever takes them runs the verifier.
    ///
    /// # Errors
    /// [`RegistryError`] if it cannot be opened.
    pub async fn blob(
        &self,
        descriptor: &Descriptor,
    ) -> Result<impl Stream<Item = Result<Bytes, RegistryError>> + Send + use<>, RegistryError>
    {
        blob::open(Arc::clone(&self.inner), &descriptor.digest, descriptor.size).await
    }
}

impl Inner {
    /// The first endpoint that gives what `fetch` asks for.
    async fn first<T, F>(
        &self,
        what: &str,
        capability: Capability,
        fetch: impl Fn(Arc<Endpoint>, bool) -> F,
    ) -> Result<T, RegistryError>
    where
        F: Future<Output = Result<T, Failure>>,
    {
        let able: Vec<&Arc<Endpoint>> =
            self.endpoints.iter().filter(|endpoint| endpoint.host.can(capability)).collect();
        let mut failures = Vec::new();
        for (index, endpoint) in able.iter().enumerate() {
            match fetch(Arc::clone(endpoint), index + 1 == able.len()).await {
                Ok(value) => return Ok(value),
                Err(failure) => failures.push((endpoint.name(), failure)),
            }
        }
        let what = what.to_owned();
        if failures.is_empty() {
            return Err(RegistryError::NoEndpoint { what, capability: capability.to_string() });
        }
        Err(RegistryError::Endpoints { what, failures: Causes(failures) })
    }

    async fn whole(
        &self,
        descriptor: &Descriptor,
        path: &str,
        accept: &str,
        limit: usize,
    ) -> Result<(Bytes, VerifiedBlob), RegistryError> {
        let what = format!("{}@{}", self.name, descriptor.digest);
        let size = descriptor.size;
        if size > limit as u64 {
            return Err(RegistryError::TooLarge { what, size, limit });
        }
        self.first(&what, Capability::Pull, |endpoint, last| async move {
            let answer = endpoint.get(self.ask(path, accept, last)).await?;
            let body = self.body(answer, limit).await?;
            let mut verifier =
                Verifier::new(&descriptor.digest, size).map_err(Failure::Mismatch)?;
            verifier.update(&body).map_err(Failure::Mismatch)?;
            Ok((body, verifier.finish().map_err(Failure::Mismatch)?))
        })
        .await
    }

    const fn ask<'a>(&self, path: &'a str, accept: &'a str, last: bool) -> Ask<'a> {
        let (no_progress, pause) = (self.no_progress, self.pause);
        let api = Api::Distribution;
        Ask { path, api, query: None, accept, offset: 0, no_progress, last, pause }
    }

    /// Reads a body that must not be larger than `limit`, whatever it declares.
    async fn body(&self, mut answer: Response, limit: usize) -> Result<Bytes, Failure> {
        let mut body = BytesMut::new();
        while let Some(chunk) = self.chunk(&mut answer).await? {
            body.extend_from_slice(&chunk);
            if body.len() > limit {
                return Err(Failure::TooLarge { limit });
            }
        }
        Ok(body.freeze())
    }

    async fn chunk(&self, answer: &mut Response) -> Result<Option<Bytes>, Failure> {
        match tokio::time::timeout(self.no_progress, answer.chunk()).await {
            Ok(chunk) => chunk.map_err(Failure::transport),
            Err(_) => Err(Failure::NoProgress),
        }
    }
}

/// What a reference stood for at the moment it was resolved.
#[derive(Debug, Clone)]
pub struct Resolved {
    /// The manifest or index as served.
    pub body: Bytes,
    /// Proof that `body` has the digest that the reference, or else the registry, named.
    pub blob: VerifiedBlob,
    /// The `Content-Type` of the answer, without parameters.
    pub media_type: String,
    /// Where it came from.
    pub source: Source,
}

/// The query of the next page, as the `Link` header names it. Where it points is not followed: the page is
/// asked for where the first one was.
fn next_page(answer: &Response) -> Option<String> {
    let link = answer.headers().get(header::LINK)?.to_str().ok()?;
    let (target, relation) = link.trim_start().strip_prefix('<')?.split_once('>')?;
    let next = relation.contains("rel=\"next\"") || relation.contains("rel=next");
    let url = answer.url().join(target).ok().filter(|_| next)?;
    url.query().map(str::to_owned)
}

fn content_type(answer: &Response) -> Option<String> {
    let value = answer.headers().get(header::CONTENT_TYPE)?.to_str().ok()?;
    let media_type = value.split(';').next().unwrap_or(value).trim();
    Some(media_type.to_owned()).filter(|media_type| !media_type.is_empty())
}

/// `Docker-Content-Digest`. One that is no SHA-256 digest says nothing that could be checked.
fn promised_digest(answer: &Response) -> Option<Digest> {
    answer.headers().get("docker-content-digest")?.to_str().ok()?.parse().ok()
}
