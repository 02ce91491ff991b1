//! Why the ledger cannot be used.

use std::io;
use std::path::{Path, PathBuf};

use rusqlite::ErrorCode;

/// Why the ledger cannot be used. Nothing is accepted because of it: what has no row is decided again.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// The file or its folder cannot be made, looked at or set aside.
    #[error("{}", path.display())]
    File {
        /// The path.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A later version of pullgate has written it.
    #[error(
        "{} has schema version {found}, this pullgate knows {known} at most: install the version that \
         wrote it, or move the file away", path.display()
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: usize,
        /// The last version that this program knows.
        known: usize,
    },
    /// Somebody else may have written it.
    #[error("{} belongs to uid {uid}, it must belong to root", path.display())]
    Owner {
        /// The file or folder.
        path: PathBuf,
        /// Its owner.
        uid: u32,
    },
    /// More is asked than the disk gives.
    #[error("the ledger is behind with its work: is the disk busy?")]
    Overloaded,
    /// The database does not do its part.
    #[error("the ledger's database")]
    Sql(#[from] rusqlite::Error),
    /// The system gives no thread.
    #[error("no thread for the ledger")]
    Thread(#[source] io::Error),
    /// A row holds what this program did not write.
    #[error("a row of the ledger has `{found}` in the place of {expected}")]
    Value {
        /// What stands there.
        found: String,
        /// What ought to.
        expected: &'static str,
    },
    /// Somebody else may write it.
    #[error("{} has mode {mode:04o}, others than its owner must not write it: chmod go-w", path.display())]
    Writable {
        /// The file or folder.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
}

impl LedgerError {
    /// Names the path in an error.
    pub(super) fn file(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::File { path, source }
    }

    /// Whether the file itself is broken, so that a new one helps.
    pub(super) fn damaged(&self) -> bool {
        let Self::Sql(error) = self else { return false };
        matches!(
            error.sqlite_error_code(),
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)
        )
    }
}
