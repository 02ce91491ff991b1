//! HTTP clients: TLS settings, proxies from the environment, redirects that keep the transport's
//! security.

mod nobody;

use std::time::Duration;

use reqwest::redirect::Policy;
use reqwest::tls::{Certificate, Identity};
use reqwest::{Client, ClientBuilder, StatusCode, Url};

/// Most redirects that are followed for one request, as in Go's HTTP client.
const REDIRECTS: usize = 10;

/// Longest wait for a connection where nothing else is configured: containerd's default.
const DIAL_TIMEOUT: Duration = Duration::from_secs(30);

/// How a peer is reached and authenticated. Equal settings share one connection pool.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Tls {
    /// PEM files' contents with certificate authorities trusted besides those of the system.
    pub authorities: Vec<Vec<u8>>,
    /// A PEM file's content with a client certificate and its key.
    pub identity: Option<Vec<u8>>,
    /// Whether the peer's certificate is not verified.
    pub skip_verify: bool,
    /// Longest wait for a connection.
    pub dial_timeout: Option<Duration>,
}

impl Tls {
    /// A client with these settings. `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY` apply.
    ///
    /// # Errors
    /// The cause, if a certificate or key cannot be used.
    pub fn client(&self) -> Result<Client, reqwest::Error> {
        // An error says that a provider is installed already.
        drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
        let mut authorities = Vec::new();
        for pem in &self.authorities {
            authorities.extend(Certificate::from_pem_bundle(pem)?);
        }
        let mut builder = self
            .builder()
            .tls_certs_merge(authorities)
            .tls_danger_accept_invalid_certs(self.skip_verify);
        if let Some(pem) = &self.identity {
            builder = builder.identity(Identity::from_pem(pem)?);
        }
        match builder.build() {
            // The system has no authorities. http needs none, and https can say so when it is wanted.
            Err(cause) if self.authorities.is_empty() && self.identity.is_none() => {
                self.builder().tls_backend_preconfigured(nobody::trusted(&cause)).build()
            }
            outcome => outcome,
        }
    }

    fn builder(&self) -> ClientBuilder {
        Client::builder()
            .user_agent(concat!("pullgate/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(self.dial_timeout.unwrap_or(DIAL_TIMEOUT))
            .redirect(Policy::custom(|attempt| {
                if attempt.previous().len() > REDIRECTS {
                    return attempt.error(RedirectRefused::TooMany);
                }
                let from_https =
                    attempt.previous().last().is_some_and(|url| url.scheme() == "https");
                if from_https && attempt.url().scheme() != "https" {
                    return attempt.error(RedirectRefused::Downgrade);
                }
                // Where a registry has no list of referrers, the request may be sent on to a web page: to
                // nobody that the admin has named.
                let list = |url: &Url| url.path().contains("/referrers/");
                if attempt.status() == StatusCode::SEE_OTHER && attempt.previous().iter().any(list)
                {
                    return attempt.stop();
                }
                attempt.follow()
            }))
    }
}

/// Why a redirect was not followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RedirectRefused {
    /// From https to http.
    #[error("redirected from https to http")]
    Downgrade,
    /// A loop, or as good as one.
    #[error("redirected more than {REDIRECTS} times")]
    TooMany,
}
