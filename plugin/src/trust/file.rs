//! Reads one file that decides what is trusted: bounded, a regular file, and written by root only.

use std::fs::OpenOptions;
use std::io::{self, Read as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;
use nix::unistd::geteuid;

/// Write permission of group and others.
const WRITABLE_BY_OTHERS: u32 = 0o022;

/// Reads `path` whole.
///
/// # Errors
/// [`FileError`] if it cannot be read, is no regular file, is larger than `limit` bytes, or could have
/// been written by someone other than root or the daemon's own user.
pub(super) fn read(path: &Path, limit: usize) -> Result<Vec<u8>, FileError> {
    let unreadable = |source| FileError::Unreadable { path: path.to_owned(), source };
    // A FIFO in the place of a file must not hang the pull.
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(OFlag::O_NONBLOCK.bits())
        .open(path)
        .map_err(unreadable)?;
    let metadata = file.metadata().map_err(unreadable)?;
    if !metadata.is_file() {
        return Err(FileError::NotAFile { path: path.to_owned() });
    }
    if metadata.uid() != 0 && metadata.uid() != geteuid().as_raw() {
        return Err(FileError::Owner { path: path.to_owned(), uid: metadata.uid() });
    }
    if metadata.mode() & WRITABLE_BY_OTHERS != 0 {
        return Err(FileError::Writable { path: path.to_owned(), mode: metadata.mode() & 0o7777 });
    }
    let mut content = Vec::new();
    file.take(limit as u64 + 1).read_to_end(&mut content).map_err(unreadable)?;
    if content.len() > limit {
        return Err(FileError::TooLarge { path: path.to_owned(), limit });
    }
    Ok(content)
}

/// Why a file's content must not decide what is trusted.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// A directory, device or pipe.
    #[error("{} is not a regular file", path.display())]
    NotAFile {
        /// The file.
        path: PathBuf,
    },
    /// Someone else owns it.
    #[error("{} belongs to uid {uid}, it must belong to root", path.display())]
    Owner {
        /// The file.
        path: PathBuf,
        /// Its owner.
        uid: u32,
    },
    /// Larger than any real file of its kind.
    #[error("{} is larger than {limit} bytes", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The most bytes that are read.
        limit: usize,
    },
    /// It cannot be opened or read.
    #[error("cannot read {}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Others may write it.
    #[error("{} has mode {mode:04o}, others than its owner must not write it: chmod go-w", path.display())]
    Writable {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
}
