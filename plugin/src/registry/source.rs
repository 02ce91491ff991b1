//! Where an image came from: its repository at one endpoint, with what else is stored there.

use std::sync::Arc;

use bytes::Bytes;
use pullgate_policy::digest::{Digest, VerifiedBlob};
use pullgate_policy::limits;
use pullgate_policy::manifest::{Descriptor, OCI_INDEX};
use pullgate_policy::reference::Reference;

use super::endpoint::{Api, Ask, Endpoint};
use super::hosts::Capability;
use super::{
    ANYTHING, Failure, MANIFEST_TYPES, RegistryError, Repository, content_type, next_page,
};

/// A repository at the one endpoint that served an image. Signatures are looked for there and nowhere
/// else (policy-semantics.md 5).
#[derive(Debug, Clone)]
pub struct Source {
    pub(super) repository: Repository,
    pub(super) logical: Reference,
    pub(super) physical: Reference,
}

impl Source {
    /// The reference that was asked for.
    #[must_use]
    pub const fn logical(&self) -> &Reference {
        &self.logical
    }

    /// The reference at this endpoint: registries.d is looked up by it.
    #[must_use]
    pub const fn physical(&self) -> &Reference {
        &self.physical
    }

    /// Whether the registry says that `header` has the value `value`.
    ///
    /// # Errors
    /// [`RegistryError`] if it cannot be asked.
    pub async fn says(&self, header: &str, value: &str) -> Result<bool, RegistryError> {
        let no_progress = self.repository.inner.no_progress;
        self.first("", |endpoint, _last| async move {
            let about = endpoint.about(no_progress).await?;
            let found = about.as_ref().and_then(|headers| headers.get(header));
            Ok(found.is_some_and(|found| found == value))
        })
        .await
    }

    /// The answer of the registry's extension API, of at most `limit` bytes.
    ///
    /// # Errors
    /// [`RegistryError`] for every way this can fail.
    pub async fn extension(&self, path: &str, limit: usize) -> Result<Bytes, RegistryError> {
        let inner = &self.repository.inner;
        self.first(path, |endpoint, last| async move {
            let ask = Ask { api: Api::Extension, ..inner.ask(path, ANYTHING, last) };
            inner.body(endpoint.get(ask).await?, limit).await
        })
        .await
    }

    /// The manifest that `tag` names and its media type; none where there is no such tag. It is not
    /// verified: nothing says what its digest is.
    ///
    /// # Errors
    /// [`RegistryError`] for every other way this can fail.
    pub async fn tagged(&self, tag: &str) -> Result<Option<(Bytes, String)>, RegistryError> {
        let inner = &self.repository.inner;
        let path = &format!("manifests/{tag}");
        self.first(path, |endpoint, last| async move {
            let answer = match endpoint.get(inner.ask(path, MANIFEST_TYPES, last)).await {
                Ok(answer) => answer,
                Err(Failure::NotFound) => return Ok(None),
                Err(failure) => return Err(failure),
            };
            let media_type = content_type(&answer).ok_or(Failure::NoContentType)?;
            Ok(Some((inner.body(answer, limits::MANIFEST_BYTES).await?, media_type)))
        })
        .await
    }

    /// The pages of the registry's list of manifests that refer to `digest`; none where it has no such API,
    /// in whatever way it says so. They are not verified, like [`Self::tagged`].
    ///
    /// # Errors
    /// [`RegistryError`] for every other way this can fail, more than `limit` pages among them.
    pub async fn referrers(
        &self,
        digest: &Digest,
        limit: usize,
    ) -> Result<Option<Vec<Bytes>>, RegistryError> {
        let inner = &self.repository.inner;
        let path = &format!("referrers/{digest}");
        self.first(path, |endpoint, last| async move {
            let mut pages = Vec::new();
            let mut query: Option<String> = None;
            loop {
                let accept = OCI_INDEX;
                let ask = Ask {
                    api: Api::Optional,
                    query: query.as_deref(),
                    ..inner.ask(path, accept, last)
                };
                let answer = match endpoint.get(ask).await {
                    Ok(answer) => answer,
                    Err(failure) if pages.is_empty() && failure.not_offered() => return Ok(None),
                    Err(failure) => return Err(failure),
                };
                if pages.is_empty() && content_type(&answer).as_deref() != Some(OCI_INDEX) {
                    return Ok(None);
                }
                query = next_page(&answer);
                pages.push(inner.body(answer, limits::MANIFEST_BYTES).await?);
                if query.is_none() {
                    return Ok(Some(pages));
                }
                if pages.len() == limit {
                    return Err(Failure::TooManyPages { limit });
                }
            }
        })
        .await
    }

    /// See [`Repository::manifest`].
    ///
    /// # Errors
    /// [`RegistryError`] for every way this can fail.
    pub async fn manifest(
        &self,
        descriptor: &Descriptor,
    ) -> Result<(Bytes, VerifiedBlob), RegistryError> {
        self.repository.manifest(descriptor).await
    }

    /// See [`Repository::small_blob`].
    ///
    /// # Errors
    /// [`RegistryError`] for every way this can fail.
    pub async fn small_blob(
        &self,
        descriptor: &Descriptor,
        limit: usize,
    ) -> Result<(Bytes, VerifiedBlob), RegistryError> {
        self.repository.small_blob(descriptor, limit).await
    }

    /// What `fetch` gets from `path`, below the repository.
    async fn first<T, F>(
        &self,
        path: &str,
        fetch: impl Fn(Arc<Endpoint>, bool) -> F,
    ) -> Result<T, RegistryError>
    where
        F: Future<Output = Result<T, Failure>>,
    {
        let inner = &self.repository.inner;
        let what = format!("{}/{path}", inner.name);
        inner.first(what.trim_end_matches('/'), Capability::Pull, fetch).await
    }
}
