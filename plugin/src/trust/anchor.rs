//! When what a policy trusts comes to its end.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use pullgate_policy::document::Source;
use pullgate_policy::limits;
use pullgate_policy::signature::anchor::{self, Kind};

use super::file;

/// A key or certificate that a policy trusts, and that has an end.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Anchor {
    /// The file that holds it: the policy itself, if it stands there.
    pub file: PathBuf,
    /// The fingerprint of an OpenPGP key, the subject of a certificate.
    pub name: String,
    /// From when on nothing that rests on it is accepted.
    pub ends: SystemTime,
}

/// Those of `source`. A file that cannot be read or used has none: decisions say what is wrong with it.
pub(super) fn of(source: &Source, policy: &Path, now: SystemTime) -> Vec<Anchor> {
    match source {
        Source::Data(pieces) => {
            pieces.iter().flat_map(|piece| in_file(policy, piece, now)).collect()
        }
        Source::Paths(paths) => {
            let read = |path: &PathBuf| {
                let content = file::read(path, limits::KEYRING_BYTES).unwrap_or_default();
                in_file(path, &content, now)
            };
            paths.iter().flat_map(read).collect()
        }
    }
}

fn in_file(file: &Path, content: &[u8], now: SystemTime) -> Vec<Anchor> {
    let ending = |found: anchor::Anchor| {
        let name = match found.kind {
            Kind::Certificate => found.names.into_iter().next(),
            Kind::OpenPgp | Kind::PublicKey => None,
        };
        let name = name.filter(|name| !name.is_empty()).unwrap_or(found.fingerprint);
        Some(Anchor { file: file.to_owned(), name, ends: found.expires? })
    };
    anchor::anchors(content, now).unwrap_or_default().into_iter().filter_map(ending).collect()
}
