//! Where the daemon listens for scrapes.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Where metrics are served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listen {
    /// At a port.
    Tcp(SocketAddr),
    /// At a unix socket.
    Unix(PathBuf),
}

impl Listen {
    /// Parses `127.0.0.1:9…`, `[::1]:9…`, `unix:/path` or `unix:///path`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        match text.strip_prefix("unix:") {
            Some(path) => {
                let path = PathBuf::from(path.strip_prefix("//").unwrap_or(path));
                (path.is_absolute() && path.file_name().is_some()).then_some(Self::Unix(path))
            }
            None => text.parse().ok().map(Self::Tcp),
        }
    }

    /// Whether only this node can reach it.
    pub(super) const fn is_of_this_node(&self) -> bool {
        match self {
            Self::Tcp(address) => address.ip().is_loopback(),
            Self::Unix(_) => true,
        }
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "http://{address}/metrics"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}
