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
use crate::containerd::store::blobs;
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
        let folder = blobs(self.folder(containerd).await?, digest);
        let turn = self.turn(digest).await;
        let (place, taken) = (folder.clone(), folder.join(digest.hex()));
        let create = move || if taken.exists() { Ok(None) } else { create(&place).map(Some) };
        match spawn_blocking(create).await.ok()? {
            Ok(file) => file.map(|file| Nameless::new(file, folder, turn)),
            Err(error) if will_stay(&error) => {
                self.give_up(&folder, &error);
                None
            }
            // containerd makes the folder with the first blob, and a disk may have room again.
            Err(_) => None,
        }
    }

    /// The folder of the content store; none where layers do not become files.
    pub(super) async fn folder(&self, containerd: &Containerd) -> Option<&Path> {
        if self.off.load(Ordering::Relaxed) {
            return None;
        }
        let folder = self.folder.get_or_try_init(|| containerd.content_folder()).await.ok()?;
        Some(folder)
    }

    /// containerd did not take over what was placed.
    pub(super) fn not_adopted(&self, placed: &Placed) {
        match &placed.refused {
            Some(error) => self.give_up(&placed.path, error),
            None if placed.path.exists() => {
                self.give_up(&placed.path, &"containerd does not take it over");
            }
            // Its collector was faster.
            None => {}
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

/// Whether the folder is not for us, rather than not now.
fn will_stay(error: &io::Error) -> bool {
    use io::ErrorKind::{IsADirectory, PermissionDenied, ReadOnlyFilesystem, Unsupported};
    // A file system without O_TMPFILE says that it is not supported; an old kernel, that it is a folder.
    let kinds = [IsADirectory, PermissionDenied, ReadOnlyFilesystem, Unsupported];
    kinds.contains(&error.kind())
}

/// A file without a name.
pub(super) fn create(folder: &Path) -> io::Result<File> {
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

    /// Syncs the file and gives it its name, the digest that `proof` proves, if the folder takes it.
    pub(super) async fn place(self, proof: &VerifiedBlob) -> Result<Placed, HandoffError> {
        let Self { pieces, writer, folder, turn } = self;
        drop(pieces);
        let path = folder.join(proof.digest().hex());
        let placed = async {
            let file = timeout(STALL, writer).await???;
            let name = path.clone();
            let link = move || {
                file.sync_all()?;
                let refused = link(&file, &name).err();
                Ok::<_, io::Error>((Arc::new(file), refused))
            };
            timeout(STALL, spawn_blocking(link)).await??
        };
        match placed.await {
            Ok((file, refused)) => {
                if refused.is_none() {
                    tracing::debug!(path = %path.display(), "a layer is in its place");
                }
                Ok(Placed { file, path, refused, _turn: turn })
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
pub(super) fn link(file: &File, name: &Path) -> io::Result<()> {
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
    /// Why it has no name after all.
    refused: Option<io::Error>,
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

#[cfg(test)]
mod tests {
    use std::io;
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::Path;

    use bytes::Bytes;
    use futures_util::TryStreamExt as _;
    use nix::errno::Errno;
    use pullgate_policy::digest::{Digest, Verifier};

    use super::{Nameless, Placed, Placing, create, will_stay};
    use crate::containerd::content::Sink as _;

    const LAYER: &[u8] = b"the bytes of a layer";

    /// A file of `folder` that gets its name in another one.
    async fn placed(placing: &Placing, folder: &Path, named_in: &Path) -> Placed {
        let digest = Digest::sha256(LAYER);
        let turn = placing.turn(&digest).await;
        let mut file = Nameless::new(create(folder).unwrap(), named_in.to_owned(), turn);
        for piece in LAYER.chunks(7) {
            file.append(Bytes::from_static(piece)).await.unwrap();
        }
        assert_eq!(std::fs::read_dir(folder).unwrap().count(), 0, "it has no name yet");
        file.place(&Verifier::verify(&digest, LAYER).unwrap()).await.unwrap()
    }

    async fn read(placed: &Placed) -> Vec<u8> {
        placed.read_back().try_collect::<Vec<Bytes>>().await.unwrap().concat()
    }

    #[tokio::test]
    async fn what_is_proven_gets_its_name_and_stays_readable_without_it() {
        let (folder, placing) = (tempfile::tempdir().unwrap(), Placing::default());
        let placed = placed(&placing, folder.path(), folder.path()).await;
        let name = folder.path().join(Digest::sha256(LAYER).hex());
        assert_eq!(std::fs::read(&name).unwrap(), LAYER);
        let mode = std::fs::metadata(&name).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o444);
        // As containerd's collector does it.
        std::fs::remove_file(name).unwrap();
        placing.not_adopted(&placed);
        assert_eq!(read(&placed).await, LAYER);
        assert!(!placing.off.into_inner(), "the next one is tried");
    }

    #[tokio::test]
    async fn a_name_that_is_refused_ends_the_attempts() {
        let (folder, placing) = (tempfile::tempdir().unwrap(), Placing::default());
        let placed = placed(&placing, folder.path(), &folder.path().join("none")).await;
        placing.not_adopted(&placed);
        assert_eq!(read(&placed).await, LAYER);
        assert!(placing.off.into_inner());
    }

    #[tokio::test]
    async fn one_blob_has_one_writer_at_a_time() {
        let placing = Placing::default();
        let digest = Digest::sha256(LAYER);
        let first = placing.turn(&digest).await;
        let other = placing.turn(&Digest::sha256(b"another")).await;
        let mut second = std::pin::pin!(placing.turn(&digest));
        assert!(futures_util::poll!(second.as_mut()).is_pending());
        drop((first, other));
        drop(second.await);
        drop(placing.turn(&Digest::sha256(b"a third")).await);
        assert_eq!(placing.turns.lock().unwrap().len(), 1, "only the last one is known");
    }

    #[test]
    fn a_disk_that_is_full_may_have_room_again() {
        for (errno, stays) in [
            (Errno::EROFS, true),
            (Errno::EACCES, true),
            (Errno::EPERM, true),
            (Errno::EOPNOTSUPP, true),
            (Errno::EISDIR, true),
            (Errno::ENOENT, false),
            (Errno::ENOSPC, false),
            (Errno::EMFILE, false),
        ] {
            assert_eq!(will_stay(&io::Error::from(errno)), stays, "{errno}");
        }
    }
}
