//! The containerd versions that the tests run with.

use std::fmt;
use std::io::Write;
use std::path::PathBuf;

use crate::place;

/// A containerd version, each from the Debian suite that ships it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// 1.6, of Debian 12 (bookworm).
    V1_6,
    /// 1.7, of Debian 13 (trixie).
    V1_7,
    /// 2.1 or later, of forky.
    V2_1,
}

impl Version {
    /// Every version.
    pub const ALL: [Self; 3] = [Self::V1_6, Self::V1_7, Self::V2_1];

    /// The versions that can be run here. One whose suite could not be reached when the tests were set
    /// up is reported as `NOT RUN`, past libtest's capture; one that is missing for any other reason
    /// panics.
    #[must_use]
    pub fn available() -> Vec<Self> {
        Self::ALL.into_iter().filter(|version| version.can_run()).collect()
    }

    /// The `/usr` that it lives in.
    #[must_use]
    pub fn usr(self) -> PathBuf {
        place::suite(self.suite()).join("usr")
    }

    const fn suite(self) -> &'static str {
        match self {
            Self::V1_6 => "bookworm",
            Self::V1_7 => "trixie",
            Self::V2_1 => "forky",
        }
    }

    fn can_run(self) -> bool {
        if self.usr().join("bin/containerd").is_file() {
            return true;
        }
        let suite = self.suite();
        let marker = place::suite(&format!("{suite}.unreachable"));
        let Ok(reason) = std::fs::read_to_string(&marker) else {
            panic!("no containerd {self} in {}: run tests/setup/install", self.usr().display());
        };
        let line = format!("NOT RUN: containerd {self} ({suite} unreachable: {})\n", reason.trim());
        std::io::stderr().write_all(line.as_bytes()).expect("standard error to be writable");
        false
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V1_6 => "1.6",
            Self::V1_7 => "1.7",
            Self::V2_1 => "2.1",
        })
    }
}
