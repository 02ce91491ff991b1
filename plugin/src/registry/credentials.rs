//! What a pull request brings along to prove who asks.

use std::fmt;

/// The `AuthConfig` of a `PullImage` request, as sent. `registry_token` is not among its fields:
/// containerd ignores it (containerd-handoff.md 5).
#[derive(Clone, Default)]
pub struct AuthConfig {
    /// `username`.
    pub username: String,
    /// `password`.
    pub password: String,
    /// `auth`: base64 of `username:password`.
    pub auth: String,
    /// `server_address`: the only registry that may see the rest, if set.
    pub server_address: String,
    /// `identity_token`.
    pub identity_token: String,
}

impl fmt::Debug for AuthConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AuthConfig")
    }
}

/// Credentials of one pull. Their `Debug` is empty.
#[derive(Clone, Default)]
pub struct Credentials {
    sent: AuthConfig,
}

impl Credentials {
    /// Takes what the request brought.
    #[must_use]
    pub const fn new(sent: AuthConfig) -> Self {
        Self { sent }
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials")
    }
}
