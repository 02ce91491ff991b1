//! Collects the stored signatures of a manifest. "Could not look" is never "there are none".

mod attached;
mod referring;

use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::fcntl::OFlag;
use pullgate_policy::digest::Digest;
use pullgate_policy::limits;
use pullgate_policy::lookaside::{Location, Lookaside, LookasideError, Store, without_userinfo};
use pullgate_policy::manifest::ManifestError;
use pullgate_policy::signature::{ContainerError, UntrustedSignature, extension};
use pullgate_policy::strict::JsonError;
use reqwest::{Client, StatusCode};
use tokio::io::AsyncReadExt as _;

use crate::registry::{RegistryError, Source};
use crate::transport::Tls;

/// Reads signature stores. It sends no credentials, and trusts the system's certificate authorities
/// only: what an admin allows for a registry says nothing about the store of its signatures.
#[derive(Debug)]
pub struct Collector {
    client: Client,
    no_progress: Duration,
}

impl Collector {
    /// A collector; `no_progress` bounds how long a store may send nothing.
    ///
    /// # Errors
    /// [`EvidenceError::Client`] if the system's certificates cannot be used.
    pub fn new(no_progress: Duration) -> Result<Self, EvidenceError> {
        let client = Tls::default().client().map_err(EvidenceError::Client)?;
        Ok(Self { client, no_progress })
    }

    /// Every signature of the manifest `digest`, and where they were looked for: in the registry's
    /// extension for signatures if it offers one, else in the lookaside; then in what sigstore
    /// attached, if registries.d says so (policy-semantics.md 2.5).
    ///
    /// # Errors
    /// [`EvidenceError`] if a store cannot be read or holds what is not a signature, also after good
    /// ones; also if all of it takes longer than [`WHOLE`] times what one answer may.
    pub async fn collect(
        &self,
        lookaside: &Lookaside,
        source: &Source,
        digest: &Digest,
    ) -> Result<Evidence, EvidenceError> {
        self.in_time(self.collect_all(lookaside, source, digest)).await
    }

    async fn collect_all(
        &self,
        lookaside: &Lookaside,
        source: &Source,
        digest: &Digest,
    ) -> Result<Evidence, EvidenceError> {
        let mut evidence = Evidence::default();
        let (header, value) = extension::OFFER;
        if source.says(header, value).await? {
            attached::of_extension(source, digest, &mut evidence).await?;
        } else {
            let store = lookaside.store(source.physical())?;
            self.stored(&store, digest, &mut evidence).await?;
        }
        if lookaside.use_sigstore_attachments(source.physical()) {
            attached::of_sigstore(source, digest, &mut evidence).await?;
        }
        Ok(evidence)
    }

    /// The bundles of the manifest `digest`, if registries.d says that sigstore attaches signatures.
    ///
    /// # Errors
    /// [`EvidenceError`] if they cannot be read, or not in the time that [`Self::collect`] has.
    pub async fn bundles(
        &self,
        lookaside: &Lookaside,
        source: &Source,
        digest: &Digest,
    ) -> Result<Evidence, EvidenceError> {
        if !lookaside.use_sigstore_attachments(source.physical()) {
            return Ok(Evidence::default());
        }
        self.in_time(referring::of_bundles(source, digest)).await
    }

    async fn in_time(
        &self,
        search: impl Future<Output = Result<Evidence, EvidenceError>>,
    ) -> Result<Evidence, EvidenceError> {
        let limit = self.no_progress.saturating_mul(WHOLE);
        let found = tokio::time::timeout(limit, search);
        found.await.unwrap_or(Err(EvidenceError::TooSlow { limit }))
    }

    /// `signature-1`, `signature-2` and so on up to the first that does not exist
    /// (containers-registries.d(5)).
    async fn stored(
        &self,
        store: &Store,
        digest: &Digest,
        evidence: &mut Evidence,
    ) -> Result<(), EvidenceError> {
        let mut bytes = 0;
        for number in 1..=limits::SIGNATURES + 1 {
            let location = store.location(digest, number);
            if number == 1 {
                evidence.searched.push(shown(&location));
            }
            let Some(blob) = self.read(&location).await? else { return Ok(()) };
            if number > limits::SIGNATURES {
                break;
            }
            bytes += blob.len();
            if bytes > limits::SIGNATURES_BYTES {
                let (location, limit) = (shown(&location), limits::SIGNATURES_BYTES);
                return Err(EvidenceError::AllTooLarge { location, limit });
            }
            let signature = UntrustedSignature::parse(&blob).map_err(|source| {
                EvidenceError::NotASignature { location: shown(&location), source }
            })?;
            evidence.signatures.push(signature);
        }
        let location = shown(&store.location(digest, 1));
        Err(EvidenceError::TooMany { location, limit: limits::SIGNATURES })
    }

    /// The bytes at `location`, or none where nothing is stored.
    async fn read(&self, location: &Location) -> Result<Option<Vec<u8>>, EvidenceError> {
        match location {
            Location::File(path) => read_file(path).await,
            Location::Url(url) => self.fetch(url).await,
        }
    }

    async fn fetch(&self, url: &str) -> Result<Option<Vec<u8>>, EvidenceError> {
        let location = || without_userinfo(url);
        let transport = |error: reqwest::Error| EvidenceError::Unreachable {
            location: location(),
            source: error.without_url(),
        };
        let stalled = |_| EvidenceError::NoProgress { location: location() };
        let request = tokio::time::timeout(self.no_progress, self.client.get(url).send());
        let mut answer = request.await.map_err(stalled)?.map_err(transport)?;
        match answer.status() {
            StatusCode::OK => {}
            StatusCode::NOT_FOUND => return Ok(None),
            status => return Err(EvidenceError::Status { location: location(), status }),
        }
        let mut blob = Vec::new();
        loop {
            let chunk = tokio::time::timeout(self.no_progress, answer.chunk());
            let Some(chunk) = chunk.await.map_err(stalled)?.map_err(transport)? else {
                return Ok(Some(blob));
            };
            blob.extend_from_slice(&chunk);
            if blob.len() > limits::SIGNATURE_BYTES {
                let limit = limits::SIGNATURE_BYTES;
                return Err(EvidenceError::TooLarge { location: location(), limit });
            }
        }
    }
}

/// How much longer than one silence all signatures of an image may take: a store that sends a byte now
/// and then would hold the pull for ever.
const WHOLE: u32 = 10;

async fn read_file(path: &Path) -> Result<Option<Vec<u8>>, EvidenceError> {
    let unreadable = |source| EvidenceError::Unreadable { path: path.to_owned(), source };
    let mut options = std::fs::OpenOptions::new();
    // A FIFO in the place of a signature must not hang the pull.
    options.read(true).custom_flags(OFlag::O_NONBLOCK.bits());
    let file = match tokio::fs::OpenOptions::from(options).open(path).await {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(unreadable(source)),
    };
    let limit = limits::SIGNATURE_BYTES;
    let mut blob = Vec::new();
    file.take(limit as u64 + 1).read_to_end(&mut blob).await.map_err(unreadable)?;
    if blob.len() > limit {
        return Err(EvidenceError::TooLarge { location: path.display().to_string(), limit });
    }
    Ok(Some(blob))
}

fn shown(location: &Location) -> String {
    match location {
        Location::File(path) => path.display().to_string(),
        Location::Url(url) => without_userinfo(url),
    }
}

/// What was found, and where it was looked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Evidence {
    /// The signatures in the order found.
    pub signatures: Vec<UntrustedSignature>,
    /// The first location of each store that was read, for the record and the rejection's text.
    pub searched: Vec<String>,
}

impl Evidence {
    /// This, and what was found elsewhere.
    pub(crate) fn and(mut self, other: Self) -> Self {
        self.signatures.extend(other.signatures);
        self.searched.extend(other.searched);
        self
    }
}

/// Why signatures could not be collected.
#[derive(Debug, thiserror::Error)]
pub enum EvidenceError {
    /// More bytes than all signatures of an image have.
    #[error("the signatures up to {location} are larger than {limit} bytes")]
    AllTooLarge {
        /// Where the limit was reached.
        location: String,
        /// The limit.
        limit: usize,
    },
    /// What is attached is no manifest of signatures.
    #[error("{location} is not a manifest of signatures")]
    Attachment {
        /// Where.
        location: String,
        /// Why.
        source: ManifestError,
    },
    /// The HTTP client cannot be set up.
    #[error("the system's certificates cannot be used")]
    Client(#[source] reqwest::Error),
    /// The registry's extension answered something else.
    #[error("the registry's signature extension for {location}")]
    Extension {
        /// Where.
        location: String,
        /// What is wrong with the answer.
        source: JsonError,
    },
    /// registries.d names no usable store.
    #[error(transparent)]
    Lookaside(#[from] LookasideError),
    /// Nothing came in time.
    #[error("signature store {location} made no progress in time")]
    NoProgress {
        /// Where.
        location: String,
    },
    /// What is stored is no signature.
    #[error("{location} is not a signature")]
    NotASignature {
        /// Where.
        location: String,
        /// Why.
        source: ContainerError,
    },
    /// The registry did not give the signatures that it stores.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// An answer other than 200 and 404.
    #[error("signature store {location} answered {status}")]
    Status {
        /// Where.
        location: String,
        /// The answer.
        status: StatusCode,
    },
    /// A signature larger than any real one.
    #[error("{location} is larger than {limit} bytes")]
    TooLarge {
        /// Where.
        location: String,
        /// The limit.
        limit: usize,
    },
    /// More signatures than are ever read.
    #[error("more than {limit} signatures at {location}")]
    TooMany {
        /// Where the first of them is.
        location: String,
        /// The limit.
        limit: usize,
    },
    /// Something came again and again, and the end did not.
    #[error("the signatures could not be read within {}", humantime::format_duration(*limit))]
    TooSlow {
        /// The limit.
        limit: Duration,
    },
    /// The request did not get through.
    #[error("signature store {location} is not reachable")]
    Unreachable {
        /// Where.
        location: String,
        /// Why.
        source: reqwest::Error,
    },
    /// A file that exists and cannot be read.
    #[error("cannot read {}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl EvidenceError {
    /// Whether another attempt may succeed without anyone changing anything.
    #[must_use]
    pub fn unavailable(&self) -> bool {
        match self {
            Self::NoProgress { .. } | Self::TooSlow { .. } | Self::Unreachable { .. } => true,
            Self::Status { status, .. } => {
                status.is_server_error() || *status == StatusCode::TOO_MANY_REQUESTS
            }
            Self::Registry(error) => error.unavailable(),
            Self::AllTooLarge { .. }
            | Self::Attachment { .. }
            | Self::Client(_)
            | Self::Extension { .. }
            | Self::Lookaside(_)
            | Self::NotASignature { .. }
            | Self::TooLarge { .. }
            | Self::TooMany { .. }
            | Self::Unreadable { .. } => false,
        }
    }
}
