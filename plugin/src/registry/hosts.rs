//! hosts.toml and the certificate folders of containerd's `config_path`, read strictly: where
//! containerd falls back to the upstream registry, an invalid file is an error here.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use pullgate_policy::lookaside::without_userinfo;
use serde::Deserialize;
use url::{Host as UrlHost, Url};

use super::credentials::authority;
use crate::transport::Tls;

/// A place from which a repository may be fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Host {
    /// The API's root, for example `https://mirror.example/v2`, without a slash at the end.
    pub(super) root: Url,
    /// What it may be used for; nothing said is everything.
    capabilities: Vec<Capability>,
    /// Headers added to each request.
    pub(super) headers: HeaderMap,
    /// How it is reached.
    pub(super) tls: Tls,
    /// Whether it is the registry that the reference names: `server` is, wherever it points; another
    /// host is a mirror.
    pub(super) upstream: bool,
}

impl Host {
    /// Whether it may be used for `capability`.
    pub(super) fn can(&self, capability: Capability) -> bool {
        self.capabilities.is_empty() || self.capabilities.contains(&capability)
    }

    /// Whether its address is the one that references to `domain` have.
    pub(super) fn is_at(&self, domain: &str) -> bool {
        authority(&self.root).is_some_and(|address| {
            address == domain || (domain == "docker.io" && address == "registry-1.docker.io")
        })
    }
}

/// The hosts for the registry `domain`, in the order in which they are tried.
pub(super) fn load(roots: &[PathBuf], domain: &str) -> Result<Vec<Host>, HostsError> {
    let Some(folder) = folder(roots, domain)? else {
        return Ok(vec![upstream(domain, Tls::default())?]);
    };
    let path = folder.join("hosts.toml");
    match std::fs::read_to_string(&path) {
        Ok(text) if !text.trim().is_empty() => parse(&path, &text, domain),
        Ok(_) => Ok(vec![upstream(domain, certificates(&folder)?)?]),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Ok(vec![upstream(domain, certificates(&folder)?)?])
        }
        Err(source) => Err(HostsError::Unreadable { path, source }),
    }
}

/// The addresses that the `text` of a hosts.toml at `path` gives for the registry `domain`, in the order
/// in which they are tried.
///
/// # Errors
/// [`HostsError`] names the key and the expected form.
pub fn addresses(path: &Path, text: &str, domain: &str) -> Result<Vec<Url>, HostsError> {
    Ok(parse(path, text, domain)?.into_iter().map(|host| host.root).collect())
}

/// `host_port_`, `host:port`, then `_default`, in the first root that has one.
fn folder(roots: &[PathBuf], domain: &str) -> Result<Option<PathBuf>, HostsError> {
    let escaped = domain.rsplit_once(':').map(|(host, port)| format!("{host}_{port}_"));
    for root in roots {
        for name in escaped.iter().map(String::as_str).chain([domain, "_default"]) {
            let path = root.join(name);
            match path.metadata() {
                Ok(_) => return Ok(Some(path)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(source) => return Err(HostsError::Unreadable { path, source }),
            }
        }
    }
    Ok(None)
}

/// The registry that the reference names, with containerd's rules for localhost.
fn upstream(domain: &str, mut tls: Tls) -> Result<Host, HostsError> {
    let address = if domain == "docker.io" { "registry-1.docker.io" } else { domain };
    let https = format!("https://{address}/v2");
    let mut root = parse_url(&https)?;
    if is_localhost(&root) {
        match root.port() {
            None => tls.skip_verify = true,
            Some(_) if tls == Tls::default() => root = parse_url(&format!("http://{address}/v2"))?,
            Some(_) => {}
        }
    }
    Ok(Host { root, capabilities: Vec::new(), headers: HeaderMap::new(), tls, upstream: true })
}

fn is_localhost(url: &Url) -> bool {
    match url.host() {
        Some(UrlHost::Domain(name)) => name == "localhost",
        Some(UrlHost::Ipv4(address)) => address.is_loopback(),
        Some(UrlHost::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

fn parse_url(text: &str) -> Result<Url, HostsError> {
    Url::parse(text).map_err(|source| HostsError::Url { url: without_userinfo(text), source })
}

fn parse(path: &Path, text: &str, domain: &str) -> Result<Vec<Host>, HostsError> {
    let invalid = |error: toml::de::Error| {
        let line = error
            .span()
            .map(|span| 1 + text.bytes().take(span.start).filter(|&byte| byte == b'\n').count());
        let place = line.map(|line| format!("line {line}: ")).unwrap_or_default();
        // Its own text quotes the line, which may hold a header's secret.
        let message = error.message().lines().next().unwrap_or_default();
        HostsError::Invalid { path: path.to_owned(), message: format!("{place}{message}") }
    };
    let mut table: toml::Table = text.parse().map_err(invalid)?;
    let hosts = match table.remove("host") {
        Some(hosts) => hosts.try_into::<toml::Table>().map_err(invalid)?,
        None => toml::Table::new(),
    };
    let server: Option<String> =
        table.remove("server").map(toml::Value::try_into).transpose().map_err(invalid)?;

    let file = HostsFile { path };
    let mut parsed = Vec::new();
    for (address, raw) in hosts {
        let raw = raw.try_into::<RawHost>().map_err(invalid)?;
        parsed.push(file.host(&address, raw)?);
    }
    let raw = table.try_into::<RawHost>().map_err(invalid)?;
    let registry = match server.filter(|server| !server.is_empty()) {
        Some(server) => Host { upstream: true, ..file.host(&server, raw)? },
        // containerd takes nothing but the TLS settings of the root from a file without `server`.
        None => upstream(domain, file.tls(&raw)?)?,
    };
    for host in &mut parsed {
        host.upstream = host.root == registry.root || host.is_at(domain);
    }
    parsed.push(registry);
    Ok(parsed)
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawHost {
    #[serde(default)]
    capabilities: Vec<Capability>,
    #[serde(default)]
    ca: Strings,
    #[serde(default)]
    client: Clients,
    skip_verify: Option<bool>,
    #[serde(default)]
    header: BTreeMap<String, Strings>,
    #[serde(default)]
    override_path: bool,
    dial_timeout: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Capability {
    /// Content may be fetched.
    Pull,
    /// Images may be pushed, which pullgate never does.
    Push,
    /// Tags may be resolved.
    Resolve,
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pull => "pull",
            Self::Push => "push",
            Self::Resolve => "resolve",
        })
    }
}

/// A string or a list of strings.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
enum Strings {
    One(String),
    Many(Vec<String>),
}

impl Default for Strings {
    fn default() -> Self {
        Self::Many(Vec::new())
    }
}

impl Strings {
    fn as_slice(&self) -> &[String] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::Many(many) => many,
        }
    }
}

/// A file with certificate and key, a list of such files, or a list of pairs.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
enum Clients {
    One(String),
    Many(Vec<ClientFiles>),
}

#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
enum ClientFiles {
    One(String),
    Pair([String; 2]),
}

impl Default for Clients {
    fn default() -> Self {
        Self::Many(Vec::new())
    }
}

/// The file that is being read, for messages and relative paths.
struct HostsFile<'a> {
    path: &'a Path,
}

impl HostsFile<'_> {
    fn host(&self, address: &str, raw: RawHost) -> Result<Host, HostsError> {
        let with_scheme = if address.starts_with("http") {
            address.to_owned()
        } else {
            format!("https://{address}")
        };
        let mut root = parse_url(&with_scheme)?;
        if !matches!(root.scheme(), "http" | "https") || root.host().is_none() {
            return Err(self.value(&without_userinfo(address), "an http or https URL"));
        }
        // containerd takes the host of the URL and nothing before it.
        if root.set_username("").and_then(|()| root.set_password(None)).is_err() {
            return Err(self.value(&without_userinfo(address), "an http or https URL"));
        }
        let path = root.path().trim_end_matches('/').to_owned();
        let versioned = path.ends_with("/v2") || raw.override_path;
        root.set_path(&if versioned { path } else { format!("{path}/v2") });

        let tls = self.tls(&raw)?;
        let headers = self.headers(&raw)?;
        Ok(Host { root, capabilities: raw.capabilities, headers, tls, upstream: false })
    }

    fn headers(&self, raw: &RawHost) -> Result<HeaderMap, HostsError> {
        let mut headers = HeaderMap::new();
        for (key, values) in &raw.header {
            let name = HeaderName::try_from(key.as_str())
                .map_err(|_not_one| self.value(&format!("header.{key}"), "the name of a header"))?;
            for value in values.as_slice() {
                let value = HeaderValue::try_from(value.as_str()).map_err(|_not_one| {
                    self.value(&format!("header.{key}"), "text without control characters")
                })?;
                headers.append(name.clone(), value);
            }
        }
        Ok(headers)
    }

    fn tls(&self, raw: &RawHost) -> Result<Tls, HostsError> {
        let mut tls = Tls { skip_verify: raw.skip_verify == Some(true), ..Tls::default() };
        for file in raw.ca.as_slice() {
            tls.authorities.push(self.read(file)?);
        }
        let clients = match &raw.client {
            Clients::One(one) => vec![ClientFiles::One(one.clone())],
            Clients::Many(many) => many.clone(),
        };
        match clients.as_slice() {
            [] => {}
            [ClientFiles::One(file)] => tls.identity = Some(self.read(file)?),
            [ClientFiles::Pair([certificate, key])] => {
                tls.identity = Some([self.read(certificate)?, self.read(key)?].join(&b'\n'));
            }
            _ => return Err(self.value("client", "one client certificate")),
        }
        if let Some(text) = &raw.dial_timeout {
            let timeout: Duration = humantime::parse_duration(text)
                .map_err(|_not_one| self.value("dial_timeout", "a duration such as 5s"))?;
            tls.dial_timeout = Some(timeout);
        }
        Ok(tls)
    }

    fn read(&self, file: &str) -> Result<Vec<u8>, HostsError> {
        let path = self.path.parent().unwrap_or(self.path).join(file);
        std::fs::read(&path).map_err(|source| HostsError::Unreadable { path, source })
    }

    fn value(&self, key: &str, expected: &'static str) -> HostsError {
        HostsError::Value { path: self.path.to_owned(), key: key.to_owned(), expected }
    }
}

/// Docker's layout: `*.crt` are authorities, `*.cert` with `*.key` is the client's identity.
fn certificates(folder: &Path) -> Result<Tls, HostsError> {
    let unreadable = |path: &Path| {
        let path = path.to_owned();
        move |source| HostsError::Unreadable { path, source }
    };
    let mut paths = Vec::new();
    for entry in folder.read_dir().map_err(unreadable(folder))? {
        paths.push(entry.map_err(unreadable(folder))?.path());
    }
    paths.sort();
    let mut tls = Tls::default();
    for path in paths.iter().filter(|path| !path.is_dir()) {
        let read = |path: &Path| std::fs::read(path).map_err(unreadable(path));
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("crt") => tls.authorities.push(read(path)?),
            Some("cert") => {
                let mut identity = read(path)?;
                let key = path.with_extension("key");
                if key.exists() {
                    identity.push(b'\n');
                    identity.extend(read(&key)?);
                }
                tls.identity = Some(identity);
            }
            Some(_) | None => {}
        }
    }
    Ok(tls)
}

/// What is wrong with the configuration of a registry host.
#[derive(Debug, thiserror::Error)]
pub enum HostsError {
    /// A certificate or key cannot be used.
    #[error("the TLS settings of {host} cannot be used")]
    Certificate {
        /// The host.
        host: String,
        /// Why.
        source: reqwest::Error,
    },
    /// Not TOML, an unknown key, or a wrong type.
    #[error("{}: {message}", path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// Where, and what was expected.
        message: String,
    },
    /// A file cannot be read.
    #[error("cannot read {}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A registry's address is no URL.
    #[error("`{url}` is not a URL")]
    Url {
        /// The text.
        url: String,
        /// Why.
        source: url::ParseError,
    },
    /// A value of the wrong form.
    #[error("{}: `{key}` must be {expected}", path.display())]
    Value {
        /// The file.
        path: PathBuf,
        /// The key.
        key: String,
        /// The expected form.
        expected: &'static str,
    },
}
