//! A compressed layer as a plain archive: containerd's one unpacking thread otherwise spends half its
//! time in gunzip. The archive is decompressed on a thread of its own, beside what containerd unpacks
//! meanwhile.
//!
//! It is content of its own for as long as it is unpacked. A tail of ours behind the archive's end gives
//! it a digest that no other content has, so nobody can adopt its file, and the file may go without
//! asking the collector.

use std::fs::File;
use std::io::{self, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};

use containerd_client::services::v1::DeleteContentRequest;
use containerd_client::services::v1::content_client::ContentClient;
use flate2::read::MultiGzDecoder;
use nix::sys::statvfs::fstatvfs;
use pullgate_policy::digest::{BlobMismatch, Digest, Tailed, VerifiedBlob};
use pullgate_policy::manifest::Descriptor;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::place::{create, link};
use super::write::STALL;
use super::{Begun, Blob, Committed, Kind, Labels};
use crate::containerd::lease::{Lease, unique};
use crate::containerd::store::blobs;
use crate::containerd::{Containerd, HandoffError, request};

/// Compressed bytes below which the two calls more take as long as containerd's own decompression.
const SMALLEST: u64 = 512 << 10;

/// The largest archive. What lives longer on its way through the page cache is written to the disk.
const LARGEST: u64 = 1 << 30;

/// Archives that are there at a time, of all pulls.
const ARCHIVES: usize = 4;

/// The part of the free space that an archive may take: half of it for all of them.
const SHARE: u64 = 8;

/// What compression makes of most layers, at best. One that becomes larger than [`LARGEST`] is
/// decompressed in vain.
const RATIO: u64 = 4;

/// Bytes that are decompressed at a time.
const PIECE: usize = 256 << 10;

/// The largest window of Zstandard, 8 MiB, which is what each decoder should have (RFC 8878, 3.1.1.1.2).
const WINDOW_LOG: u32 = 23;

/// Bytes of a block of a tar archive, of which two empty ones are its end (pax, "ustar Interchange
/// Format").
const BLOCK: u64 = 512;

/// Whether layers are decompressed here, and how many may be now.
#[derive(Debug, Clone)]
pub(crate) struct Decompressing(Arc<Semaphore>);

impl Decompressing {
    /// As many as there may be archives.
    pub(crate) fn here() -> Self {
        Self(Arc::new(Semaphore::new(ARCHIVES)))
    }

    /// None.
    pub(crate) fn by_containerd() -> Self {
        Self(Arc::new(Semaphore::new(0)))
    }

    /// Room for one more.
    fn room(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.0).try_acquire_owned().ok()
    }
}

/// A layer's archive in the content store. Dropping it removes it in the background.
#[derive(Debug)]
pub struct Decompressed {
    blob: Committed,
    name: Name,
    _room: OwnedSemaphorePermit,
}

impl Decompressed {
    /// The archive `diff_id` of a layer that is in the content store. None where containerd may as well
    /// decompress it by itself, or has to: it knows best what is wrong with it. `beside` tells that it
    /// unpacks another layer meanwhile.
    pub async fn of(
        lease: &Lease,
        layer: &Committed,
        diff_id: &Digest,
        beside: bool,
    ) -> Option<Self> {
        let Descriptor { media_type, size, digest, .. } = layer.descriptor();
        if *size < SMALLEST {
            return None;
        }
        let compression = Compression::of(media_type)?;
        // containerd decodes Zstandard beside its unpacking thread: that one is not to wait for us.
        if compression == Compression::Zstd && !beside {
            return None;
        }
        let room = lease.containerd().decompressing.room()?;
        let folder = lease.containerd().placing.folder(lease.containerd()).await?;
        match Self::make(lease, &blobs(folder, digest), layer, compression, diff_id).await {
            Ok((blob, name)) => {
                tracing::debug!(%digest, archive = %blob.digest(), "a layer is decompressed");
                Some(Self { blob, name, _room: room })
            }
            Err(error) => {
                tracing::debug!(%digest, "containerd decompresses a layer by itself: {error}");
                None
            }
        }
    }

    async fn make(
        lease: &Lease,
        folder: &Path,
        layer: &Committed,
        compression: Compression,
        diff_id: &Digest,
    ) -> Result<(Committed, Name), NotDecompressed> {
        let (source, diff_id) = (folder.join(layer.digest().hex()), diff_id.clone());
        let tail = format!("pullgate-{}", unique());
        let wanted = Arc::new(());
        let still = Arc::downgrade(&wanted);
        let (file, proof) =
            on_disk(move || decompress(&source, compression, &diff_id, &tail, &still)).await?;

        let (path, digest) = (folder.join(proof.digest().hex()), proof.digest().clone());
        let containerd = lease.containerd().clone();
        let name = Name { containerd, digest, path: Some(path.clone()) };
        on_disk(move || Ok(link(&file, &path)?)).await?;
        Ok((adopt(lease, &proof).await?, name))
    }

    /// What containerd unpacks.
    pub const fn blob(&self) -> &Committed {
        &self.blob
    }

    /// Removes it, and returns when it is gone.
    pub async fn remove(mut self) {
        if let Some(removal) = self.name.give_up() {
            removal.await;
        }
    }
}

/// Does `work` on a thread that may wait for the disk.
async fn on_disk<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, NotDecompressed> + Send + 'static,
) -> Result<T, NotDecompressed> {
    let done = timeout(STALL, spawn_blocking(work)).await.map_err(io::Error::from)?;
    done.map_err(io::Error::from)?
}

/// Lets containerd take the file of `proof` over.
async fn adopt(lease: &Lease, proof: &VerifiedBlob) -> Result<Committed, NotDecompressed> {
    let media_type = "application/vnd.oci.image.layer.v1.tar".to_owned();
    let (digest, size) = (proof.digest().clone(), proof.size());
    let descriptor = Descriptor { media_type, digest, size, platform: None };
    let labels = &Labels::new();
    let blob = Blob { lease, kind: Kind::Layer, descriptor: &descriptor, labels };
    match blob.begin().await? {
        Begun::Shared(mut write) => write.commit(labels).await?,
        Begun::Empty(write) => {
            write.abort().await;
            return Err(NotDecompressed::NotAdopted);
        }
        Begun::Present => return Err(NotDecompressed::NotAdopted),
    }
    Ok(Committed { descriptor })
}

/// The name of an archive, which no other content has.
#[derive(Debug)]
struct Name {
    containerd: Containerd,
    digest: Digest,
    /// Its file, until somebody removes it.
    path: Option<PathBuf>,
}

impl Name {
    fn give_up(&mut self) -> Option<impl Future<Output = ()> + use<>> {
        let path = self.path.take()?;
        Some(remove(self.containerd.clone(), self.digest.clone(), path))
    }
}

impl Drop for Name {
    fn drop(&mut self) {
        if let Some(removal) = self.give_up() {
            self.containerd.cleanups.spawn(removal);
        }
    }
}

/// Removes an archive's record and its file. What is left of it, the collector removes with the lease.
async fn remove(containerd: Containerd, digest: Digest, path: PathBuf) {
    let message = request(DeleteContentRequest { digest: digest.to_string() });
    if let Err(status) = ContentClient::new(containerd.channel).delete(message).await {
        tracing::debug!(%status, "an archive's record is left to the garbage collector");
    }
    let removed = spawn_blocking(move || std::fs::remove_file(path)).await;
    if let Err(error) = removed.map_err(io::Error::from).flatten() {
        tracing::debug!(%error, "an archive's file is left to the garbage collector");
    }
}

/// How a layer is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Compression {
    Gzip,
    Zstd,
}

impl Compression {
    /// As a media type ends (image-spec, layer.md; Docker's with a dot).
    fn of(media_type: &str) -> Option<Self> {
        match media_type.rsplit_once(['+', '.'])?.1 {
            "gzip" => Some(Self::Gzip),
            "zstd" => Some(Self::Zstd),
            _ => None,
        }
    }

    /// Reads what `compressed` holds, all of its members or frames.
    fn reader(self, compressed: BufReader<File>) -> io::Result<Box<dyn io::Read>> {
        Ok(match self {
            Self::Gzip => Box::new(MultiGzDecoder::new(compressed)),
            Self::Zstd => {
                let mut decoder = zstd::Decoder::with_buffer(compressed)?;
                decoder.window_log_max(WINDOW_LOG)?;
                Box::new(decoder)
            }
        })
    }
}

/// Why containerd has to decompress a layer by itself.
#[derive(Debug, thiserror::Error)]
enum NotDecompressed {
    /// The compressed layer cannot be read, or the archive not be written.
    #[error(transparent)]
    Disk(#[from] io::Error),
    /// containerd failed.
    #[error(transparent)]
    Handoff(#[from] HandoffError),
    /// The archive would be too large for the page cache, or the disk.
    #[error("an archive has {limit} bytes at most")]
    Large {
        /// The largest that may be.
        limit: u64,
    },
    /// It is not what the image configuration says.
    #[error(transparent)]
    Mismatch(#[from] BlobMismatch),
    /// It does not end as an archive does, so a tail might be taken for a part of it.
    #[error("it does not end with two empty blocks")]
    NoEnd,
    /// The collector was faster.
    #[error("containerd does not take the archive over")]
    NotAdopted,
    /// The pull has ended.
    #[error("nobody waits for it")]
    Unwanted,
}

/// Decompresses `source` into a file without a name in the same folder, and puts `tail` behind it.
fn decompress(
    source: &Path,
    compression: Compression,
    diff_id: &Digest,
    tail: &str,
    wanted: &Weak<()>,
) -> Result<(File, VerifiedBlob), NotDecompressed> {
    let compressed = File::open(source)?;
    let mut file = create(source.parent().unwrap_or(source))?;
    let limit = room(&file)?;
    if compressed.metadata()?.len() > limit / RATIO {
        return Err(NotDecompressed::Large { limit });
    }
    let mut decompressed = compression.reader(BufReader::with_capacity(PIECE, compressed))?;
    let mut verifier = Tailed::new(diff_id)?;
    let mut end = End::default();
    let mut buffer = vec![0; PIECE];
    loop {
        let length = decompressed.read(&mut buffer)?;
        let bytes = buffer.split_at(length).0;
        if bytes.is_empty() {
            break;
        }
        end.update(bytes);
        if end.size > limit {
            return Err(NotDecompressed::Large { limit });
        }
        if wanted.strong_count() == 0 {
            return Err(NotDecompressed::Unwanted);
        }
        verifier.update(bytes);
        file.write_all(bytes)?;
    }
    if !end.is_of_an_archive() {
        return Err(NotDecompressed::NoEnd);
    }
    let proof = verifier.finish(tail.as_bytes())?;
    file.write_all(tail.as_bytes())?;
    Ok((file, proof))
}

/// How large an archive may become where `file` is.
fn room(file: &File) -> io::Result<u64> {
    let disk = fstatvfs(file)?;
    let free = disk.blocks_available().saturating_mul(disk.fragment_size());
    Ok((free / SHARE).min(LARGEST))
}

/// How many bytes there were, and how many zeros are the last of them.
///
/// A tail shorter than a block behind an archive's end is not read by anybody; behind an archive that
/// breaks off it does not fill the block that is missing. So the archive is unpacked with it as
/// without.
#[derive(Debug, Default)]
struct End {
    size: u64,
    zeros: u64,
}

impl End {
    fn update(&mut self, bytes: &[u8]) {
        let length = bytes.len() as u64;
        let last = bytes.iter().rev().take_while(|&&byte| byte == 0).count() as u64;
        self.zeros = if last == length { self.zeros.saturating_add(last) } else { last };
        self.size = self.size.saturating_add(length);
    }

    const fn is_of_an_archive(&self) -> bool {
        self.size.is_multiple_of(BLOCK) && self.zeros >= 2 * BLOCK
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::path::Path;
    use std::sync::Arc;

    use flate2::write::GzEncoder;
    use pullgate_policy::digest::Digest;

    use super::{Compression, End, NotDecompressed, WINDOW_LOG, decompress, room};

    const TAIL: &str = "a tail";

    /// What becomes of `stored` as the layer whose archive is `archive`.
    fn decompressed(
        folder: &Path,
        compression: Compression,
        stored: &[u8],
        archive: &[u8],
    ) -> Result<Vec<u8>, NotDecompressed> {
        use std::os::unix::fs::FileExt as _;
        let source = folder.join("layer");
        std::fs::write(&source, stored).unwrap();
        let wanted = Arc::new(());
        let (diff_id, wanted) = (Digest::sha256(archive), Arc::downgrade(&wanted));
        let made = decompress(&source, compression, &diff_id, TAIL, &wanted);
        assert_eq!(std::fs::read_dir(folder).unwrap().count(), 1, "it has no name yet");
        let (file, proof) = made?;
        let mut bytes = vec![0; usize::try_from(file.metadata().unwrap().len()).unwrap()];
        file.read_exact_at(&mut bytes, 0).unwrap();
        assert_eq!((proof.digest(), proof.size()), (&Digest::sha256(&bytes), bytes.len() as u64));
        Ok(bytes)
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    /// One frame with a checksum.
    fn zstd(bytes: &[u8], window_log: u32) -> Vec<u8> {
        let mut encoder = zstd::Encoder::new(Vec::new(), 3).unwrap();
        encoder.include_checksum(true).unwrap();
        encoder.window_log(window_log).unwrap();
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    const WAYS: [Compression; 2] = [Compression::Gzip, Compression::Zstd];

    fn compress(way: Compression, bytes: &[u8]) -> Vec<u8> {
        match way {
            Compression::Gzip => gzip(bytes),
            Compression::Zstd => zstd(bytes, WINDOW_LOG),
        }
    }

    #[test]
    fn an_archive_gets_a_tail_once_it_is_what_the_configuration_says() {
        let folder = tempfile::tempdir().unwrap();
        let archive = [vec![7; 700_000 / 512 * 512], vec![0; 1024]].concat();
        let (head, rest) = archive.split_at(300_000);
        for way in WAYS {
            let compress = |bytes| compress(way, bytes);
            let decompressed =
                |stored: &[u8]| decompressed(folder.path(), way, stored, &archive).unwrap();
            let whole = decompressed(&compress(&archive));
            assert_eq!(whole, [&archive, TAIL.as_bytes()].concat(), "{way:?}");
            assert_eq!(decompressed(&[compress(head), compress(rest)].concat()), whole, "{way:?}");
        }
    }

    #[test]
    fn what_is_not_such_an_archive_is_left_to_containerd() {
        use Compression::{Gzip, Zstd};
        let folder = tempfile::tempdir().unwrap();
        let archive = [vec![7; 512], vec![0; 1024]].concat();
        for way in WAYS {
            let compress = |bytes| compress(way, bytes);
            let stored = compress(&archive);
            let (endless, odd) = (&archive[..1024], [&archive[..], &[0]].concat());
            let bad_sum = [&stored[..stored.len() - 1], &[!stored[stored.len() - 1]]].concat();
            let [not, torn, more, sum] = match way {
                Gzip => ["invalid gzip header", "incomplete", "end of file", "corrupt gzip"],
                Zstd => ["Unknown frame", "incomplete", "Unknown frame", "checksum"],
            };
            for (title, stored, archive, expected) in [
                ("another", &stored[..], &b"another"[..], "expected sha256:"),
                ("not compressed", &archive, &archive, not),
                ("torn", &stored[..stored.len() - 9], &archive, torn),
                ("followed", &[&stored[..], b"more"].concat(), &archive, more),
                ("of another sum", &bad_sum, &archive, sum),
                ("without an end", &compress(endless), endless, "two empty blocks"),
                ("no whole blocks", &compress(&odd), &odd, "two empty blocks"),
                ("empty", &compress(b""), b"", "two empty blocks"),
            ] {
                let error =
                    decompressed(folder.path(), way, stored, archive).unwrap_err().to_string();
                assert!(error.contains(expected), "{way:?}, {title}: {error}");
            }
        }
    }

    #[test]
    fn a_window_of_more_than_8_mib_is_left_to_containerd() {
        let folder = tempfile::tempdir().unwrap();
        let archive = vec![0; 1024];
        let stored = zstd(&archive, WINDOW_LOG + 1);
        let error = decompressed(folder.path(), Compression::Zstd, &stored, &archive).unwrap_err();
        assert!(error.to_string().contains("too much memory"), "{error}");
    }

    #[test]
    fn media_types_say_how_a_layer_is_compressed() {
        for (media_type, compression) in [
            ("application/vnd.oci.image.layer.v1.tar", None),
            ("application/vnd.oci.image.layer.v1.tar+gzip", Some(Compression::Gzip)),
            (
                "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd",
                Some(Compression::Zstd),
            ),
            ("application/vnd.docker.image.rootfs.diff.tar.gzip", Some(Compression::Gzip)),
            ("application/vnd.docker.image.rootfs.diff.tar.zstd", Some(Compression::Zstd)),
            ("gzip", None),
        ] {
            assert_eq!(Compression::of(media_type), compression, "{media_type}");
        }
    }

    #[test]
    fn an_archive_has_a_bound_and_ends_with_the_pull() {
        let folder = tempfile::tempdir().unwrap();
        let source = folder.path().join("layer");
        let file = std::fs::File::create(&source).unwrap();
        let limit = room(&file).unwrap();
        file.set_len(limit).unwrap();
        let wanted = Arc::new(());
        let attempt = || {
            let wanted = Arc::downgrade(&wanted);
            decompress(&source, Compression::Gzip, &Digest::sha256(b""), TAIL, &wanted).unwrap_err()
        };
        assert!(matches!(attempt(), NotDecompressed::Large { .. }));
        std::fs::write(&source, gzip(b"some")).unwrap();
        let gone = Arc::downgrade(&Arc::new(()));
        let nothing = Digest::sha256(b"");
        let error = decompress(&source, Compression::Gzip, &nothing, TAIL, &gone).unwrap_err();
        assert!(matches!(error, NotDecompressed::Unwanted), "{error}");
    }

    #[test]
    fn zeros_are_counted_across_pieces() {
        for (pieces, is_end) in [
            (&[&[1; 512][..], &[0; 1000], &[0; 24]][..], true),
            (&[&[0; 1024]], true),
            (&[&[1; 512], &[0; 1023], &[1]], false),
            (&[&[1; 512], &[0; 512]], false),
            (&[&[1; 513], &[0; 1024]], false),
            (&[], false),
        ] {
            let mut end = End::default();
            pieces.iter().for_each(|piece| end.update(piece));
            assert_eq!(end.is_of_an_archive(), is_end, "{end:?}");
        }
    }
}
