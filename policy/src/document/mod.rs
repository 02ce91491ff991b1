//! policy.json: the complete grammar of containers-policy.json(5) (policy-semantics.md 1.2 to 1.4).
//!
//! Everything that containers/image refuses is refused here. What it accepts by accident, such as an
//! empty `rekorPublicKeyPath` that silently switches the transparency log off, is refused too.

mod error;
mod identity;
mod requirement;
mod sigstore;
mod source;
mod transport;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

pub use error::PolicyError;
pub use requirement::{Covers, KeyType, Requirement, Requirements, SignedBy};
pub use sigstore::{
    Account, DigestBound, Fulcio, OidcIdentity, Pattern, Pki, SigstoreSigned, TrustRoot,
    TrustedSigner,
};
pub use source::Source;

use crate::reference::PullReference;
use crate::scope;
use crate::strict::{Node, json};

/// The transport that kubelet's references belong to.
const DOCKER: &str = "docker";

/// The scope that speaks for a whole transport.
const WHOLE_TRANSPORT: &str = "";

/// Which members a policy.json may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// Those that podman, skopeo and CRI-O read: they refuse a file with any other.
    Standard,
    /// Those, and what only pullgate knows. For files that nobody else reads.
    Extended,
}

impl Dialect {
    /// Those of `members` that an object may have. `own` is the first that only pullgate knows; all
    /// that follow it are of that kind.
    fn members(
        self,
        members: &'static [&'static str],
        own: &'static str,
    ) -> &'static [&'static str] {
        match self {
            Self::Standard => members.split(|member| *member == own).next().unwrap_or_default(),
            Self::Extended => members,
        }
    }
}

/// A parsed policy.json.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    default: Placed,
    transports: BTreeMap<String, BTreeMap<String, Placed>>,
}

/// Requirements and the key path where they stand.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Placed {
    place: String,
    requirements: Requirements,
}

impl Policy {
    /// Parses the text of a policy.json.
    ///
    /// Relative paths of keys and certificates are accepted; [`Policy::relative_paths`] finds them.
    ///
    /// # Errors
    /// [`PolicyError`] names the key path and the expected form.
    pub fn parse(text: &[u8], dialect: Dialect) -> Result<Self, PolicyError> {
        let document = json(text)?;
        let root = document.root().object()?.only(&["default", "transports"])?;
        let default = Placed::parse(root.require("default")?, dialect)?;
        let mut transports = BTreeMap::new();
        if let Some(node) = root.get("transports") {
            for (name, node) in node.object()?.iter() {
                transports.insert(name.to_owned(), parse_scopes(name, node, dialect)?);
            }
        }
        Ok(Self { default, transports })
    }

    /// The policy in which each `sigstoreSigned` that says nothing about bundles accepts those of the
    /// image's own repository.
    #[must_use]
    pub fn accepting_digest_bound(mut self) -> Self {
        let scoped = self.transports.values_mut().flat_map(BTreeMap::values_mut);
        for placed in scoped.chain([&mut self.default]) {
            placed.requirements.accept_digest_bound();
        }
        self
    }

    /// The requirements that decide about `reference`, and where they stand. The most specific scope
    /// that exists decides alone; requirements are never merged.
    #[must_use]
    pub fn applicable(&self, reference: &PullReference) -> Applicable<'_> {
        let scopes = self.transports.get(DOCKER);
        let chosen = scopes.and_then(|scopes| {
            scope::candidates(reference.reference())
                .iter()
                .find_map(|scope| scopes.get(scope))
                .or_else(|| scopes.get(WHOLE_TRANSPORT))
        });
        let Placed { place, requirements } = chosen.unwrap_or(&self.default);
        Applicable { scope: place, requirements }
    }

    /// The global default.
    #[must_use]
    pub const fn default_requirements(&self) -> &Requirements {
        &self.default.requirements
    }

    /// Every transport, sorted by name.
    pub fn transports(&self) -> impl Iterator<Item = &str> {
        self.transports.keys().map(String::as_str)
    }

    /// Every scope of `transport` and its requirements, sorted by scope.
    pub fn scopes(&self, transport: &str) -> impl Iterator<Item = (&str, &Requirements)> {
        let scopes = self.transports.get(transport).into_iter().flatten();
        scopes.map(|(scope, placed)| (scope.as_str(), &placed.requirements))
    }

    /// Every list of requirements, whatever the transport and scope.
    pub fn all_requirements(&self) -> impl Iterator<Item = &Requirements> {
        let scoped = self.transports.values().flat_map(BTreeMap::values);
        [&self.default].into_iter().chain(scoped).map(|placed| &placed.requirements)
    }

    /// Every key and certificate file that the policy names, whatever the scope.
    #[must_use]
    pub fn files(&self) -> BTreeSet<&Path> {
        self.all_requirements().flat_map(Requirements::files).collect()
    }

    /// The files that are named by a relative path. What such a path means depends on the working
    /// directory, so a daemon refuses it.
    #[must_use]
    pub fn relative_paths(&self) -> BTreeSet<&Path> {
        self.files().into_iter().filter(|path| path.is_relative()).collect()
    }
}

fn parse_scopes(
    transport: &str,
    node: Node<'_>,
    dialect: Dialect,
) -> Result<BTreeMap<String, Placed>, PolicyError> {
    let mut scopes = BTreeMap::new();
    for (scope, node) in node.object()?.iter() {
        transport::parse_scope(transport, scope, node.path())?;
        scopes.insert(scope.to_owned(), Placed::parse(node, dialect)?);
    }
    Ok(scopes)
}

impl Placed {
    fn parse(node: Node<'_>, dialect: Dialect) -> Result<Self, PolicyError> {
        let place = node.path().text();
        Ok(Self { place, requirements: Requirements::parse(node, dialect)? })
    }
}

/// The requirements chosen for one reference.
#[derive(Debug, Clone, Copy)]
pub struct Applicable<'a> {
    /// Where in policy.json they stand: `default` or `transports.docker."example.com/team"`.
    pub scope: &'a str,
    /// What must hold, all of it.
    pub requirements: &'a Requirements,
}

#[cfg(test)]
mod tests;
