//! Where the tests keep their files.

use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// Cargo's target directory: the one above the running executable that was set up for the tests.
#[must_use]
pub fn target() -> PathBuf {
    let executable = std::env::current_exe().expect("the path of this executable");
    let prepared = executable.ancestors().find(|dir| dir.join("roots").is_dir());
    prepared.expect("tests/setup/install to have been run").to_owned()
}

/// A program that cargo built beside this one.
#[must_use]
pub fn built(program: &str) -> PathBuf {
    let executable = std::env::current_exe().expect("the path of this executable");
    let mut places = executable.ancestors().skip(1).take(2).map(|dir| dir.join(program));
    places.find(|path| path.is_file()).unwrap_or_else(|| {
        panic!("no {program} beside {}: run `make build` first", executable.display())
    })
}

/// A Debian suite unpacked by `tests/setup/install`.
#[must_use]
pub fn suite(name: &str) -> PathBuf {
    target().join("roots").join(name)
}

/// A new directory on the disk that holds the target directory: large files go here, and overlayfs
/// works on it.
#[must_use]
pub fn on_disk(prefix: &str) -> TempDir {
    let parent = target().join("tmp");
    std::fs::create_dir_all(&parent).expect("target/tmp to be made");
    new_directory(prefix, &parent)
}

/// A new directory with a short path: the path of a unix socket has at most 107 bytes.
#[must_use]
pub fn for_sockets(prefix: &str) -> TempDir {
    new_directory(prefix, &std::env::temp_dir())
}

fn new_directory(prefix: &str, parent: &Path) -> TempDir {
    let named = format!("pullgate-{prefix}-");
    tempfile::Builder::new().prefix(&named).tempdir_in(parent).expect("a temporary directory")
}
