//! The ledger's file: root's own, or its rows could be forged; set aside when it is damaged.

use std::fs::{self, DirBuilder, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use nix::unistd::geteuid;

use super::LedgerError;

const WRITABLE_BY_OTHERS: u32 = 0o022;

/// What `SQLite` keeps beside the file.
const COMPANIONS: [&str; 2] = ["-wal", "-shm"];

/// Makes the file and its folder where they do not exist; nobody else reads what is made here.
///
/// # Errors
/// [`LedgerError`] if they cannot be made, or others than root and the daemon's user could have
/// written there.
pub(super) fn prepare(path: &Path) -> Result<(), LedgerError> {
    let folder = path.parent().unwrap_or_else(|| Path::new("/"));
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(LedgerError::file(folder))?;
    examine(folder, &fs::metadata(folder).map_err(LedgerError::file(folder))?)?;
    let file = OpenOptions::new().append(true).create(true).mode(0o600).open(path);
    let file = file.map_err(LedgerError::file(path))?;
    examine(path, &file.metadata().map_err(LedgerError::file(path))?)
}

fn examine(path: &Path, metadata: &Metadata) -> Result<(), LedgerError> {
    if metadata.uid() != 0 && metadata.uid() != geteuid().as_raw() {
        return Err(LedgerError::Owner { path: path.to_owned(), uid: metadata.uid() });
    }
    if metadata.mode() & WRITABLE_BY_OTHERS != 0 {
        let mode = metadata.mode() & 0o7777;
        return Err(LedgerError::Writable { path: path.to_owned(), mode });
    }
    Ok(())
}

/// Renames a damaged file, for whoever wants to know what happened, and returns its new name.
///
/// # Errors
/// [`LedgerError::File`] if it cannot be renamed.
pub(super) fn set_aside(path: &Path) -> Result<PathBuf, LedgerError> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let aside = with_suffix(path, &format!(".damaged-{}", now.as_micros()));
    for companion in COMPANIONS {
        let from = with_suffix(path, companion);
        match fs::rename(&from, with_suffix(&aside, companion)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(LedgerError::file(&from)(error));
            }
            Ok(()) | Err(_) => {}
        }
    }
    fs::rename(path, &aside).map_err(LedgerError::file(path))?;
    Ok(aside)
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}
