//! Whom a certificate names, and whom the policy wants it to name.

use std::fmt;

use rustls_pki_types::ServerName;
use webpki::EndEntityCert;
use x509_cert::Certificate;
use x509_cert::der::Decode as _;
use x509_cert::der::asn1::{ObjectIdentifier, Utf8StringRef};
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;

use super::certificate::{CertificateError, der};
use crate::document::Account;
use crate::strict::excerpt;

/// Fulcio's issuer extensions: a raw string, and its successor in DER.
const ISSUER_V1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.57264.1.1");
const ISSUER_V2: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.57264.1.8");

/// Whom a certificate must name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// An account at an OpenID provider, as Fulcio writes it.
    Account {
        /// The provider.
        issuer: String,
        /// The account there.
        account: Account,
    },
    /// A mail address, a host name, or both.
    Named {
        /// The mail address.
        email: Option<String>,
        /// The host name.
        hostname: Option<String>,
    },
}

impl Subject {
    pub(super) fn named_by(&self, leaf: &Certificate) -> Result<(), CertificateError> {
        match self {
            Self::Account { issuer: expected, account } => {
                let found = issuer(leaf)?;
                if found != *expected {
                    let (found, expected) = (excerpt(&found), expected.clone());
                    return Err(CertificateError::Issuer { found, expected });
                }
                match account {
                    Account::Email(email) => has_email(leaf, email),
                    Account::Uri(uri) => has_uri(leaf, uri, |found| found == uri),
                    Account::UriPattern(pattern) => {
                        has_uri(leaf, pattern.as_str(), |found| pattern.matches(found))
                    }
                }
            }
            Self::Named { email, hostname } => {
                if let Some(email) = email {
                    has_email(leaf, email)?;
                }
                hostname.as_ref().map_or(Ok(()), |hostname| has_hostname(leaf, hostname))
            }
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Account { issuer, account } => {
                let name = match account {
                    Account::Email(name) | Account::Uri(name) => name,
                    Account::UriPattern(pattern) => pattern.as_str(),
                };
                write!(f, "{name} ({issuer})")
            }
            Self::Named { email: Some(email), hostname: Some(host) } => write!(f, "{email} {host}"),
            Self::Named { email: Some(name), hostname: None }
            | Self::Named { email: None, hostname: Some(name) } => f.write_str(name),
            Self::Named { email: None, hostname: None } => f.write_str("anyone"),
        }
    }
}

/// The OpenID provider that vouched to Fulcio.
///
/// # Errors
/// [`CertificateError`] unless exactly one provider is named.
pub fn issuer(leaf: &Certificate) -> Result<String, CertificateError> {
    let extensions = leaf.tbs_certificate.extensions.as_deref().unwrap_or_default();
    let one = |oid| {
        let mut values = extensions.iter().filter(|extension| extension.extn_id == oid);
        match (values.next(), values.next()) {
            (_, Some(_)) => Err(CertificateError::IssuerTwice),
            (value, None) => Ok(value.map(|extension| extension.extn_value.as_bytes())),
        }
    };
    let first = one(ISSUER_V1)?.map(|raw| String::from_utf8_lossy(raw).into_owned());
    let second = one(ISSUER_V2)?.map(Utf8StringRef::from_der).transpose()?;
    let second = second.map(|text| text.as_str().to_owned());
    match (first, second) {
        (Some(first), Some(second)) if first != second => Err(CertificateError::IssuerTwice),
        (_, Some(issuer)) | (Some(issuer), None) => Ok(issuer),
        (None, None) => Err(CertificateError::NoIssuer),
    }
}

fn has_email(leaf: &Certificate, expected: &str) -> Result<(), CertificateError> {
    let email = |name: &GeneralName| {
        let GeneralName::Rfc822Name(email) = name else { return None };
        Some(email.as_str().to_owned())
    };
    has_name(leaf, expected, email, |found| found == expected)
}

fn has_uri(
    leaf: &Certificate,
    expected: &str,
    matches: impl Fn(&str) -> bool,
) -> Result<(), CertificateError> {
    let uri = |name: &GeneralName| {
        let GeneralName::UniformResourceIdentifier(uri) = name else { return None };
        Some(uri.as_str().to_owned())
    };
    has_name(leaf, expected, uri, matches)
}

/// Whether one of the names that `kind` picks matches.
fn has_name(
    leaf: &Certificate,
    expected: &str,
    kind: impl Fn(&GeneralName) -> Option<String>,
    matches: impl Fn(&str) -> bool,
) -> Result<(), CertificateError> {
    let found: Vec<String> = names(leaf)?.iter().filter_map(kind).collect();
    if found.iter().any(|name| matches(name)) {
        return Ok(());
    }
    let found = excerpt(&found.join(", "));
    Err(CertificateError::Subject { found, expected: expected.to_owned() })
}

fn has_hostname(leaf: &Certificate, expected: &str) -> Result<(), CertificateError> {
    let mismatch = |found| CertificateError::Subject { found, expected: expected.to_owned() };
    let name = ServerName::try_from(expected)
        .map_err(|_no_name| mismatch("names that the policy's text cannot match".to_owned()))?;
    let der = der(leaf)?;
    EndEntityCert::try_from(&der)
        .and_then(|leaf| leaf.verify_is_valid_for_subject_name(&name))
        .map_err(|error| mismatch(error.to_string()))
}

fn names(leaf: &Certificate) -> Result<Vec<GeneralName>, CertificateError> {
    let found = leaf.tbs_certificate.get::<SubjectAltName>()?;
    Ok(found.map(|(_critical, names)| names.0).unwrap_or_default())
}
