//! Which files hold the policy: the search order of containers-policy.json(5) and
//! containers-registries.d(5) for root, without the directories of a user.

use std::io;
use std::path::{Path, PathBuf};

use pullgate_policy::limits;
use pullgate_policy::lookaside;
use pullgate_policy::namespace::Namespace;

use super::TrustError;
use super::file::{self, FileError};

/// The first that exists is the policy, also when it is broken.
const POLICIES: [&str; 3] = [
    "/etc/pullgate/policy.json",
    "/etc/containers/policy.json",
    "/usr/share/containers/policy.json",
];

/// The path of the policy that is in force.
pub(super) fn policy() -> Result<PathBuf, TrustError> {
    for candidate in POLICIES {
        let path = PathBuf::from(candidate);
        match path.symlink_metadata() {
            Ok(_) => return Ok(path),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(source) => return Err(FileError::Unreadable { path, source }.into()),
        }
    }
    Err(TrustError::NoPolicy { searched: POLICIES.to_vec() })
}

/// The path of the namespace's own policy. None only if there is certainly none: what cannot be looked
/// at cannot be read either, and refuses.
pub(super) fn of_namespace(folder: &Path, namespace: &Namespace) -> Option<PathBuf> {
    let path = folder.join(format!("{namespace}.json"));
    let absent = |error: io::Error| error.kind() == io::ErrorKind::NotFound;
    (!path.symlink_metadata().is_err_and(absent)).then_some(path)
}

/// The namespaces that have a policy of their own.
pub(super) fn namespaces(folder: &Path) -> Vec<Namespace> {
    let entries = folder.read_dir().into_iter().flatten().flatten();
    let named = entries.filter_map(|entry| {
        let name = entry.file_name();
        Namespace::parse(name.to_str()?.strip_suffix(".json")?).ok()
    });
    named.collect()
}

/// The files of registries.d with their content, in the order in which they are read.
pub(super) fn registries_d(explicit: Option<&Path>) -> Result<Vec<(String, Vec<u8>)>, TrustError> {
    let mut found = Vec::new();
    match explicit {
        Some(directory) => found.extend(entries(directory)?),
        None => {
            for directory in lookaside::DIRECTORIES {
                found.extend(entries(Path::new(directory))?);
            }
        }
    }
    let mut read = Vec::new();
    for path in lookaside::search_order(found) {
        match file::read(&path, limits::CONFIGURATION_BYTES) {
            Ok(content) => read.push((path.display().to_string(), content)),
            // A dangling link hides the vendor's file of its name and is then skipped.
            Err(FileError::Unreadable { source, .. })
                if source.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(read)
}

/// Everything in a directory that is not a directory; nothing if it does not exist.
fn entries(directory: &Path) -> Result<Vec<PathBuf>, FileError> {
    let unreadable = |source| FileError::Unreadable { path: directory.to_owned(), source };
    let entries = match directory.read_dir() {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(unreadable(source)),
    };
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry.map_err(unreadable)?.path();
        if !path.is_dir() {
            paths.push(path);
        }
    }
    Ok(paths)
}
