//! The text of `config.toml`, as it stands there.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Raw {
    pub(super) cri: RawCri,
    pub(super) containerd: RawContainerd,
    pub(super) policy: RawPolicy,
    pub(super) mode: RawMode,
    pub(super) break_glass: RawBreakGlass,
    pub(super) registry: RawRegistry,
    pub(super) ledger: RawLedger,
    pub(super) metrics: RawMetrics,
    pub(super) log: RawLog,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawCri {
    pub(super) socket: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawContainerd {
    pub(super) socket: Option<String>,
    pub(super) sandbox_image: Option<String>,
    pub(super) place_layers: Option<bool>,
    pub(super) decompress_layers: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawPolicy {
    pub(super) path: Option<PathBuf>,
    pub(super) namespaces: Option<PathBuf>,
    pub(super) registries_d: Option<PathBuf>,
    pub(super) extensions: bool,
    pub(super) digest_bound_signatures: bool,
    pub(super) keep_last_good: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawMode {
    pub(super) default: Option<Applied>,
    pub(super) scopes: BTreeMap<String, Applied>,
    pub(super) namespaces: BTreeMap<String, Applied>,
    pub(super) audit_deadline: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawBreakGlass {
    pub(super) exemptions: Option<PathBuf>,
    pub(super) keys: Vec<PathBuf>,
    pub(super) required: Option<u32>,
    pub(super) longest: Option<String>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Applied {
    Audit,
    Enforce,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawRegistry {
    pub(super) config_path: Option<String>,
    pub(super) max_parallel_layers: Option<u32>,
    pub(super) no_progress_timeout: Option<String>,
    pub(super) interleave_hashing: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawLedger {
    pub(super) path: Option<PathBuf>,
    pub(super) max_rows: Option<u32>,
    pub(super) retention: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawMetrics {
    pub(super) listen: Option<String>,
    pub(super) allow_remote: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawLog {
    pub(super) level: Option<String>,
}
