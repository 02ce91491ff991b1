//! Which files hold the policy: the search order of containers-policy.json(5) and
//! containers-registries.d(5) for root, without the directories of a user.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use pullgate_policy::limits;

use super::TrustError;
use super::file::{self, FileError};

/// The first that exists is the policy, also when it is broken.
const POLICIES: [&str; 3] = [
    "/etc/pullgate/policy.json",
    "/etc/containers/policy.json",
    "/usr/share/containers/policy.json",
];

/// Highest priority first: a file hides those of the same name in the directories after it
/// (policy-semantics.md 2.1).
const REGISTRIES_D: [&str; 4] = [
    "/etc/containers/registries.rootful.d",
    "/etc/containers/registries.d",
    "/usr/share/containers/registries.rootful.d",
    "/usr/share/containers/registries.d",
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

/// The files of registries.d with their content, in the order of their names.
pub(super) fn registries_d(explicit: Option<&Path>) -> Result<Vec<(String, Vec<u8>)>, TrustError> {
    let mut files = BTreeMap::new();
    let directories = match explicit {
        Some(directory) => vec![directory],
        None => REGISTRIES_D.iter().map(Path::new).collect(),
    };
    for directory in directories {
        for path in yaml_files(directory)? {
            if let Some(name) = path.file_name() {
                files.entry(name.to_owned()).or_insert(path);
            }
        }
    }
    let mut read = Vec::with_capacity(files.len());
    for path in files.into_values() {
        match file::read(&path, limits::CONFIGURATION_BYTES) {
            Ok(content) => read.push((path.display().to_string(), content)),
            // A dangling link hides the vendor's file of its name and is then skipped.
            Err(FileError::Unreadable { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(read)
}

/// The `*.yaml` entries of a directory that are not directories; none if it does not exist.
fn yaml_files(directory: &Path) -> Result<Vec<PathBuf>, FileError> {
    let unreadable = |source| FileError::Unreadable { path: directory.to_owned(), source };
    let entries = match directory.read_dir() {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(unreadable(source)),
    };
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry.map_err(unreadable)?.path();
        // `Path::extension` has none for `.yaml`, which containers/image reads.
        let is_yaml = path.file_name().is_some_and(|name| name.as_encoded_bytes().ends_with(b".yaml"));
        if is_yaml && !path.is_dir() {
            paths.push(path);
        }
    }
    Ok(paths)
}
