//! Which files of registries.d are read, and in which order (policy-semantics.md 2.1).

use std::collections::BTreeMap;
use std::path::PathBuf;

/// The directories that a daemon of root searches, highest priority first. containers/image also
/// looks below the user's home, which a daemon does not have.
pub const DIRECTORIES: [&str; 4] = [
    "/etc/containers/registries.rootful.d",
    "/etc/containers/registries.d",
    "/usr/share/containers/registries.rootful.d",
    "/usr/share/containers/registries.d",
];

/// The files to read, in order, out of everything but directories that was found, in the order of
/// the directories. Of several files with one name only the first is read, so that an admin's file
/// replaces the vendor's. A dangling link replaces it too, and is then skipped by the reader.
#[must_use]
pub fn search_order(found: impl IntoIterator<Item = PathBuf>) -> Vec<PathBuf> {
    let mut by_name = BTreeMap::new();
    for path in found {
        let name = path.file_name().map(ToOwned::to_owned);
        if let Some(name) = name.filter(|name| name.as_encoded_bytes().ends_with(b".yaml")) {
            by_name.entry(name).or_insert(path);
        }
    }
    by_name.into_values().collect()
}
