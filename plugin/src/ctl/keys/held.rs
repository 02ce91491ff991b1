//! Keys and certificates as they are shown: from files, read with the checks of a decision, or from
//! inside a policy.

use std::path::Path;
use std::time::SystemTime;

use pullgate_policy::document::{Requirement, Source};
use pullgate_policy::signature::anchor::{Anchor, Kind, anchors};
use serde::Serialize;

use crate::audit::chain;
use crate::trust;

/// A key or certificate and where it is, or a file that holds none.
#[derive(Debug, Clone, Serialize)]
pub(in crate::ctl) struct Held {
    pub(super) file: String,
    pub(super) kind: Option<&'static str>,
    pub(super) fingerprint: Option<String>,
    pub(super) names: Vec<String>,
    pub(super) algorithm: Option<String>,
    pub(super) created: Option<String>,
    pub(super) expires: Option<String>,
    /// Why nothing that leads back to it is accepted; null if it can be used.
    pub(super) fault: Option<String>,
}

/// Everything that the requirement trusts.
pub(in crate::ctl) fn of(requirement: &Requirement) -> Vec<Held> {
    let held = requirement.sources().into_iter().flat_map(|source| match source {
        Source::Data(pieces) => {
            pieces.iter().flat_map(|piece| in_content("policy.json", piece)).collect::<Vec<_>>()
        }
        Source::Paths(paths) => paths.iter().flat_map(|path| in_file(path)).collect(),
    });
    held.collect()
}

/// Everything that a file holds.
pub(super) fn in_file(path: &Path) -> Vec<Held> {
    let file = path.display().to_string();
    match trust::key_file(path) {
        Ok(content) => in_content(&file, &content),
        Err(error) => vec![Held::faulty(&file, chain(&error))],
    }
}

pub(super) fn in_content(file: &str, content: &[u8]) -> Vec<Held> {
    match anchors(content, SystemTime::now()) {
        Ok(found) => found.into_iter().map(|anchor| Held::new(file, anchor)).collect(),
        Err(error) => vec![Held::faulty(file, chain(&error))],
    }
}

impl Held {
    fn new(file: &str, anchor: Anchor) -> Self {
        let date = |time: SystemTime| humantime::format_rfc3339_seconds(time).to_string();
        Self {
            file: file.to_owned(),
            kind: Some(match anchor.kind {
                Kind::Certificate => "certificate",
                Kind::OpenPgp => "openpgp",
                Kind::PublicKey => "public-key",
            }),
            fingerprint: Some(anchor.fingerprint),
            names: anchor.names,
            algorithm: Some(anchor.algorithm),
            created: anchor.created.map(date),
            expires: anchor.expires.map(date),
            fault: anchor.fault,
        }
    }

    fn faulty(file: &str, fault: String) -> Self {
        Self {
            file: file.to_owned(),
            kind: None,
            fingerprint: None,
            names: Vec::new(),
            algorithm: None,
            created: None,
            expires: None,
            fault: Some(fault),
        }
    }

    pub(in crate::ctl) fn fingerprint(&self) -> Option<&str> {
        self.fingerprint.as_deref()
    }

    /// All of it on one line.
    pub(in crate::ctl) fn line(&self) -> String {
        let what = [self.fingerprint(), self.names.first().map(String::as_str)];
        let what: Vec<&str> = what.into_iter().flatten().collect();
        let fault = self.fault.as_ref().map(|why| format!("cannot be used: {why}"));
        let parts: Vec<String> =
            [what.join(" ")].into_iter().filter(|part| !part.is_empty()).chain(fault).collect();
        format!("{}: {}", self.file, parts.join(", "))
    }

    /// The day of a time, for a table.
    pub(super) fn day(time: Option<&String>) -> String {
        let day = time.and_then(|time| time.split('T').next());
        day.unwrap_or("-").to_owned()
    }
}
