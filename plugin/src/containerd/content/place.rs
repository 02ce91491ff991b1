//! A layer written as a file into the folder of containerd's content store. It has no name there until
//! its digest is proven: before that nobody can open it, and a crash leaves nothing behind.
//!
//! containerd adopts content that its store holds and the namespace does not know when somebody begins
//! to write it, if its content sharing policy is `shared`, which is the default
//! (containerd-handoff.md 1.4.3): the offset that it answers is the end then, and a commit suffices. Its
//! collector removes what nobody commits.

use std::collections::HashMap;
use std::fmt::Display;
use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use bytes::Bytes;
use futures_util::{Stream, stream};
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag};
use nix::unistd::linkat;
use pullgate_policy::digest::{Digest, VerifiedBlob};
use tokio::sync::{self, OnceCell, OwnedMutexGuard, mpsc};
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::timeout;

use super::Sink;
use super::write::STALL;
use crate::containerd::{Containerd, HandoffError};

/// Pieces that may wait for the disk; the network delivers some 100 KiB at a time.
const WAITING: usize = 4;

/// Bytes that are read back at a time.
const PIECE: usize = 256 << 10;

/// Whether and where layers become files.
#[derive(Debug, Default)]
pub(crate) struct Placing {
    folder: OnceCell<PathBuf>,
    turns: Mutex<HashMap<Digest, Weak<sync::Mutex<()>>>>,
    off: AtomicBool,
}

impl Placing {
    /// Layers are sent over the API.
    pub(crate) fn off() -> Self {
        Self { off: AtomicBool::new(true), ..Self::default() }
    }

    /// A file for the blob `digest`; none where there cannot be one, or where its name is taken. Waits
    /// for another pull that has one for the same blob.
    pub(super) async fn begin(&self, containerd: &Containerd, digest: &Digest) -> Option<Nameless> {
        if self.off.load(Ordering::Relaxed) {
            return None;
        }
        let folder = self.folder.get_or_try_init(|| containerd.content_folder()).await.ok()?;
        let folder = folder.join("blobs").join(digest.algorithm().name());
        let turn = self.turn(digest).await;
        let (place, taken) = (folder.clone(), folder.join(digest.hex()));
        let create = move || if taken.exists() { Ok(None) } else { create(&place).map(Some) };
        match spawn_blocking(create).await.ok()? {
            Ok(file) => file.map(|file| Nameless::new(file, folder, turn)),
            // containerd makes the folder with the first blob.
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => {
                self.give_up(&folder, &error);
                None
            }
        }
    }

    /// containerd does not take over what has a name in its folder, unless its collector was faster.
    pub(super) fn not_adopted(&self, placed: &Placed) {
        if placed.path.exists() {
            self.give_up(&placed.path, &"containerd does not take it over");
        }
    }

    /// Waits until no other pull writes the blob.
    async fn turn(&self, digest: &Digest) -> OwnedMutexGuard<()> {
        let turn = {
            let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
            turns.retain(|_, turn| turn.strong_count() > 0);
            let known = turns.get(digest).and_then(Weak::upgrade);
            let turn = known.unwrap_or_default();
            turns.insert(digest.clone(), Arc::downgrade(&turn));
            turn
        };
        turn.lock_owned().await
    }

    fn give_up(&self, path: &Path, why: &dyn Display) {
        if !self.off.swap(true, Ordering::Relaxed) {
            let path = path.display();
            tracing::warn!(
                "layers go over containerd's API until a restart, which is slower: {path}: {why}"
            );
        }
    }
}

fn create(folder: &Path) -> io::Result<File> {
    let flags = OFlag::O_TMPFILE.bits();
    let file = OpenOptions::new().read(true).write(true).custom_flags(flags).open(folder)?;
    // As containerd leaves its own, whatever our umask is.
    file.set_permissions(Permissions::from_mode(0o444))?;
    Ok(file)
}

/// A file without a name. What is appended is written on a thread of its own: disks make one wait.
#[derive(Debug)]
pub(super) struct Nameless {
    pieces: mpsc::Sender<Bytes>,
    writer: JoinHandle<io::Result<File>>,
    folder: PathBuf,
    turn: OwnedMutexGuard<()>,
}

impl Nameless {
    fn new(mut file: File, folder: PathBuf, turn: OwnedMutexGuard<()>) -> Self {
        let (pieces, mut arriving) = mpsc::channel::<Bytes>(WAITING);
        let writer = spawn_blocking(move || {
            while let Some(piece) = arriving.blocking_recv() {
                file.write_all(&piece)?;
            }
            Ok(file)
        });
        Self { pieces, writer, folder, turn }
    }

    /// Syncs the file and gives it its name: the digest that `proof` proves.
    pub(super) async fn place(self, proof: &VerifiedBlob) -> Result<Placed, HandoffError> {
        let Self { pieces, writer, folder, turn } = self;
        drop(pieces);
        let path = folder.join(proof.digest().hex());
        let placed = async {
            let file = Arc::new(timeout(STALL, writer).await???);
            let (written, name) = (Arc::clone(&file), path.clone());
            let link = move || written.sync_all().and_then(|()| link(&written, &name));
            timeout(STALL, spawn_blocking(link)).await???;
            Ok(file)
        };
        match placed.await {
            Ok(file) => {
                tracing::debug!(path = %path.display(), "a layer is in its place");
                Ok(Placed { file, path, _turn: turn })
            }
            Err(error) => Err(HandoffError::from_disk(&path, error)),
        }
    }
}

impl Sink for Nameless {
    async fn append(&mut self, piece: Bytes) -> Result<(), HandoffError> {
        let failed = |error| HandoffError::from_disk(&self.folder, error);
        match timeout(STALL, self.pieces.send(piece)).await {
            Ok(Ok(())) => Ok(()),
            // The thread has ended, and says why.
            Ok(Err(_)) => Err(match (&mut self.writer).await {
                Ok(Ok(_)) => failed(io::ErrorKind::BrokenPipe.into()),
                Ok(Err(error)) => failed(error),
                Err(panic) => failed(panic.into()),
            }),
            Err(late) => Err(failed(late.into())),
        }
    }
}

/// What has the name already is the same.
fn link(file: &File, name: &Path) -> io::Result<()> {
    let open = PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()));
    match linkat(AT_FDCWD, &open, AT_FDCWD, name, AtFlags::AT_SYMLINK_FOLLOW) {
        Ok(()) | Err(Errno::EEXIST) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

/// A verified blob under its digest. Nobody else of this process writes it as long as this lives.
#[derive(Debug)]
pub(super) struct Placed {
    file: Arc<File>,
    path: PathBuf,
    _turn: OwnedMutexGuard<()>,
}

impl Placed {
    /// The bytes once more, also when the file has lost its name again.
    pub(super) fn read_back(&self) -> impl Stream<Item = Result<Bytes, HandoffError>> + use<> {
        let read = |(file, path, offset): (Arc<File>, PathBuf, u64)| async move {
            let source = Arc::clone(&file);
            let read = spawn_blocking(move || {
                let mut bytes = vec![0; PIECE];
                let length = source.read_at(&mut bytes, offset)?;
                bytes.truncate(length);
                Ok(Bytes::from(bytes))
            });
            let bytes = read.await.unwrap_or_else(|panic| Err(panic.into()));
            let bytes = bytes.map_err(|error| HandoffError::from_disk(&path, error))?;
            let next = offset + bytes.len() as u64;
            Ok((!bytes.is_empty()).then_some((bytes, (file, path, next))))
        };
        stream::try_unfold((Arc::clone(&self.file), self.path.clone(), 0), read)
    }
}
