//! `config.toml`: where things are. What may enter the node is the policy's business.

mod break_glass;
mod listen;
mod mode;
mod raw;
#[cfg(test)]
mod tests;

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tracing::level_filters::LevelFilter;

pub use listen::Listen;

use crate::{ledger, trust};
pub use mode::Mode;
use raw::{Raw, RawLedger, RawMetrics};

/// Where the configuration lies unless the command line says otherwise.
pub const DEFAULT_PATH: &str = "/etc/pullgate/config.toml";

/// The configuration, complete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The socket that kubelet connects to.
    pub socket: PathBuf,
    /// containerd.
    pub containerd: Containerd,
    /// The policy.
    pub policy: Policy,
    /// Whether it is enforced.
    pub mode: Mode,
    /// What overrules a refusal.
    pub break_glass: trust::Exemptions,
    /// Registries.
    pub registry: Registry,
    /// What is remembered of decisions.
    pub ledger: Ledger,
    /// Where metrics are served; none is nowhere.
    pub metrics: Option<Listen>,
    /// What is logged.
    pub log_level: LevelFilter,
}

/// How containerd is reached, and what it does not tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Containerd {
    /// Its socket.
    pub socket: PathBuf,
    /// The image that it makes sandboxes of, if it is to be pinned as containerd would.
    pub sandbox_image: Option<String>,
    /// Whether layers are written as files into its content store, where it adopts them.
    pub place_layers: bool,
    /// Whether those that are compressed are decompressed here.
    pub decompress_layers: bool,
}

/// Where the policy lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// The file; none searches the usual places.
    pub path: Option<PathBuf>,
    /// The folder of `<namespace>.json`: each replaces the file for pods of its namespace.
    pub namespaces: PathBuf,
    /// The folder of lookaside settings; none is the usual place.
    pub registries_d: Option<PathBuf>,
    /// Whether the policy is pullgate's own wherever it lies.
    pub extensions: bool,
    /// Whether bundles count for their own repository where a `sigstoreSigned` does not say it.
    pub digest_bound_signatures: bool,
    /// Whether a broken file leaves the last good one in force.
    pub keep_last_good: bool,
}

/// How registries are reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registry {
    /// Roots of `hosts.toml`, searched in this order.
    pub config_path: Vec<PathBuf>,
    /// How many layers of one image are fetched at a time.
    pub max_parallel_layers: NonZeroUsize,
    /// How long a registry may send nothing.
    pub no_progress_timeout: Duration,
    /// Whether one thread hashes the layers of all pulls together.
    pub interleave_hashing: bool,
}

/// Where decisions are remembered, and how many.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ledger {
    /// The file.
    pub path: PathBuf,
    /// How much is kept.
    pub bounds: ledger::Bounds,
}

impl Config {
    /// Reads the file that the command line names or, if it names none, the one at [`DEFAULT_PATH`],
    /// which may be missing.
    ///
    /// # Errors
    /// [`ConfigError`] if it cannot be read or is not valid.
    pub fn read(named: Option<&Path>) -> Result<Self, ConfigError> {
        let path = named.unwrap_or_else(|| Path::new(DEFAULT_PATH));
        match std::fs::read_to_string(path) {
            Ok(text) => Self::parse(path, &text),
            Err(error) if named.is_none() && error.kind() == std::io::ErrorKind::NotFound => {
                Self::parse(path, "")
            }
            Err(source) => Err(ConfigError::Read { file: path.to_owned(), source }),
        }
    }

    /// Where trust lies.
    #[must_use]
    pub fn trust(&self) -> trust::Settings {
        trust::Settings {
            policy: self.policy.path.clone(),
            namespaces: self.policy.namespaces.clone(),
            registries_d: self.policy.registries_d.clone(),
            extensions: self.policy.extensions,
            digest_bound: self.policy.digest_bound_signatures,
            keep_last_good: self.policy.keep_last_good,
        }
    }

    /// Parses `text`; `file` is named in errors.
    ///
    /// # Errors
    /// [`ConfigError`] if it is not valid.
    pub fn parse(file: &Path, text: &str) -> Result<Self, ConfigError> {
        let syntax = |error: &toml::de::Error| ConfigError::Syntax {
            file: file.to_owned(),
            line: error.span().map_or(1, |span| line(text, span.start)),
            message: one_line(error.message()),
        };
        let document = toml::Deserializer::parse(text).map_err(|error| syntax(&error))?;
        let raw: Raw = serde_path_to_error::deserialize(document).map_err(|error| {
            let key = error.path().to_string();
            if key == "." {
                return syntax(error.inner());
            }
            let message = one_line(error.inner().message());
            ConfigError::Key { file: file.to_owned(), key, message }
        })?;
        Parser { file }.config(raw)
    }
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A key is unknown, or its value has the wrong type.
    #[error("{}: `{key}`: {message}", file.display())]
    Key {
        /// The file.
        file: PathBuf,
        /// The key path.
        key: String,
        /// What was found, and what was expected.
        message: String,
    },
    /// The file cannot be read.
    #[error("{}: cannot be read", file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is not TOML.
    #[error("{}: line {line}: {message}", file.display())]
    Syntax {
        /// The file.
        file: PathBuf,
        /// The line.
        line: usize,
        /// What was found, and what was expected.
        message: String,
    },
    /// A value has the right type and makes no sense.
    #[error("{}: `{key}`: found `{found}`, expected {expected}", file.display())]
    Value {
        /// The file.
        file: PathBuf,
        /// The key path.
        key: &'static str,
        /// What stands there.
        found: String,
        /// What may stand there.
        expected: &'static str,
    },
}

struct Parser<'a> {
    file: &'a Path,
}

impl Parser<'_> {
    fn config(&self, raw: Raw) -> Result<Config, ConfigError> {
        let socket = raw.cri.socket.as_deref().unwrap_or("/run/pullgate/pullgate.sock");
        let containerd =
            raw.containerd.socket.as_deref().unwrap_or("/run/containerd/containerd.sock");
        let registry = raw.registry;
        let roots = registry.config_path.as_deref();
        let roots = roots.unwrap_or("/etc/containerd/certs.d:/etc/docker/certs.d");
        let timeout = registry.no_progress_timeout.as_deref().unwrap_or("5m");
        let config = Config {
            socket: self.socket("cri.socket", socket)?,
            containerd: Containerd {
                socket: self.socket("containerd.socket", containerd)?,
                sandbox_image: raw.containerd.sandbox_image,
                place_layers: raw.containerd.place_layers.unwrap_or(true),
                decompress_layers: raw.containerd.decompress_layers.unwrap_or(true),
            },
            policy: Policy {
                path: self.absolute("policy.path", raw.policy.path)?,
                namespaces: self
                    .absolute("policy.namespaces", raw.policy.namespaces)?
                    .unwrap_or_else(|| PathBuf::from("/etc/pullgate/policies")),
                registries_d: self.absolute("policy.registries_d", raw.policy.registries_d)?,
                extensions: raw.policy.extensions,
                digest_bound_signatures: raw.policy.digest_bound_signatures,
                keep_last_good: raw.policy.keep_last_good,
            },
            mode: self.mode(raw.mode)?,
            break_glass: self.break_glass(raw.break_glass)?,
            registry: Registry {
                config_path: self.roots(roots)?,
                max_parallel_layers: self.layers(registry.max_parallel_layers.unwrap_or(3))?,
                no_progress_timeout: self.timeout("registry.no_progress_timeout", timeout)?,
                interleave_hashing: registry.interleave_hashing.unwrap_or(true),
            },
            ledger: self.ledger(raw.ledger)?,
            metrics: self.metrics(raw.metrics)?,
            log_level: self.level(raw.log.level.as_deref().unwrap_or("info"))?,
        };
        if config.socket == config.containerd.socket {
            return Err(self.wrong("cri.socket", socket, "another socket than containerd's"));
        }
        Ok(config)
    }

    fn socket(&self, key: &'static str, text: &str) -> Result<PathBuf, ConfigError> {
        let path = PathBuf::from(text.strip_prefix("unix://").unwrap_or(text));
        if path.is_absolute() && path.file_name().is_some() {
            return Ok(path);
        }
        Err(self.wrong(key, text, "an absolute path, with or without unix:// before it"))
    }

    fn absolute(
        &self,
        key: &'static str,
        path: Option<PathBuf>,
    ) -> Result<Option<PathBuf>, ConfigError> {
        match path {
            Some(path) if !path.is_absolute() => {
                Err(self.wrong(key, &path.display().to_string(), "an absolute path"))
            }
            path => Ok(path),
        }
    }

    fn ledger(&self, raw: RawLedger) -> Result<Ledger, ConfigError> {
        let path = self.absolute("ledger.path", raw.path)?;
        let max_rows = raw.max_rows.unwrap_or(20_000);
        if max_rows < MIN_ROWS {
            return Err(self.wrong("ledger.max_rows", &max_rows.to_string(), "1000 or more"));
        }
        let retention = raw.retention.as_deref().unwrap_or("90d");
        let days = retention.strip_suffix('d').and_then(|days| days.parse().ok());
        let days = days.filter(|days| (1..=MAX_DAYS).contains(days)).ok_or_else(|| {
            let expected = "a number of days from 1 to 3653, for example `90d`";
            self.wrong("ledger.retention", retention, expected)
        })?;
        let retention = Duration::from_secs(days * 24 * 60 * 60);
        Ok(Ledger {
            path: path.unwrap_or_else(|| PathBuf::from("/var/lib/pullgate/ledger.db")),
            bounds: ledger::Bounds { max_rows, retention },
        })
    }

    fn roots(&self, text: &str) -> Result<Vec<PathBuf>, ConfigError> {
        let roots: Vec<PathBuf> = text.split(':').map(PathBuf::from).collect();
        if roots.iter().all(|root| root.is_absolute()) {
            return Ok(roots);
        }
        Err(self.wrong("registry.config_path", text, "absolute paths with `:` between them"))
    }

    fn layers(&self, count: u32) -> Result<NonZeroUsize, ConfigError> {
        let found = usize::try_from(count).ok().filter(|&count| count <= MAX_PARALLEL_LAYERS);
        found.and_then(NonZeroUsize::new).ok_or_else(|| {
            self.wrong("registry.max_parallel_layers", &count.to_string(), "1 to 64")
        })
    }

    fn timeout(&self, key: &'static str, text: &str) -> Result<Duration, ConfigError> {
        duration(text, MAX_DURATION).ok_or_else(|| {
            let expected = "a number from 1 on and its unit, `s`, `m` or `h`, for example `5m`";
            self.wrong(key, text, expected)
        })
    }

    fn metrics(&self, raw: RawMetrics) -> Result<Option<Listen>, ConfigError> {
        let Some(text) = raw.listen.filter(|text| !text.is_empty()) else { return Ok(None) };
        match Listen::parse(&text) {
            Some(listen) if listen.is_of_this_node() || raw.allow_remote => Ok(Some(listen)),
            Some(_) => {
                let expected = "a loopback address, or `allow_remote = true` beside it";
                Err(self.wrong("metrics.listen", &text, expected))
            }
            None => {
                let expected = "an IP address with a port, or `unix:` and an absolute path";
                Err(self.wrong("metrics.listen", &text, expected))
            }
        }
    }

    fn level(&self, text: &str) -> Result<LevelFilter, ConfigError> {
        Ok(match text {
            "error" => LevelFilter::ERROR,
            "warn" => LevelFilter::WARN,
            "info" => LevelFilter::INFO,
            "debug" => LevelFilter::DEBUG,
            "trace" => LevelFilter::TRACE,
            _ => {
                let expected = "`error`, `warn`, `info`, `debug` or `trace`";
                return Err(self.wrong("log.level", text, expected));
            }
        })
    }

    fn wrong(&self, key: &'static str, found: &str, expected: &'static str) -> ConfigError {
        ConfigError::Value { file: self.file.to_owned(), key, found: found.to_owned(), expected }
    }
}

/// More connections at a time than any registry gives one client.
const MAX_PARALLEL_LAYERS: usize = 64;

/// A day: what waits longer than that has stopped waiting.
const MAX_DURATION: Duration = Duration::from_secs(24 * 60 * 60);

/// Less would forget images that are in use.
const MIN_ROWS: u32 = 1000;

/// Ten years.
const MAX_DAYS: u64 = 3653;

fn duration(text: &str, longest: Duration) -> Option<Duration> {
    let unit = text.chars().next_back()?;
    let number: u64 = text.strip_suffix(unit)?.parse().ok()?;
    let seconds = match unit {
        's' => number,
        'm' => number.checked_mul(60)?,
        'h' => number.checked_mul(3600)?,
        _ => return None,
    };
    let duration = Duration::from_secs(seconds);
    (!duration.is_zero() && duration <= longest).then_some(duration)
}

fn line(text: &str, offset: usize) -> usize {
    1 + text.bytes().take(offset).filter(|&byte| byte == b'\n').count()
}

fn one_line(message: &str) -> String {
    message.lines().map(str::trim).collect::<Vec<_>>().join(", ")
}
