//! What is counted about the policy's files.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

use super::{Labels, RESULTS, result};

/// The policy's metrics. Clones count together; what is not registered counts for nobody.
#[derive(Debug, Clone)]
pub struct PolicyMetrics {
    loads: Family<Labels<1>, Counter>,
    usable: Gauge,
    ends: Family<[(&'static str, String); 1], Gauge>,
}

impl Default for PolicyMetrics {
    fn default() -> Self {
        let metrics =
            Self { loads: Family::default(), usable: Gauge::default(), ends: Family::default() };
        for result in RESULTS {
            drop(metrics.loads.get_or_create(&[("result", result)]));
        }
        metrics
    }
}

impl PolicyMetrics {
    pub(super) fn register(&self, registry: &mut Registry) {
        let help = "Times that policy.json and registries.d were read and had changed, or could not be used";
        registry.register("policy_loads", help, self.loads.clone());
        let help = "Whether policy.json and registries.d can be used: 0 refuses every pull, unless \
                    keep_last_good is set";
        registry.register("policy_usable", help, self.usable.clone());
        let help = "When the next key or certificate of a file that the policy trusts ends, in seconds \
                    since 1970";
        registry.register_with_unit(
            "trust_anchor_expiry_timestamp",
            help,
            Unit::Seconds,
            self.ends.clone(),
        );
    }

    /// The files were read, and can be used. `of_the_node` says that it is the policy of every
    /// namespace without one of its own.
    pub fn read(&self, of_the_node: bool, changed: bool) {
        if of_the_node {
            self.usable.set(1);
        }
        if changed {
            self.loads.get_or_create(&[("result", result(true))]).inc();
        }
    }

    /// The files cannot be used.
    pub fn unusable(&self, of_the_node: bool) {
        if of_the_node {
            self.usable.set(0);
        }
        self.loads.get_or_create(&[("result", result(false))]).inc();
    }

    /// When the next key or certificate of each file ends. Files that are left out have none.
    pub fn ends(&self, ends: &BTreeMap<PathBuf, SystemTime>) {
        self.ends.clear();
        for (file, end) in ends {
            let since = end.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
            let labels = [("file", file.display().to_string())];
            self.ends.get_or_create(&labels).set(i64::try_from(since).unwrap_or(i64::MAX));
        }
    }
}
