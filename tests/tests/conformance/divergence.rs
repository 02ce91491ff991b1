//! `divergences.toml`: where we decide otherwise than containers/image on purpose.

use std::collections::BTreeSet;
use std::path::Path;

use serde::Deserialize;
use serde_json::{Map, Value};

/// Every deliberate difference.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Divergences {
    divergence: Vec<Divergence>,
}

/// One difference, and the cases that show it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Divergence {
    cases: Vec<String>,
    /// Members of what we find.
    ours: Map<String, Value>,
    /// The same members of what containers/image finds.
    theirs: Map<String, Value>,
    reason: String,
}

impl Divergences {
    /// Reads the file, which names each case once and gives every difference a reason.
    pub(crate) fn read() -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("conformance/divergences.toml");
        let text = std::fs::read_to_string(&path).expect("divergences.toml");
        let read: Self = toml::from_str(&text).unwrap_or_else(|error| panic!("{error}"));
        let mut names = BTreeSet::new();
        for divergence in &read.divergence {
            assert!(!divergence.reason.is_empty(), "{divergence:?} has no reason");
            assert_ne!(divergence.ours, divergence.theirs, "{divergence:?} is no difference");
            for name in &divergence.cases {
                assert!(names.insert(name), "{name} stands in divergences.toml twice");
            }
        }
        read
    }

    /// The difference that this case shows.
    pub(crate) fn of(&self, case: &str) -> Option<&Divergence> {
        self.divergence.iter().find(|divergence| divergence.cases.iter().any(|name| name == case))
    }

    /// The cases that are listed and are none of `names`.
    pub(crate) fn unmet(&self, names: &BTreeSet<String>) -> Vec<String> {
        let listed = self.divergence.iter().flat_map(|divergence| &divergence.cases);
        listed.filter(|name| !names.contains(*name)).cloned().collect()
    }
}

impl Divergence {
    /// Checks that the case failed, and in the way that is listed.
    pub(crate) fn confirm(
        &self,
        result: &Result<(), String>,
        expected: &Value,
        found: &Value,
    ) -> Result<(), String> {
        if result.is_ok() {
            return Err("stands in divergences.toml, but we agree with containers/image".to_owned());
        }
        for (listed, actual) in [(&self.ours, found), (&self.theirs, expected)] {
            if listed.iter().any(|(key, value)| actual.get(key) != Some(value)) {
                return Err(format!("divergences.toml says {listed:?}, found {actual}"));
            }
        }
        Ok(())
    }
}
