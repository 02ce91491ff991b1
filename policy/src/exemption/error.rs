//! Why a file is no exemption.

use std::time::Duration;

use humantime::format_duration;

use crate::strict::{JsonError, KeyPath};

/// Why an exemption does not count.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExemptionError {
    /// It ends before it begins.
    #[error("`not_after` is not after `not_before`")]
    Backwards,
    /// A text or list that says nothing.
    #[error("{path}: is empty")]
    Empty {
        /// The value.
        path: KeyPath,
    },
    /// It is over.
    #[error("it ended on {end}")]
    Ended {
        /// Its end.
        end: String,
    },
    /// The text is not JSON, or a value is not of the expected kind.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// It has not begun.
    #[error("it begins on {begin}; look at this node's clock if that is past")]
    NotYet {
        /// Its beginning.
        begin: String,
    },
    /// A time in another form.
    #[error("{path}: found `{found}`, expected a time in UTC such as `2026-01-31T18:00:00Z`")]
    Time {
        /// The value.
        path: KeyPath,
        /// What stands there.
        found: String,
    },
    /// Not enough admins signed.
    #[error("signed by {found} of the {required} admin keys that are needed{faults}")]
    TooFewSigners {
        /// How many distinct keys of the keyring signed it.
        found: usize,
        /// How many are needed.
        required: usize,
        /// What is wrong with the signatures that do not count.
        faults: String,
    },
    /// It would be in force for too long.
    #[error(
        "it lasts {}, and `break_glass.longest` is {}",
        format_duration(*lasts),
        format_duration(*longest)
    )]
    TooLong {
        /// How long it would be.
        lasts: Duration,
        /// How long it may be.
        longest: Duration,
    },
}
