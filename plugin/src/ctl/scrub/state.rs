//! How far a scrub has come, kept in a file so that the next run goes on there.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use pullgate_policy::digest::Digest;
use serde::{Deserialize, Serialize};

/// Where a run stands.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct State {
    /// The last blob that was hashed, in the order of digests.
    pub(super) after: Option<String>,
    /// Those found so far that differ, and how.
    pub(super) damaged: Vec<(String, String)>,
    /// Blobs and bytes hashed so far.
    pub(super) blobs: u64,
    pub(super) bytes: u64,
}

/// The file.
#[derive(Debug)]
pub(super) struct StateFile {
    path: PathBuf,
}

impl StateFile {
    pub(super) const fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// What the last run left, or nothing: then, and where it cannot be understood, a run starts anew.
    pub(super) fn read(&self) -> io::Result<State> {
        match fs::read(&self.path) {
            Ok(text) => Ok(serde_json::from_slice(&text).unwrap_or_default()),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(State::default()),
            Err(error) => Err(error),
        }
    }

    /// Replaces the file in one step.
    pub(super) fn write(&self, state: &State) -> io::Result<()> {
        let folder = self.path.parent().unwrap_or_else(|| Path::new("/"));
        fs::create_dir_all(folder)?;
        let mut name = self.path.clone().into_os_string();
        name.push(".new");
        let mut file = File::create(&name)?;
        file.write_all(&serde_json::to_vec(state)?)?;
        file.sync_all()?;
        fs::rename(&name, &self.path)
    }

    /// Removes the file: the run is complete.
    pub(super) fn remove(&self) -> io::Result<()> {
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

impl State {
    /// Whether a blob still has to be hashed.
    pub(super) fn awaits(&self, digest: &Digest) -> bool {
        self.after.as_ref().is_none_or(|after| digest.to_string() > *after)
    }
}

#[cfg(test)]
mod tests {
    use super::{State, StateFile};

    #[test]
    fn a_file_that_is_missing_or_damaged_starts_anew() {
        let folder = tempfile::tempdir().unwrap();
        let file = StateFile::new(folder.path().join("deep/scrub.json"));
        assert_eq!(file.read().unwrap(), State::default());
        let state = State { after: Some("sha256:aa".to_owned()), blobs: 3, ..State::default() };
        file.write(&state).unwrap();
        assert_eq!(file.read().unwrap(), state);
        std::fs::write(folder.path().join("deep/scrub.json"), "{").unwrap();
        assert_eq!(file.read().unwrap(), State::default());
        file.remove().unwrap();
        file.remove().unwrap();
    }
}
