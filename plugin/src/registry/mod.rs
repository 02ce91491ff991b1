//! The registry client: hosts.toml, TLS, credentials, manifests and blobs. It knows nothing of
//! signatures and nothing of containerd.

mod credentials;

use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;
use pullgate_policy::digest::VerifiedBlob;
use pullgate_policy::manifest::Descriptor;
use pullgate_policy::reference::{PullReference, Reference};

pub use credentials::{AuthConfig, Credentials};

/// How registries are reached.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Roots with one folder a host, containerd's `config_path`.
    pub config_path: Vec<PathBuf>,
    /// How long a peer may send nothing.
    pub no_progress: Duration,
}

/// Every registry this node pulls from.
#[derive(Debug)]
pub struct Registry {
    // by the author of registry
}

impl Registry {
    /// A client with `settings`; no connection is made yet.
    ///
    /// # Errors
    /// [`RegistryError`] if the TLS roots cannot be read.
    pub fn new(_settings: Settings) -> Result<Self, RegistryError> {
        todo!()
    }

    /// The repository of `reference`, with the mirrors that hosts.toml names, reached with
    /// `credentials`. hosts.toml is read now, so that a change needs no restart.
    ///
    /// # Errors
    /// [`RegistryError`] if hosts.toml is invalid.
    pub async fn repository(
        &self,
        _reference: &Reference,
        _credentials: Credentials,
    ) -> Result<Repository, RegistryError> {
        todo!()
    }
}

/// One repository at its endpoints.
#[derive(Debug)]
pub struct Repository {
    // by the author of registry
}

impl Repository {
    /// Resolves the reference once: the bytes of its manifest or index, verified.
    ///
    /// # Errors
    /// [`RegistryError`] for every way this can fail.
    pub async fn resolve(&self, _reference: &PullReference) -> Result<Resolved, RegistryError> {
        todo!()
    }

    /// Fetches a manifest of an index, verified against its descriptor.
    ///
    /// # Errors
    /// [`RegistryError`] for every way this can fail.
    pub async fn manifest(
        &self,
        _descriptor: &Descriptor,
    ) -> Result<(Bytes, VerifiedBlob), RegistryError> {
        todo!()
    }

    /// Fetches a small blob, such as the image configuration, verified against its descriptor.
    ///
    /// # Errors
    /// [`RegistryError`] for every way this can fail; a blob that declares more than `limit` bytes is
    /// not fetched.
    pub async fn small_blob(
        &self,
        _descriptor: &Descriptor,
        _limit: usize,
    ) -> Result<(Bytes, VerifiedBlob), RegistryError> {
        todo!()
    }

    /// Streams a blob, reopening it with `Range` where the peer breaks off. The bytes are not
    /// verified: whoever takes them runs the verifier.
    ///
    /// # Errors
    /// [`RegistryError`] if it cannot be opened.
    pub async fn blob(
        &self,
        _descriptor: &Descriptor,
    ) -> Result<impl Stream<Item = Result<Bytes, RegistryError>> + Send + 'static, RegistryError>
    {
        if true {
            todo!()
        }
        Ok(futures_util::stream::empty())
    }
}

/// What a reference stood for at the moment it was resolved.
#[derive(Debug, Clone)]
pub struct Resolved {
    /// The manifest or index as served.
    pub body: Bytes,
    /// Proof that `body` has the digest that the registry, or the reference, named.
    pub blob: VerifiedBlob,
    /// The `Content-Type` of the answer, without parameters.
    pub media_type: String,
    /// The repository at the endpoint that answered: registries.d is looked up by it.
    pub physical: Reference,
}

/// Why a registry did not give what was asked for.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {}
