//! Reads policy.json, registries.d and key files into one consistent snapshot a pull.
//!
//! containers/image looks at these files for every pull, and so does pullgate: there is no reload to
//! forget. A broken file refuses every pull with its own reason; only `keep_last_good` in config.toml
//! falls back to the snapshot that was read last, and says so each time. A namespace with a policy of
//! its own is decided by that alone, as in CRI-O.

mod anchor;
mod exemptions;
mod file;
mod search;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use pullgate_policy::decision::TrustMaterial;
use pullgate_policy::digest::Digest;
use pullgate_policy::document::{Dialect, Policy, PolicyError, Requirement, Requirements, Source};
use pullgate_policy::limits;
use pullgate_policy::lookaside::{Lookaside, LookasideError};
use pullgate_policy::namespace::Namespace;

pub use anchor::Anchor;
pub use exemptions::{Admins, Exemptions};
pub use file::FileError;

use crate::audit::{chain, message_id, printable};
use crate::metrics::PolicyMetrics;

/// Nobody but pullgate reads the files here.
const OWN: &str = "/etc/pullgate";

/// Where the policy is read from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// A policy.json without fallback; without it the first that exists of
    /// `/etc/pullgate/policy.json`, `/etc/containers/policy.json` and
    /// `/usr/share/containers/policy.json`.
    pub policy: Option<PathBuf>,
    /// The folder of `<namespace>.json`.
    pub namespaces: PathBuf,
    /// The one registries.d directory; without it those of containers-registries.d(5) for root.
    pub registries_d: Option<PathBuf>,
    /// Whether the policy is pullgate's own wherever it lies, and may say what other tools refuse.
    pub extensions: bool,
    /// Whether bundles count for their own repository where a `sigstoreSigned` does not say it.
    pub digest_bound: bool,
    /// Whether a broken file leaves the last good snapshot in force.
    pub keep_last_good: bool,
}

impl Settings {
    /// The node's policy: the configured one, or the first that exists.
    ///
    /// # Errors
    /// [`TrustError::NoPolicy`] if there is none.
    pub fn policy_path(&self) -> Result<PathBuf, TrustError> {
        match &self.policy {
            Some(explicit) => Ok(explicit.clone()),
            None => search::policy(),
        }
    }

    /// What a policy at `path` may say.
    #[must_use]
    pub fn dialect(&self, path: &Path) -> Dialect {
        let own = self.extensions || path.starts_with(OWN);
        if own { Dialect::Extended } else { Dialect::Standard }
    }

    /// The merged registries.d, as it is now.
    ///
    /// # Errors
    /// [`TrustError`] names the file and what is wrong with it.
    pub fn lookaside(&self) -> Result<Lookaside, TrustError> {
        let files = search::registries_d(self.registries_d.as_deref())?;
        Ok(parse_lookaside(&files)?)
    }
}

fn parse_lookaside(files: &[(String, Vec<u8>)]) -> Result<Lookaside, LookasideError> {
    Lookaside::parse(files.iter().map(|(name, content)| (name.as_str(), content.as_slice())))
}

/// A key or certificate file, read as a decision reads it.
///
/// # Errors
/// [`FileError`] if its content must not decide what is trusted.
pub fn key_file(path: &Path) -> Result<Vec<u8>, FileError> {
    file::read(path, limits::KEYRING_BYTES)
}

/// What was read at one moment: every decision of a pull is made from one snapshot.
#[derive(Debug, PartialEq, Eq)]
pub struct Snapshot {
    policy: Policy,
    policy_path: PathBuf,
    lookaside: Lookaside,
    fingerprint: Digest,
}

impl Snapshot {
    /// The policy.
    #[must_use]
    pub const fn policy(&self) -> &Policy {
        &self.policy
    }

    /// The file that the policy came from.
    #[must_use]
    pub fn policy_path(&self) -> &Path {
        &self.policy_path
    }

    /// The merged registries.d.
    #[must_use]
    pub const fn lookaside(&self) -> &Lookaside {
        &self.lookaside
    }

    /// A digest over the names and contents of all files read: policy.json and registries.d.
    #[must_use]
    pub const fn fingerprint(&self) -> &Digest {
        &self.fingerprint
    }

    /// A digest over everything that a decision with this `material` is made from. Two decisions about
    /// the same image and signatures can differ only if it does, or because time passed.
    #[must_use]
    pub fn policy_hash(&self, material: &TrustMaterial) -> Digest {
        let mut listing = format!("{}\n", self.fingerprint);
        for (path, content) in material {
            let content = content.as_ref().map(|content| Digest::sha256(content).to_string());
            let content = content.unwrap_or_else(|_why| "unreadable".to_owned());
            listing += &format!("{content} {}\n", path.display());
        }
        Digest::sha256(listing.as_bytes())
    }

    /// Every key and certificate that the policy trusts for kubelet's images and that has an end. The
    /// file of one that stands in the policy itself is the policy.
    #[must_use]
    pub fn anchors(&self, now: SystemTime) -> BTreeSet<Anchor> {
        let scopes = self.policy.scopes("docker").map(|(_scope, requirements)| requirements);
        let lists = scopes.chain([self.policy.default_requirements()]);
        let sources: Vec<&Source> =
            lists.flat_map(Requirements::iter).flat_map(Requirement::sources).collect();
        sources.into_iter().flat_map(|source| anchor::of(source, &self.policy_path, now)).collect()
    }

    /// The key and certificate files that `requirements` name, read now.
    #[must_use]
    pub fn material(requirements: &Requirements) -> TrustMaterial {
        requirements
            .files()
            .into_iter()
            .map(|path| {
                let content = key_file(path);
                (path.to_owned(), content.map_err(|error| chain(&error)))
            })
            .collect()
    }
}

/// The trust configuration of the node.
#[derive(Debug)]
pub struct Trust {
    settings: Settings,
    /// By whose policy it is: a namespace's, or the node's.
    last: Mutex<BTreeMap<Option<Namespace>, Arc<Snapshot>>>,
    metrics: PolicyMetrics,
}

impl Trust {
    /// Reads nothing yet.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self { settings, last: Mutex::new(BTreeMap::new()), metrics: PolicyMetrics::default() }
    }

    /// Counts in `metrics` what is read from now on.
    #[must_use]
    pub fn counted_by(self, metrics: &PolicyMetrics) -> Self {
        Self { metrics: metrics.clone(), ..self }
    }

    /// Where it reads from.
    #[must_use]
    pub const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The files as they are now, for a pod of `namespace`: its own policy if it has one, else the
    /// node's. A file that did not change is not parsed again; a change is recorded with the old and the
    /// new fingerprint.
    ///
    /// # Errors
    /// [`TrustError`] names the file, the place in it and the expected form.
    pub fn snapshot(&self, namespace: Option<&Namespace>) -> Result<Arc<Snapshot>, TrustError> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let own = namespace.and_then(|name| search::of_namespace(&self.settings.namespaces, name));
        let whose = own.as_ref().and_then(|_path| namespace.cloned());
        if whose.is_none() && namespace.is_some() {
            // Its policy was removed: one that is put there later must be good by itself.
            last.remove(&namespace.cloned());
        }
        match self.read(own, last.get(&whose)) {
            Ok(current) => {
                if let Some(previous) = last.get(&whose).filter(|previous| **previous != current) {
                    tracing::info!(
                        MESSAGE_ID = message_id::POLICY_CHANGED,
                        POLICY_FILE = %current.policy_path.display(),
                        POLICY_HASH = %current.fingerprint,
                        POLICY_HASH_BEFORE = %previous.fingerprint,
                        "policy or registries.d changed: {}",
                        current.policy_path.display()
                    );
                }
                let changed = last.get(&whose) != Some(&current);
                self.metrics.read(whose.is_none(), changed);
                last.insert(whose, Arc::clone(&current));
                Ok(current)
            }
            Err(error) => match self.last_good(whose.as_ref(), &last) {
                Some(good) => {
                    let text = chain(&error);
                    tracing::error!(
                        MESSAGE_ID = message_id::POLICY_UNUSABLE,
                        POLICY_HASH = %good.fingerprint,
                        "keep_last_good leaves the last policy in force: {}",
                        printable(&text)
                    );
                    Ok(good)
                }
                None => Err(error),
            },
        }
    }

    /// What is in force although it cannot be read any more.
    fn last_good(
        &self,
        whose: Option<&Namespace>,
        last: &BTreeMap<Option<Namespace>, Arc<Snapshot>>,
    ) -> Option<Arc<Snapshot>> {
        self.metrics.unusable(whose.is_none());
        last.get(&whose.cloned()).filter(|_| self.settings.keep_last_good).cloned()
    }

    /// The node's policy and those of namespaces as they are now, without the ones that cannot be used.
    #[must_use]
    pub fn usable(&self) -> Vec<Arc<Snapshot>> {
        let namespaces = search::namespaces(&self.settings.namespaces);
        [None]
            .into_iter()
            .chain(namespaces.into_iter().map(Some))
            .filter_map(|namespace| self.snapshot(namespace.as_ref()).ok())
            .collect()
    }

    /// Reads the policy of the namespace, if that has one, or else the node's.
    fn read(
        &self,
        own: Option<PathBuf>,
        last: Option<&Arc<Snapshot>>,
    ) -> Result<Arc<Snapshot>, TrustError> {
        let policy_path = own.map_or_else(|| self.settings.policy_path(), Ok)?;
        let policy = file::read(&policy_path, limits::CONFIGURATION_BYTES)?;
        let registries_d = search::registries_d(self.settings.registries_d.as_deref())?;

        let mut fingerprint = fingerprint(&policy_path, &policy, &registries_d);
        if self.settings.digest_bound {
            // What was decided without the switch is not what is decided with it.
            fingerprint = Digest::sha256(format!("digest_bound {fingerprint}").as_bytes());
        }
        if let Some(same) = last.filter(|last| last.fingerprint == fingerprint) {
            return Ok(Arc::clone(same));
        }
        let lookaside = parse_lookaside(&registries_d)?;
        for key in lookaside.unknown_keys() {
            tracing::warn!("registries.d: {}", printable(&key.to_string()));
        }
        let policy = Policy::parse(&policy, self.settings.dialect(&policy_path))
            .map_err(|source| TrustError::Policy { path: policy_path.clone(), source })?;
        let policy =
            if self.settings.digest_bound { policy.accepting_digest_bound() } else { policy };
        if let Some(path) = policy.relative_paths().first() {
            let path = path.to_path_buf();
            return Err(TrustError::RelativePath { policy: policy_path, path });
        }
        Ok(Arc::new(Snapshot { policy, policy_path, lookaside, fingerprint }))
    }
}

fn fingerprint(path: &Path, policy: &[u8], registries_d: &[(String, Vec<u8>)]) -> Digest {
    let policy_name = path.display().to_string();
    let files = registries_d.iter().map(|(name, content)| (name.as_str(), content.as_slice()));
    let listing: String = std::iter::once((policy_name.as_str(), policy))
        .chain(files)
        .map(|(name, content)| format!("{} {name}\n", Digest::sha256(content)))
        .collect();
    Digest::sha256(listing.as_bytes())
}

/// Why there is no usable policy.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// A file cannot be read or must not be trusted.
    #[error(transparent)]
    File(#[from] FileError),
    /// registries.d is invalid.
    #[error(transparent)]
    Lookaside(#[from] LookasideError),
    /// No policy.json anywhere.
    #[error("no policy.json: create one of {}", searched.join(", "))]
    NoPolicy {
        /// The paths that were tried.
        searched: Vec<&'static str>,
    },
    /// policy.json is invalid.
    #[error("{}", path.display())]
    Policy {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: PolicyError,
    },
    /// A daemon has no working directory that an admin would think of.
    #[error("{}: the path `{}` is relative, write it from the root", policy.display(), path.display())]
    RelativePath {
        /// The policy that names it.
        policy: PathBuf,
        /// The path in it.
        path: PathBuf,
    },
}

#[cfg(test)]
mod tests;
