//! `sigstoreSigned`.

use regex::Regex;

use super::Dialect;
use super::error::PolicyError;
use super::identity::optional_identity;
use super::requirement::Covers;
use super::source::{Form, Source, non_empty};
use crate::identity::SignedIdentity;
use crate::strict::{Node, Object};

const KEYS: &[(&str, Form)] = &[
    ("keyPath", Form::Path),
    ("keyPaths", Form::Paths),
    ("keyData", Form::Data),
    ("keyDatas", Form::Datas),
];

const REKOR: &[(&str, Form)] = &[
    ("rekorPublicKeyPath", Form::Path),
    ("rekorPublicKeyPaths", Form::Paths),
    ("rekorPublicKeyData", Form::Data),
    ("rekorPublicKeyDatas", Form::Datas),
];

const TRUSTED: &[(&str, Form)] =
    &[("trustedRootPath", Form::Path), ("trustedRootData", Form::Data)];

/// `sigstoreSigned`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SigstoreSigned {
    /// Whom to trust.
    pub root: TrustRoot,
    /// `signedIdentity`.
    pub identity: SignedIdentity,
    /// `signedManifest`.
    pub covers: Covers,
    /// `digestBound`; none where it is not said.
    pub digest_bound: Option<DigestBound>,
}

impl SigstoreSigned {
    /// Whether a bundle, which names no image, can satisfy it.
    #[must_use]
    pub fn accepts_bundles(&self) -> bool {
        self.digest_bound == Some(DigestBound::OwnRepository) && self.identity.is_of_repository()
    }

    pub(super) fn parse(object: Object<'_>, dialect: Dialect) -> Result<Self, PolicyError> {
        let object = object.only(dialect.members(MEMBERS, "digestBound"))?;
        let identity = optional_identity(&object)?;
        let digest_bound = object.get("digestBound").map(DigestBound::parse).transpose()?;
        if digest_bound == Some(DigestBound::OwnRepository) && !identity.is_of_repository() {
            return Err(PolicyError::DigestBoundIdentity { path: object.path() });
        }
        Ok(Self {
            root: TrustRoot::parse(&object, dialect)?,
            identity,
            covers: Covers::parse(&object)?,
            digest_bound,
        })
    }
}

/// `digestBound`, of pullgate's own files: what a signature counts that carries a digest and no name, as
/// cosign 3 makes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DigestBound {
    /// `refused`: nothing, as with containers/image.
    Refused,
    /// `ownRepository`: found in a repository, it speaks for the images of that repository.
    OwnRepository,
}

impl DigestBound {
    fn parse(node: Node<'_>) -> Result<Self, PolicyError> {
        match node.string()? {
            "refused" => Ok(Self::Refused),
            "ownRepository" => Ok(Self::OwnRepository),
            found => Err(PolicyError::unknown(node.path(), found, &["refused", "ownRepository"])),
        }
    }
}

const MEMBERS: &[&str] = &[
    "type",
    "keyPath",
    "keyPaths",
    "keyData",
    "keyDatas",
    "fulcio",
    "pki",
    "rekorPublicKeyPath",
    "rekorPublicKeyPaths",
    "rekorPublicKeyData",
    "rekorPublicKeyDatas",
    "signedIdentity",
    "digestBound",
    "signedManifest",
    "trustedRootData",
    "trustedRootPath",
];

/// What a sigstore signature must lead back to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TrustRoot {
    /// A certificate that Fulcio issued, logged in Rekor.
    Fulcio {
        /// `fulcio`.
        fulcio: Fulcio,
        /// The keys of the transparency log.
        rekor: Source,
    },
    /// A fixed key, and the keys of the transparency log if an entry there is required.
    Keys {
        /// Any of these keys.
        keys: Source,
        /// The keys of the transparency log.
        rekor: Option<Source>,
    },
    /// A certificate of the admin's own PKI.
    Pki(Pki),
    /// A signer, with everything else from a `trusted_root.json`; of pullgate's own files.
    Trusted {
        /// `trustedRootPath` or `trustedRootData`.
        root: Source,
        /// Who must have signed.
        signer: TrustedSigner,
    },
}

/// Who must have signed, where a trusted root names authorities and logs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TrustedSigner {
    /// `fulcio`, without authorities of its own.
    Fulcio(OidcIdentity),
    /// Any of these keys.
    Keys(Source),
}

impl TrustRoot {
    fn parse(object: &Object<'_>, dialect: Dialect) -> Result<Self, PolicyError> {
        let keys = Source::optional(object, KEYS)?;
        let rekor = Source::optional(object, REKOR)?;
        let path = || object.path();
        if let Some(root) = Source::optional(object, TRUSTED)? {
            return Self::trusted(root, keys, rekor.is_some(), object);
        }
        match (keys, object.get("fulcio"), object.get("pki")) {
            (Some(keys), None, None) => Ok(Self::Keys { keys, rekor }),
            (None, Some(node), None) => {
                let fulcio = Fulcio::parse(node, dialect)?;
                let rekor =
                    rekor.ok_or_else(|| PolicyError::FulcioWithoutRekor { path: path() })?;
                Ok(Self::Fulcio { fulcio, rekor })
            }
            (None, None, Some(node)) => match rekor {
                None => Pki::parse(node).map(Self::Pki),
                Some(_) => Err(PolicyError::PkiWithRekor { path: path() }),
            },
            (None, None, None) => Err(PolicyError::NoSource {
                path: path(),
                expected: vec!["keyPath", "keyPaths", "keyData", "keyDatas", "fulcio", "pki"],
            }),
            (Some(_), Some(_), _) => {
                Err(PolicyError::Conflict { path: path(), first: "a key", second: "fulcio" })
            }
            (Some(_), None, Some(_)) => {
                Err(PolicyError::Conflict { path: path(), first: "a key", second: "pki" })
            }
            (None, Some(_), Some(_)) => {
                Err(PolicyError::Conflict { path: path(), first: "fulcio", second: "pki" })
            }
        }
    }

    /// Everything but the signer comes from the trusted root.
    fn trusted(
        root: Source,
        keys: Option<Source>,
        rekor: bool,
        object: &Object<'_>,
    ) -> Result<Self, PolicyError> {
        const FIRST: &str = "a trusted root";
        let conflict = |second| PolicyError::Conflict { path: object.path(), first: FIRST, second };
        if rekor {
            return Err(conflict("a rekorPublicKey member"));
        }
        let signer = match (keys, object.get("fulcio"), object.get("pki")) {
            (_, _, Some(_)) => return Err(conflict("pki")),
            (Some(keys), None, None) => TrustedSigner::Keys(keys),
            (None, Some(node), None) => {
                let object = node.object()?.only(OidcIdentity::MEMBERS)?;
                TrustedSigner::Fulcio(OidcIdentity::parse(&object)?)
            }
            (Some(_), Some(_), None) => {
                let (path, first) = (object.path(), "a key");
                return Err(PolicyError::Conflict { path, first, second: "fulcio" });
            }
            (None, None, None) => {
                return Err(PolicyError::NoSource {
                    path: object.path(),
                    expected: vec!["keyPath", "keyPaths", "keyData", "keyDatas", "fulcio"],
                });
            }
        };
        Ok(Self::Trusted { root, signer })
    }

    pub(super) fn sources(&self) -> Vec<&Source> {
        match self {
            Self::Trusted { root, signer: TrustedSigner::Fulcio(_) } => vec![root],
            Self::Trusted { root, signer: TrustedSigner::Keys(keys) } => vec![root, keys],
            Self::Fulcio { fulcio, rekor } => vec![&fulcio.ca, rekor],
            Self::Keys { keys, rekor } => [keys].into_iter().chain(rekor).collect(),
            Self::Pki(pki) => [&pki.roots].into_iter().chain(&pki.intermediates).collect(),
        }
    }
}

/// `fulcio`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fulcio {
    /// `caPath` or `caData`.
    pub ca: Source,
    /// Whom the certificate must name.
    pub identity: OidcIdentity,
}

impl Fulcio {
    fn parse(node: Node<'_>, dialect: Dialect) -> Result<Self, PolicyError> {
        const CA: &[(&str, Form)] = &[("caPath", Form::Path), ("caData", Form::Data)];
        const MEMBERS: &[&str] =
            &["caPath", "caData", "oidcIssuer", "subjectEmail", "subjectURI", "subjectURIPattern"];
        let object = node.object()?.only(dialect.members(MEMBERS, "subjectURI"))?;
        Ok(Self { ca: Source::require(&object, CA)?, identity: OidcIdentity::parse(&object)? })
    }
}

/// Whom a certificate of Fulcio must name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OidcIdentity {
    /// `oidcIssuer`.
    pub oidc_issuer: String,
    /// Whom the provider must have vouched for.
    pub account: Account,
}

impl OidcIdentity {
    /// What `fulcio` has beside authorities.
    const MEMBERS: &[&str] = &["oidcIssuer", "subjectEmail", "subjectURI", "subjectURIPattern"];

    fn parse(object: &Object<'_>) -> Result<Self, PolicyError> {
        Ok(Self {
            oidc_issuer: non_empty(object.require("oidcIssuer")?, "an issuer")?,
            account: Account::parse(object)?,
        })
    }
}

/// An account at an `OpenID` provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Account {
    /// `subjectEmail`.
    Email(String),
    /// `subjectURI`, of pullgate's own files: a workflow, as the certificate names it.
    Uri(String),
    /// `subjectURIPattern`, of pullgate's own files.
    UriPattern(Pattern),
}

impl Account {
    fn parse(object: &Object<'_>) -> Result<Self, PolicyError> {
        let conflict = |first, second| {
            let path = object.path();
            Err(PolicyError::Conflict { path, first, second })
        };
        match (
            object.get("subjectEmail"),
            object.get("subjectURI"),
            object.get("subjectURIPattern"),
        ) {
            (None, Some(uri), None) => non_empty(uri, "a URI").map(Self::Uri),
            (None, None, Some(pattern)) => Pattern::parse(pattern).map(Self::UriPattern),
            (Some(_), Some(_), _) => conflict("subjectEmail", "subjectURI"),
            (Some(_), None, Some(_)) => conflict("subjectEmail", "subjectURIPattern"),
            (None, Some(_), Some(_)) => conflict("subjectURI", "subjectURIPattern"),
            (_, None, None) => {
                non_empty(object.require("subjectEmail")?, "a mail address").map(Self::Email)
            }
        }
    }
}

/// A regular expression that always has to match the whole text.
#[derive(Debug, Clone)]
pub struct Pattern {
    text: String,
    expression: Regex,
}

impl Pattern {
    /// Parses `^…$`: a pattern that is not anchored would match a stranger's name around ours.
    fn parse(node: Node<'_>) -> Result<Self, PolicyError> {
        const EXPECTED: &str = "a regular expression between ^ and $";
        let text = node.string()?;
        let inner = text.strip_prefix('^').and_then(|rest| rest.strip_suffix('$'));
        // The group keeps `^a|b$` from meaning `^a` or `b$`; the inner part is a pattern by itself, so
        // that it cannot end the group.
        let inner = inner.filter(|inner| Regex::new(inner).is_ok());
        let expression = inner.and_then(|inner| Regex::new(&format!("^(?:{inner})$")).ok());
        match expression {
            Some(expression) => Ok(Self { text: text.to_owned(), expression }),
            None => Err(node.unexpected(EXPECTED).into()),
        }
    }

    /// Whether all of `text` matches.
    #[must_use]
    pub fn matches(&self, text: &str) -> bool {
        self.expression.is_match(text)
    }

    /// The pattern as it is written in policy.json.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Pattern {}

/// `pki`. At least one of mail address and host name is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pki {
    /// `caRootsPath` or `caRootsData`.
    pub roots: Source,
    /// `caIntermediatesPath` or `caIntermediatesData`.
    pub intermediates: Option<Source>,
    /// `subjectEmail`.
    pub subject_email: Option<String>,
    /// `subjectHostname`.
    pub subject_hostname: Option<String>,
}

impl Pki {
    fn parse(node: Node<'_>) -> Result<Self, PolicyError> {
        const ROOTS: &[(&str, Form)] = &[("caRootsPath", Form::Path), ("caRootsData", Form::Data)];
        const INTERMEDIATES: &[(&str, Form)] =
            &[("caIntermediatesPath", Form::Path), ("caIntermediatesData", Form::Data)];
        let object = node.object()?.only(&[
            "caRootsPath",
            "caRootsData",
            "caIntermediatesPath",
            "caIntermediatesData",
            "subjectEmail",
            "subjectHostname",
        ])?;
        let subject =
            |key, expected| object.get(key).map(|node| non_empty(node, expected)).transpose();
        let pki = Self {
            roots: Source::require(&object, ROOTS)?,
            intermediates: Source::optional(&object, INTERMEDIATES)?,
            subject_email: subject("subjectEmail", "a mail address")?,
            subject_hostname: subject("subjectHostname", "a host name")?,
        };
        if pki.subject_email.is_none() && pki.subject_hostname.is_none() {
            return Err(PolicyError::NoSubject { path: object.path() });
        }
        Ok(pki)
    }
}
