//! When trust material counts.

use std::fmt;
use std::time::SystemTime;

use crate::strict::{JsonError, Node, Object};

/// The time in which trust material was in use, both ends included. An end that is not there never
/// comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    start: Option<SystemTime>,
    end: Option<SystemTime>,
}

impl Window {
    /// Of material that its source puts no dates on.
    pub const ALWAYS: Self = Self { start: None, end: None };

    /// From `start` until `end`.
    pub(super) const fn new(start: SystemTime, end: SystemTime) -> Self {
        Self { start: Some(start), end: Some(end) }
    }

    /// The time that is in both.
    pub(super) fn and(self, other: Self) -> Self {
        let end = match (self.end, other.end) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
        // Nothing is before the first moment.
        Self { start: self.start.max(other.start), end }
    }

    /// Parses the member `validFor` of an object of a trusted root; always where it is not there.
    pub(super) fn parse(object: &Object<'_>) -> Result<Self, JsonError> {
        let Some(node) = object.get("validFor").filter(|node| !node.is_null()) else {
            return Ok(Self::ALWAYS);
        };
        let object = node.object()?.only(&["end", "start"])?;
        let end = object.get("end").filter(|node| !node.is_null());
        let window =
            Self { start: Some(time(object.require("start")?)?), end: end.map(time).transpose()? };
        Ok(window)
    }

    /// Its beginning and its end.
    pub(super) const fn ends(&self) -> (Option<SystemTime>, Option<SystemTime>) {
        (self.start, self.end)
    }

    pub(super) fn contains(&self, time: SystemTime) -> bool {
        self.start.is_none_or(|start| start <= time) && self.end.is_none_or(|end| time <= end)
    }
}

fn time(node: Node<'_>) -> Result<SystemTime, JsonError> {
    let time = humantime::parse_rfc3339(node.string()?).ok();
    time.ok_or_else(|| node.unexpected("a time such as 2026-01-01T00:00:00Z"))
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.start, self.end) {
            (None, None) => f.write_str("always"),
            (Some(start), None) => write!(f, "from {} on", shown(start)),
            (None, Some(end)) => write!(f, "until {}", shown(end)),
            (Some(start), Some(end)) => write!(f, "from {} until {}", shown(start), shown(end)),
        }
    }
}

/// A time as messages show it.
pub(super) fn shown(time: SystemTime) -> impl fmt::Display {
    humantime::format_rfc3339_seconds(time)
}
