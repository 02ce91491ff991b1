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

/// `sigstoreSigned`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SigstoreSigned {
    /// Whom to trust.
    pub root: TrustRoot,
    /// `signedIdentity`.
    pub identity: SignedIdentity,
    /// `signedManifest`.
    pub covers: Covers,
}

impl SigstoreSigned {
    pub(super) fn parse(object: Object<'_>, dialect: Dialect) -> Result<Self, PolicyError> {
        let object = object.only(dialect.members(MEMBERS, "signedManifest"))?;
        Ok(Self {
            root: TrustRoot::parse(&object, dialect)?,
            identity: optional_identity(&object)?,
            covers: Covers::parse(&object)?,
        })
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
    "signedManifest",
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
}

impl TrustRoot {
    fn parse(object: &Object<'_>, dialect: Dialect) -> Result<Self, PolicyError> {
        let keys = Source::optional(object, KEYS)?;
        let rekor = Source::optional(object, REKOR)?;
        let path = || object.path();
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

    pub(super) fn sources(&self) -> Vec<&Source> {
        match self {
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
    /// `oidcIssuer`.
    pub oidc_issuer: String,
    /// Whom the provider must have vouched for.
    pub account: Account,
}

impl Fulcio {
    fn parse(node: Node<'_>, dialect: Dialect) -> Result<Self, PolicyError> {
        const CA: &[(&str, Form)] = &[("caPath", Form::Path), ("caData", Form::Data)];
        const MEMBERS: &[&str] =
            &["caPath", "caData", "oidcIssuer", "subjectEmail", "subjectURI", "subjectURIPattern"];
        let object = node.object()?.only(dialect.members(MEMBERS, "subjectURI"))?;
        Ok(Self {
            ca: Source::require(&object, CA)?,
            oidc_issuer: non_empty(object.require("oidcIssuer")?, "an issuer")?,
            account: Account::parse(&object)?,
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
