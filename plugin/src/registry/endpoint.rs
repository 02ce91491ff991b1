//! One endpoint of a repository: requests with its headers, its credentials and its token.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use http::{HeaderMap, HeaderValue, Method, header};
use pullgate_policy::reference::Reference;
use reqwest::{Client, Response, StatusCode};
use url::Url;

use super::credentials::{Credentials, authority};
use super::error::Failure;
use super::hosts::Host;
use super::token::{Challenge, TokenRequest, basic};

/// Attempts at one request, with all answers to challenges and all repetitions: containerd's bound.
const ATTEMPTS: usize = 6;

/// Longest wait that a registry may ask for with `Retry-After`.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// A host, for one repository and one pull.
#[derive(Debug)]
pub(super) struct Endpoint {
    pub(super) host: Host,
    client: Client,
    credentials: Credentials,
    repository: Reference,
    authorization: Mutex<Option<HeaderValue>>,
}

/// What a request is for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ask<'a> {
    /// The part of the path after the repository, for example `manifests/latest`.
    pub(super) path: &'a str,
    /// Which of the registry's APIs it is for.
    pub(super) api: Api,
    /// The part of the URL after the path, of a further page for example.
    pub(super) query: Option<&'a str>,
    /// `Accept`.
    pub(super) accept: &'a str,
    /// The first byte that is wanted.
    pub(super) offset: u64,
    /// How long the peer may send nothing.
    pub(super) no_progress: Duration,
    /// Whether no other endpoint is left to try.
    pub(super) last: bool,
    /// Pause before a request is repeated.
    pub(super) pause: Duration,
}

/// An API of a registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Api {
    /// The OCI distribution specification's.
    Distribution,
    /// `OpenShift`'s, for signatures.
    Extension,
    /// A part of the distribution specification that a registry need not have: a plea to wait is its
    /// way to say so, and is not waited for.
    Optional,
}

impl Endpoint {
    pub(super) const fn new(
        host: Host,
        client: Client,
        credentials: Credentials,
        repository: Reference,
    ) -> Self {
        Self { host, client, credentials, repository, authorization: Mutex::new(None) }
    }

    /// The reference that is asked for.
    pub(super) const fn logical(&self) -> &Reference {
        &self.repository
    }

    /// The endpoint's root, for messages.
    pub(super) fn name(&self) -> String {
        self.host.root.as_str().trim_end_matches('/').to_owned()
    }

    /// The reference at this endpoint, by which registries.d is looked up. A mirror counts by its own
    /// name (policy-semantics.md 2.5 and 5).
    pub(super) fn physical(&self) -> Result<Reference, Failure> {
        if self.host.upstream {
            return Ok(self.repository.clone());
        }
        let root = &self.host.root;
        let path = root.path().trim_end_matches('/');
        let prefix = path.strip_suffix("/v2").unwrap_or(path);
        let prefix = prefix.strip_prefix("/v2").unwrap_or(prefix);
        let full = self.repository.to_string();
        let rest = full.strip_prefix(self.repository.domain()).unwrap_or_default();
        let name = format!("{}{prefix}{rest}", authority(root).unwrap_or_default());
        Reference::parse(&name).map_err(Failure::Physical)
    }

    /// Sends a GET until it is answered with something other than a challenge or a plea to wait.
    pub(super) async fn get(&self, ask: Ask<'_>) -> Result<Response, Failure> {
        let mut repeated = false;
        let mut challenged = 0;
        for attempt in 1..=ATTEMPTS {
            let answer = self.once(ask).await?;
            let status = answer.status();
            match status {
                StatusCode::OK | StatusCode::PARTIAL_CONTENT => return Ok(answer),
                StatusCode::NOT_FOUND => return Err(Failure::NotFound),
                StatusCode::UNAUTHORIZED if challenged < 2 => {
                    challenged += 1;
                    self.authorize(&answer, ask.no_progress).await?;
                }
                StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                    return Err(Failure::Denied(status));
                }
                StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS
                    if attempt < ATTEMPTS && ask.api != Api::Optional =>
                {
                    tokio::time::sleep(retry_after(&answer).unwrap_or(ask.pause)).await;
                }
                StatusCode::INTERNAL_SERVER_ERROR
                | StatusCode::SERVICE_UNAVAILABLE
                | StatusCode::GATEWAY_TIMEOUT
                    if ask.last && !repeated =>
                {
                    repeated = true;
                    tokio::time::sleep(ask.pause).await;
                }
                other => return Err(Failure::Status(other)),
            }
        }
        Err(Failure::Status(StatusCode::TOO_MANY_REQUESTS))
    }

    async fn once(&self, ask: Ask<'_>) -> Result<Response, Failure> {
        let mut request = self
            .client
            .request(Method::GET, self.url(ask))
            .headers(self.host.headers.clone())
            .header(header::ACCEPT, ask.accept);
        if ask.offset > 0 {
            request = request.header(header::RANGE, format!("bytes={}-", ask.offset));
        }
        let known = self.authorization.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(value) = known {
            request = request.header(header::AUTHORIZATION, value);
        }
        match tokio::time::timeout(ask.no_progress, request.send()).await {
            Ok(answer) => answer.map_err(Failure::transport),
            Err(_) => Err(Failure::NoProgress),
        }
    }

    /// What the registry's root answers about itself, without credentials. None from a peer that is no
    /// complete registry, as a cache below a path may be.
    pub(super) async fn about(&self, no_progress: Duration) -> Result<Option<HeaderMap>, Failure> {
        let mut url = self.host.root.clone();
        url.set_path(&format!("{}/", url.path().trim_end_matches('/')));
        let request = self.client.request(Method::GET, url).headers(self.host.headers.clone());
        let answer = match tokio::time::timeout(no_progress, request.send()).await {
            Ok(answer) => answer.map_err(Failure::transport)?,
            Err(_) => return Err(Failure::NoProgress),
        };
        let registry = matches!(answer.status(), StatusCode::OK | StatusCode::UNAUTHORIZED);
        Ok(registry.then(|| answer.headers().clone()))
    }

    fn url(&self, ask: Ask<'_>) -> Url {
        let mut url = self.host.root.clone();
        let root = url.path().trim_end_matches('/').to_owned();
        let root = match ask.api {
            Api::Distribution | Api::Optional => root,
            Api::Extension => {
                format!("{}/extensions/v2", root.strip_suffix("/v2").unwrap_or(&root))
            }
        };
        url.set_path(&format!("{root}/{}/{}", self.repository.path(), ask.path));
        url.set_query(ask.query);
        let told = url.query_pairs().any(|(key, _)| key == "ns");
        if !told && !self.host.is_at(self.repository.domain()) {
            // A mirror of several registries tells them apart by this (containerd's hosts.toml).
            url.query_pairs_mut().append_pair("ns", self.repository.domain());
        }
        url
    }

    async fn authorize(&self, answer: &Response, no_progress: Duration) -> Result<(), Failure> {
        let denied = || Failure::Denied(answer.status());
        let host = authority(&self.host.root).unwrap_or_default();
        let secret = self.credentials.for_host(&host);
        let value = match Challenge::parse(answer.headers()).ok_or_else(denied)? {
            Challenge::Basic => secret.and_then(basic).ok_or_else(denied)?,
            Challenge::Bearer { realm, service, mut scopes } => {
                scopes.insert(format!("repository:{}:pull", self.repository.path()));
                let request = TokenRequest::new(
                    &self.host.root,
                    &realm,
                    service.as_deref(),
                    &scopes,
                    secret,
                )?;
                match tokio::time::timeout(no_progress, request.send(&self.client)).await {
                    Ok(token) => token?,
                    Err(_) => return Err(Failure::NoProgress),
                }
            }
        };
        let mut known = self.authorization.lock().unwrap_or_else(PoisonError::into_inner);
        if known.as_ref() == Some(&value) {
            // The same credentials were refused a moment ago.
            return Err(denied());
        }
        *known = Some(value);
        Ok(())
    }
}

fn retry_after(answer: &Response) -> Option<Duration> {
    let seconds = answer.headers().get(header::RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds).min(LONGEST_PAUSE))
}
