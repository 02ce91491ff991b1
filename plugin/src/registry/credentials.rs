//! The credentials of one pull, with containerd's precedence (`ParseAuth` of its CRI plugin).

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use url::Url;

/// The `AuthConfig` of a PullImage request. `registry_token` is missing on purpose: containerd ignores
/// it.
#[derive(Clone, Default)]
pub struct AuthConfig {
    /// `username`.
    pub username: String,
    /// `password`.
    pub password: String,
    /// `auth`: base64 of `user:password`.
    pub auth: String,
    /// `server_address`: restricts the credentials to that host.
    pub server_address: String,
    /// `identity_token`.
    pub identity_token: String,
}

/// What kubelet sent to authenticate a pull. Its `Debug` is empty.
#[derive(Clone, Default)]
pub struct Credentials {
    secret: Option<Secret>,
    host: Option<String>,
}

/// A user name and a password, or an identity token without a name. Its `Debug` is empty.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Secret {
    pub(super) user: String,
    pub(super) password: String,
}

impl Credentials {
    /// Chooses as containerd does: user name, then identity token, then `auth`.
    ///
    /// # Errors
    /// [`CredentialsError`] for an `auth` that is not base64 of `user:password`.
    pub fn new(config: AuthConfig) -> Result<Self, CredentialsError> {
        let host = match config.server_address.as_str() {
            "" => None,
            // Without a scheme Go finds no host, and containerd then uses no credentials.
            address => {
                Some(Url::parse(address).ok().as_ref().and_then(authority).unwrap_or_default())
            }
        };
        let secret = if !config.username.is_empty() {
            Some(Secret { user: config.username, password: config.password })
        } else if !config.identity_token.is_empty() {
            Some(Secret { user: String::new(), password: config.identity_token })
        } else if config.auth.is_empty() {
            None
        } else {
            Some(decode(&config.auth)?)
        };
        Ok(Self { secret, host })
    }

    /// The secret that may be shown to `host`.
    pub(super) fn for_host(&self, host: &str) -> Option<&Secret> {
        let allowed = self.host.as_ref().is_none_or(|only| only == host);
        self.secret.as_ref().filter(|_| allowed)
    }
}

/// `host[:port]` as written in a URL.
pub(super) fn authority(url: &Url) -> Option<String> {
    let host = url.host_str()?;
    Some(url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}")))
}

fn decode(auth: &str) -> Result<Secret, CredentialsError> {
    let decoded = STANDARD.decode(auth).map_err(CredentialsError::Base64)?;
    let text =
        String::from_utf8(decoded).map_err(|error| CredentialsError::Utf8(error.utf8_error()))?;
    let (user, password) = text.split_once(':').ok_or(CredentialsError::NoColon)?;
    Ok(Secret { user: user.to_owned(), password: password.trim_matches('\0').to_owned() })
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials")
    }
}

impl fmt::Debug for AuthConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AuthConfig")
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// Why credentials cannot be used. The text never contains them.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum CredentialsError {
    /// `auth` is not base64.
    #[error("the pull secret's `auth` is not base64")]
    Base64(#[source] base64::DecodeError),
    /// `auth` has no colon.
    #[error("the pull secret's `auth` is not base64 of user:password")]
    NoColon,
    /// `auth` is not text.
    #[error("the pull secret's `auth` is not UTF-8")]
    Utf8(#[source] std::str::Utf8Error),
}

#[cfg(test)]
mod tests {
    use super::{AuthConfig, Credentials, CredentialsError};

    fn shown(config: AuthConfig, host: &str) -> Option<(String, String)> {
        let credentials = Credentials::new(config).unwrap();
        credentials.for_host(host).map(|secret| (secret.user.clone(), secret.password.clone()))
    }

    fn pair(user: &str, password: &str) -> Option<(String, String)> {
        Some((user.to_owned(), password.to_owned()))
    }

    #[test]
    fn precedence_is_containerds() {
        let all = AuthConfig {
            username: "u".to_owned(),
            password: "p".to_owned(),
            auth: "YTpi".to_owned(),
            identity_token: "t".to_owned(),
            ..AuthConfig::default()
        };
        let token = AuthConfig { username: String::new(), ..all.clone() };
        let auth = AuthConfig { identity_token: String::new(), ..token.clone() };
        assert_eq!(shown(all, "r.example"), pair("u", "p"));
        assert_eq!(shown(token, "r.example"), pair("", "t"));
        assert_eq!(shown(auth, "r.example"), pair("a", "b"));
        assert_eq!(shown(AuthConfig::default(), "r.example"), None);
    }

    #[test]
    fn a_server_address_restricts_the_host() {
        for (address, host, expected) in [
            ("https://r.example", "r.example", true),
            ("https://r.example:5000/v1/", "r.example:5000", true),
            ("https://r.example", "mirror.example", false),
            ("r.example", "r.example", false),
            ("", "anything.example", true),
        ] {
            let config = AuthConfig {
                username: "u".to_owned(),
                server_address: address.to_owned(),
                ..AuthConfig::default()
            };
            assert_eq!(shown(config, host).is_some(), expected, "{address} for {host}");
        }
    }

    #[test]
    fn a_broken_auth_is_refused() {
        let broken = |auth: &str| {
            let config = AuthConfig { auth: auth.to_owned(), ..AuthConfig::default() };
            Credentials::new(config).unwrap_err()
        };
        assert!(matches!(broken("%"), CredentialsError::Base64(_)));
        assert_eq!(broken("YQ=="), CredentialsError::NoColon);
        assert!(matches!(broken("/zo="), CredentialsError::Utf8(_)));
    }

    #[test]
    fn nothing_secret_is_printed() {
        let config = AuthConfig {
            username: "u".to_owned(),
            password: "hush".to_owned(),
            ..AuthConfig::default()
        };
        let credentials = Credentials::new(config.clone()).unwrap();
        assert!(!format!("{config:?}{credentials:?}").contains("hush"));
    }
}
