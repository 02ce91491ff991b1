//! The socket: taken over from systemd, or bound here.

use std::fs::{self, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt, chown};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use listenfd::ListenFd;

/// Who may connect when containerd's socket cannot be looked at: its owner and its group.
const MODE: u32 = 0o660;

/// The socket that systemd opened for us, if it did: systemd.socket(5).
///
/// To be called before the program has threads: the environment is read and changed.
///
/// # Errors
/// [`SocketError::Activation`] if systemd passed something else than one stream socket.
pub fn activated() -> Result<Option<UnixListener>, SocketError> {
    let mut passed = ListenFd::from_env();
    if passed.len() > 1 {
        return Err(SocketError::Several { count: passed.len() });
    }
    passed.take_unix_listener(0).map_err(SocketError::Activation)
}

/// Binds `path` with the owner and the mode of containerd's socket. A socket that nobody listens at
/// any more is replaced, in one step.
///
/// # Errors
/// [`SocketError`] if it is in use, is something else, or cannot be bound.
pub fn bind(path: &Path, containerd: &Path) -> Result<UnixListener, SocketError> {
    let failed = |source| SocketError::Bind { path: path.to_owned(), source };
    if let Some(parent) = path.parent() {
        fs::DirBuilder::new().recursive(true).mode(0o755).create(parent).map_err(failed)?;
    }
    refuse_unless_stale(path)?;
    let temporary = beside(path);
    remove(&temporary).map_err(failed)?;
    let listener = UnixListener::bind(&temporary).map_err(failed)?;
    let placed = place(&temporary, path, containerd);
    if placed.is_err() {
        remove(&temporary).map_err(failed)?;
    }
    placed.map_err(failed)?;
    Ok(listener)
}

/// Why there is no socket to serve.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// What systemd passed cannot be used.
    #[error("systemd passed something else than a unix stream socket that listens")]
    Activation(#[source] io::Error),
    /// It cannot be bound.
    #[error("{}: the socket cannot be bound", path.display())]
    Bind {
        /// The socket.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Somebody listens there.
    #[error("{}: another process listens at this socket", path.display())]
    InUse {
        /// The socket.
        path: PathBuf,
    },
    /// There is something else of that name.
    #[error("{}: exists and is no socket", path.display())]
    NoSocket {
        /// What is in the way.
        path: PathBuf,
    },
    /// systemd passed too many.
    #[error("systemd passed {count} sockets, expected one")]
    Several {
        /// How many.
        count: usize,
    },
}

fn refuse_unless_stale(path: &Path) -> Result<(), SocketError> {
    let failed = |source| SocketError::Bind { path: path.to_owned(), source };
    match fs::symlink_metadata(path) {
        Ok(found) if !found.file_type().is_socket() => {
            return Err(SocketError::NoSocket { path: path.to_owned() });
        }
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(error)),
    }
    match UnixStream::connect(path) {
        Ok(_) => Err(SocketError::InUse { path: path.to_owned() }),
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
            tracing::info!("{}: a socket left behind is replaced", path.display());
            Ok(())
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(failed(error)),
    }
}

/// Gives the socket its owner and mode before it has its name: nobody connects in between.
fn place(temporary: &Path, path: &Path, containerd: &Path) -> io::Result<()> {
    let mode = match fs::metadata(containerd) {
        Ok(found) => {
            chown(temporary, Some(found.uid()), Some(found.gid()))?;
            found.permissions().mode() & 0o777
        }
        Err(error) if error.kind() == ErrorKind::NotFound => MODE,
        Err(error) => return Err(error),
    };
    fs::set_permissions(temporary, Permissions::from_mode(mode))?;
    fs::rename(temporary, path)
}

fn beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    PathBuf::from(name)
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
