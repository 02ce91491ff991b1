//! Lists of requirements, and the requirement types apart from `sigstoreSigned`.

use std::collections::BTreeSet;
use std::path::Path;

use super::Dialect;
use super::error::PolicyError;
use super::identity::{optional_identity, parse_identity};
use super::sigstore::{DigestBound, SigstoreSigned};
use super::source::{Form, Source};
use crate::identity::SignedIdentity;
use crate::strict::{Node, Object};

/// A non-empty list of requirements; an image is accepted only if every one of them accepts it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requirements(Vec<Requirement>);

impl Requirements {
    pub(super) fn parse(node: Node<'_>, dialect: Dialect) -> Result<Self, PolicyError> {
        let requirements = node.list()?.map(|node| Requirement::parse(node, dialect));
        let requirements = requirements.collect::<Result<Vec<_>, _>>()?;
        if requirements.is_empty() {
            return Err(PolicyError::Empty { path: node.path(), expected: "a requirement" });
        }
        Ok(Self(requirements))
    }

    /// The requirements in the order of the file.
    pub fn iter(&self) -> impl Iterator<Item = &Requirement> {
        self.0.iter()
    }

    /// Whether the verdict depends on signatures: false where a requirement that never accepts
    /// stands before the first that looks at signatures.
    #[must_use]
    pub fn needs_signatures(&self) -> bool {
        let decisive =
            self.iter().find(|requirement| **requirement != Requirement::InsecureAcceptAnything);
        match decisive {
            Some(Requirement::SignedBy(_) | Requirement::SigstoreSigned(_)) => true,
            Some(
                Requirement::InsecureAcceptAnything
                | Requirement::Reject
                | Requirement::SignedBaseLayer(_),
            )
            | None => false,
        }
    }

    /// Whether the verdict may depend on signatures of the index, too.
    #[must_use]
    pub fn may_accept_index(&self) -> bool {
        self.iter().any(|requirement| match requirement {
            Requirement::SignedBy(signed) => signed.covers == Covers::PlatformOrIndex,
            Requirement::SigstoreSigned(signed) => signed.covers == Covers::PlatformOrIndex,
            Requirement::InsecureAcceptAnything
            | Requirement::Reject
            | Requirement::SignedBaseLayer(_) => false,
        })
    }

    /// Whether the verdict may depend on bundles.
    #[must_use]
    pub fn may_accept_bundles(&self) -> bool {
        self.iter().any(|requirement| match requirement {
            Requirement::SigstoreSigned(signed) => signed.accepts_bundles(),
            Requirement::InsecureAcceptAnything
            | Requirement::Reject
            | Requirement::SignedBaseLayer(_)
            | Requirement::SignedBy(_) => false,
        })
    }

    /// Whether bundles are signatures to one of the requirements, and none accepts them.
    #[must_use]
    pub fn passes_bundles_over(&self) -> bool {
        let sigstore = |it: &Requirement| matches!(it, Requirement::SigstoreSigned(_));
        self.iter().any(sigstore) && !self.may_accept_bundles()
    }

    pub(super) fn accept_digest_bound(&mut self) {
        for requirement in &mut self.0 {
            if let Requirement::SigstoreSigned(signed) = requirement {
                signed.digest_bound.get_or_insert(DigestBound::OwnRepository);
            }
        }
    }

    /// Every key and certificate file that the requirements name.
    #[must_use]
    pub fn files(&self) -> BTreeSet<&Path> {
        self.iter().flat_map(Requirement::sources).flat_map(Source::paths).collect()
    }
}

/// One requirement of policy.json.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Requirement {
    /// `insecureAcceptAnything`.
    InsecureAcceptAnything,
    /// `reject`.
    Reject,
    /// `signedBaseLayer`, which containers/image parses and never satisfies.
    SignedBaseLayer(SignedIdentity),
    /// `signedBy`: OpenPGP simple signing.
    SignedBy(SignedBy),
    /// `sigstoreSigned`.
    SigstoreSigned(Box<SigstoreSigned>),
}

impl Requirement {
    fn parse(node: Node<'_>, dialect: Dialect) -> Result<Self, PolicyError> {
        let object = node.object()?;
        match object.require("type")?.string()? {
            "insecureAcceptAnything" => {
                object.only(&["type"])?;
                Ok(Self::InsecureAcceptAnything)
            }
            "reject" => {
                object.only(&["type"])?;
                Ok(Self::Reject)
            }
            "signedBaseLayer" => {
                let object = object.only(&["type", "baseLayerIdentity"])?;
                parse_identity(object.require("baseLayerIdentity")?).map(Self::SignedBaseLayer)
            }
            "signedBy" => SignedBy::parse(object, dialect).map(Self::SignedBy),
            "sigstoreSigned" => {
                SigstoreSigned::parse(object, dialect).map(Box::new).map(Self::SigstoreSigned)
            }
            found => Err(PolicyError::unknown(
                object.require("type")?.path(),
                found,
                &[
                    "insecureAcceptAnything",
                    "reject",
                    "signedBaseLayer",
                    "signedBy",
                    "sigstoreSigned",
                ],
            )),
        }
    }

    /// Its type, as it is written in policy.json.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::InsecureAcceptAnything => "insecureAcceptAnything",
            Self::Reject => "reject",
            Self::SignedBaseLayer(_) => "signedBaseLayer",
            Self::SignedBy(_) => "signedBy",
            Self::SigstoreSigned(_) => "sigstoreSigned",
        }
    }

    /// Where the keys and certificates that it trusts come from.
    #[must_use]
    pub fn sources(&self) -> Vec<&Source> {
        match self {
            Self::InsecureAcceptAnything | Self::Reject | Self::SignedBaseLayer(_) => Vec::new(),
            Self::SignedBy(signed_by) => vec![&signed_by.keys],
            Self::SigstoreSigned(signed) => signed.root.sources(),
        }
    }
}

/// `signedBy`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedBy {
    /// `keyType`.
    pub key_type: KeyType,
    /// `keyPath`, `keyPaths` or `keyData`.
    pub keys: Source,
    /// `signedIdentity`.
    pub identity: SignedIdentity,
    /// `signedManifest`.
    pub covers: Covers,
}

/// `signedManifest`, of pullgate's own files: which document of an image a signature may be for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Covers {
    /// `platform`, the default and the rule of containers/image: the manifest that runs.
    Platform,
    /// `platformOrIndex`: also the index that lists it, which most tools sign alone.
    PlatformOrIndex,
}

impl Covers {
    pub(super) fn parse(object: &Object<'_>) -> Result<Self, PolicyError> {
        let Some(node) = object.get("signedManifest") else { return Ok(Self::Platform) };
        match node.string()? {
            "platform" => Ok(Self::Platform),
            "platformOrIndex" => Ok(Self::PlatformOrIndex),
            found => {
                Err(PolicyError::unknown(node.path(), found, &["platform", "platformOrIndex"]))
            }
        }
    }
}

impl SignedBy {
    fn parse(object: Object<'_>, dialect: Dialect) -> Result<Self, PolicyError> {
        const KEYS: &[(&str, Form)] =
            &[("keyPath", Form::Path), ("keyPaths", Form::Paths), ("keyData", Form::Data)];
        const MEMBERS: &[&str] = &[
            "type",
            "keyType",
            "keyPath",
            "keyPaths",
            "keyData",
            "signedIdentity",
            "signedManifest",
        ];
        let object = object.only(dialect.members(MEMBERS, "signedManifest"))?;
        Ok(Self {
            key_type: KeyType::parse(object.require("keyType")?)?,
            keys: Source::require(&object, KEYS)?,
            identity: optional_identity(&object)?,
            covers: Covers::parse(&object)?,
        })
    }
}

/// `keyType`. Only `GPGKeys` verifies anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyType {
    /// `GPGKeys`.
    GpgKeys,
    /// `signedByGPGKeys`.
    SignedByGpgKeys,
    /// `signedByX509CAs`.
    SignedByX509Cas,
    /// `X509Certificates`.
    X509Certificates,
}

impl KeyType {
    fn parse(node: Node<'_>) -> Result<Self, PolicyError> {
        const NAMES: &[&str] =
            &["GPGKeys", "signedByGPGKeys", "signedByX509CAs", "X509Certificates"];
        let found = node.string()?;
        [Self::GpgKeys, Self::SignedByGpgKeys, Self::SignedByX509Cas, Self::X509Certificates]
            .into_iter()
            .find(|known| known.name() == found)
            .ok_or_else(|| PolicyError::unknown(node.path(), found, NAMES))
    }

    /// The value as it is written in policy.json.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::GpgKeys => "GPGKeys",
            Self::SignedByGpgKeys => "signedByGPGKeys",
            Self::SignedByX509Cas => "signedByX509CAs",
            Self::X509Certificates => "X509Certificates",
        }
    }
}
