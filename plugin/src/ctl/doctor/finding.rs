//! What a check found.

use serde::Serialize;

use crate::ctl::Exit;

/// How a door stands, from best to worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum State {
    /// Nothing passes that the policy does not accept.
    Armed,
    /// It was not looked at: nothing runs below `--root`.
    Skipped,
    /// No door, but worth a look.
    Advice,
    /// An image can pass unverified.
    Open,
    /// A configuration that cannot work: pulls fail.
    Unusable,
    /// Something does not answer, so nothing is known.
    Unknown,
}

impl State {
    /// The word for it, as in JSON.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Armed => "armed",
            Self::Skipped => "skipped",
            Self::Advice => "advice",
            Self::Open => "open",
            Self::Unusable => "unusable",
            Self::Unknown => "unknown",
        }
    }

    /// The exit code where nothing worse was found.
    pub(super) const fn exit(self) -> Exit {
        match self {
            Self::Armed | Self::Skipped | Self::Advice => Exit::Accepted,
            Self::Open => Exit::Rejected,
            Self::Unusable => Exit::Usage,
            Self::Unknown => Exit::Infrastructure,
        }
    }
}

/// One finding. Its texts may hold foreign text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    /// The check, one of the table.
    pub(super) check: &'static str,
    /// How the door stands.
    pub(super) state: State,
    /// What was found, and where.
    pub(super) what: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) fix: Option<String>,
}

/// What a check says, before it has the check's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) state: State,
    pub(super) what: String,
    pub(super) fix: Option<String>,
}

impl Said {
    pub(super) fn armed(what: impl Into<String>) -> Self {
        Self { state: State::Armed, what: what.into(), fix: None }
    }

    pub(super) fn skipped(what: impl Into<String>) -> Self {
        Self { state: State::Skipped, what: what.into(), fix: None }
    }

    pub(super) fn advice(what: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { state: State::Advice, what: what.into(), fix: Some(fix.into()) }
    }

    pub(super) fn open(what: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { state: State::Open, what: what.into(), fix: Some(fix.into()) }
    }

    pub(super) fn unusable(what: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { state: State::Unusable, what: what.into(), fix: Some(fix.into()) }
    }

    pub(super) fn unknown(what: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { state: State::Unknown, what: what.into(), fix: Some(fix.into()) }
    }

    /// Gives it the name of its check.
    pub(super) fn by(self, check: &'static str) -> Finding {
        Finding { check, state: self.state, what: self.what, fix: self.fix }
    }
}
