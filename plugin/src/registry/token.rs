//! Registry authentication: the challenge of a 401, and the token flow that answers it (distribution
//! spec, "Token Authentication"; containerd's authorizer).

use std::collections::BTreeSet;
use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use reqwest::header::{HeaderMap, WWW_AUTHENTICATE};
use reqwest::{Client, RequestBuilder, StatusCode};
use serde::Deserialize;
use url::{Host as UrlHost, Url};

use super::credentials::Secret;
use super::error::TokenError;

/// Largest answer of a token server: `iolimits.MaxAuthTokenBodySize` of containers/image.
const TOKEN_BYTES: usize = 1 << 20;

/// What a 401 asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Challenge {
    /// User name and password.
    Basic,
    /// A token from `realm`.
    Bearer {
        /// The token server.
        realm: String,
        /// Whom the token is for.
        service: Option<String>,
        /// What the token is to allow.
        scopes: BTreeSet<String>,
    },
}

impl Challenge {
    /// The best challenge among the headers of a 401: Bearer before Basic.
    pub(super) fn parse(headers: &HeaderMap) -> Option<Self> {
        let values =
            || headers.get_all(WWW_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok());
        let bearer = values().find_map(|value| {
            let parameters = parameters(strip_scheme(value, "bearer")?);
            let find = |name: &str| {
                let found = parameters.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
                found.map(|(_, value)| value.clone())
            };
            let scopes = find("scope").unwrap_or_default();
            Some(Self::Bearer {
                realm: find("realm")?,
                service: find("service"),
                scopes: scopes.split_whitespace().map(str::to_owned).collect(),
            })
        });
        let basic = || values().any(|value| strip_scheme(value, "basic").is_some());
        bearer.or_else(|| basic().then_some(Self::Basic))
    }
}

fn strip_scheme<'a>(value: &'a str, scheme: &str) -> Option<&'a str> {
    let (found, rest) = value.split_once(' ').unwrap_or((value, ""));
    found.eq_ignore_ascii_case(scheme).then_some(rest)
}

/// `key="value"` pairs, separated by commas; a value may be unquoted.
fn parameters(text: &str) -> Vec<(String, String)> {
    let mut pairs = Vec::new();
    let mut rest = text.trim();
    while let Some((key, after)) = rest.split_once('=') {
        let (value, left) = match after.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
            None => after.split_once(',').unwrap_or((after, "")),
        };
        pairs.push((key.trim_matches([' ', ',']).to_owned(), value.trim().to_owned()));
        rest = left.trim_start_matches([',', ' ']);
    }
    pairs
}

/// The `Authorization` header that sends `secret` itself.
pub(super) fn basic(secret: &Secret) -> Option<HeaderValue> {
    let encoded = STANDARD.encode(format!("{}:{}", secret.user, secret.password));
    sensitive(format!("Basic {encoded}"))
}

fn sensitive(text: String) -> Option<HeaderValue> {
    let mut value = HeaderValue::try_from(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// A request for a token.
#[derive(Debug)]
pub(super) struct TokenRequest<'a> {
    pub(super) realm: Url,
    pub(super) service: Option<&'a str>,
    pub(super) scopes: &'a BTreeSet<String>,
    pub(super) secret: Option<&'a Secret>,
}

impl<'a> TokenRequest<'a> {
    /// A request to the realm of a challenge, if a registry at `endpoint` may name that realm.
    ///
    /// A registry may use a token server of any name, so its name proves nothing. What is refused is
    /// what no honest registry does: leaving https, and pointing a public registry's clients at an
    /// address inside the node's own network (CVE-2019-10214, CVE-2026-48978).
    pub(super) fn new(
        endpoint: &Url,
        realm: &str,
        service: Option<&'a str>,
        scopes: &'a BTreeSet<String>,
        secret: Option<&'a Secret>,
    ) -> Result<Self, TokenError> {
        let refused = || TokenError::Realm {
            realm: realm.to_owned(),
            endpoint: endpoint.host_str().unwrap_or_default().to_owned(),
        };
        let realm = Url::parse(realm).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
        let realm = realm.ok_or_else(refused)?;
        let downgrade = endpoint.scheme() == "https" && realm.scheme() != "https";
        let inwards = is_inside(&realm) && !is_inside(endpoint);
        if downgrade || inwards {
            return Err(refused());
        }
        Ok(Self { realm, service, scopes, secret })
    }

    /// Fetches the token: OAuth2 with a secret, and where the server does not know OAuth2, or without a
    /// secret, the plain GET.
    pub(super) async fn send(&self, client: &Client) -> Result<HeaderValue, TokenError> {
        if let Some(secret) = self.secret {
            let answer = self.fetch(self.oauth(client, secret)).await;
            let unknown = matches!(
                &answer,
                Err(TokenError::Status(
                    StatusCode::BAD_REQUEST
                        | StatusCode::UNAUTHORIZED
                        | StatusCode::NOT_FOUND
                        | StatusCode::METHOD_NOT_ALLOWED
                ))
            );
            if !unknown {
                return answer;
            }
        }
        self.fetch(self.plain(client)).await
    }

    fn oauth(&self, client: &Client, secret: &Secret) -> RequestBuilder {
        let scopes = self.scopes.iter().map(String::as_str).collect::<Vec<_>>().join(" ");
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        form.append_pair("client_id", "containerd-client").append_pair("scope", &scopes);
        if let Some(service) = self.service {
            form.append_pair("service", service);
        }
        if secret.user.is_empty() {
            form.append_pair("grant_type", "refresh_token");
            form.append_pair("refresh_token", &secret.password);
        } else {
            form.append_pair("grant_type", "password").append_pair("username", &secret.user);
            form.append_pair("password", &secret.password);
        }
        client
            .post(self.realm.clone())
            .header(http::header::CONTENT_TYPE, "application/x-www-form-urlencoded; charset=utf-8")
            .body(form.finish())
    }

    fn plain(&self, client: &Client) -> RequestBuilder {
        let mut url = self.realm.clone();
        if let Some(service) = self.service {
            url.query_pairs_mut().append_pair("service", service);
        }
        for scope in self.scopes {
            url.query_pairs_mut().append_pair("scope", scope);
        }
        let request = client.get(url);
        match self.secret.and_then(basic) {
            Some(value) => request.header(http::header::AUTHORIZATION, value),
            None => request,
        }
    }

    async fn fetch(&self, request: RequestBuilder) -> Result<HeaderValue, TokenError> {
        let transport = |error: reqwest::Error| TokenError::Transport(error.without_url());
        let mut answer = request.send().await.map_err(transport)?;
        if !answer.status().is_success() {
            return Err(TokenError::Status(answer.status()));
        }
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(transport)? {
            body.extend_from_slice(&chunk);
            if body.len() > TOKEN_BYTES {
                return Err(TokenError::TooLarge { limit: TOKEN_BYTES });
            }
        }
        let token: Token = serde_json::from_slice(&body).map_err(TokenError::Answer)?;
        let token = token.access_token.or(token.token).ok_or(TokenError::Challenge)?;
        sensitive(format!("Bearer {token}")).ok_or(TokenError::Challenge)
    }
}

#[derive(Deserialize)]
struct Token {
    token: Option<String>,
    access_token: Option<String>,
}

/// Whether a URL names an address that is not on the public internet.
fn is_inside(url: &Url) -> bool {
    let address: IpAddr = match url.host() {
        Some(UrlHost::Domain(name)) => return name == "localhost" || name.ends_with(".localhost"),
        Some(UrlHost::Ipv4(address)) => address.into(),
        Some(UrlHost::Ipv6(address)) => {
            address.to_ipv4_mapped().map_or_else(|| address.into(), IpAddr::V4)
        }
        None => return false,
    };
    match address {
        IpAddr::V4(v4) => {
            v4.is_loopback() || v4.is_private() || v4.is_link_local() || v4.is_unspecified()
        }
        IpAddr::V6(v6) => {
            v6.is_loopback()
                || v6.is_unique_local()
                || v6.is_unicast_link_local()
                || v6.is_unspecified()
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use reqwest::header::{HeaderMap, WWW_AUTHENTICATE};
    use url::Url;

    use super::{Challenge, TokenRequest};

    #[test]
    fn challenges_are_read() {
        let bearer = |realm: &str, service: Option<&str>, scopes: &[&str]| {
            Some(Challenge::Bearer {
                realm: realm.to_owned(),
                service: service.map(str::to_owned),
                scopes: scopes.iter().map(|&scope| scope.to_owned()).collect(),
            })
        };
        let hub = r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:library/a:pull""#;
        for (headers, expected) in [
            (
                &[hub][..],
                bearer(
                    "https://auth.docker.io/token",
                    Some("registry.docker.io"),
                    &["repository:library/a:pull"],
                ),
            ),
            (
                &["Basic realm=\"x\"", "bearer realm=https://t.example/"],
                bearer("https://t.example/", None, &[]),
            ),
            (
                &[r#"Bearer realm="https://t.example/", scope="a:b:pull,push c:d:*""#],
                bearer("https://t.example/", None, &["a:b:pull,push", "c:d:*"]),
            ),
            (&["Basic realm=\"x\""], Some(Challenge::Basic)),
            (&["basic"], Some(Challenge::Basic)),
            (&["Bearer service=\"x\""], None),
            (&["Negotiate"], None),
            (&["Bearer realm=\"unterminated"], bearer("unterminated", None, &[])),
            (&[""], None),
        ] {
            let mut map = HeaderMap::new();
            for header in headers {
                map.append(WWW_AUTHENTICATE, header.parse().unwrap());
            }
            assert_eq!(Challenge::parse(&map), expected, "{headers:?}");
        }
    }

    #[test]
    fn credentials_stay_where_they_belong() {
        for (endpoint, realm, allowed) in [
            ("https://registry-1.docker.io/v2", "https://auth.docker.io/token", true),
            ("https://r.example/v2", "http://r.example/token", false),
            ("https://r.example/v2", "https://127.0.0.1/token", false),
            ("https://r.example/v2", "https://169.254.169.254/token", false),
            ("https://r.example/v2", "https://[::ffff:10.0.0.1]/token", false),
            ("https://r.example/v2", "https://localhost/token", false),
            ("https://10.0.0.7/v2", "https://10.0.0.8/token", true),
            ("http://127.0.0.1:5000/v2", "http://127.0.0.1:5001/token", true),
            ("https://r.example/v2", "file:///etc/passwd", false),
            ("https://r.example/v2", "token", false),
        ] {
            let scopes = BTreeSet::new();
            let request =
                TokenRequest::new(&Url::parse(endpoint).unwrap(), realm, None, &scopes, None);
            assert_eq!(request.is_ok(), allowed, "{realm} for {endpoint}");
        }
    }
}
