//! Hashing files so that nothing else waits for it.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};
use pullgate_policy::digest::{BlobMismatch, Digest, Verifier};
use thread_priority::unix::{
    NormalThreadSchedulePolicy, ThreadSchedulePolicy, set_thread_priority_and_policy,
    thread_native_id,
};
use thread_priority::{Error, ThreadPriority};

const CHUNK: usize = 1 << 20;

/// Lets this thread run only while nothing else wants the processor. The kernel derives the priority
/// of its reads from that: the idle class of `ioprio_set(2)`.
pub(super) fn stand_back() -> Result<(), Error> {
    set_thread_priority_and_policy(
        thread_native_id(),
        ThreadPriority::Min,
        ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Idle),
    )
}

/// How a file differs from what its digest says; none if it does not. `progress` hears of bytes read.
pub(super) fn difference(
    file: &Path,
    digest: &Digest,
    size: u64,
    mut progress: impl FnMut(u64),
) -> io::Result<Option<String>> {
    let mut verifier = match Verifier::new(digest, size) {
        Ok(verifier) => verifier,
        Err(unsupported) => return Ok(Some(unsupported.to_string())),
    };
    let mut file = match File::open(file) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Ok(Some("the file is missing".to_owned()));
        }
        Err(error) => return Err(error),
    };
    // What memory holds of it is not what the disk holds.
    forget(&file)?;
    let mut chunk = vec![0; CHUNK];
    loop {
        let length = match file.read(&mut chunk) {
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            // A disk that cannot read the file has lost it.
            Err(error) => return Ok(Some(format!("the file cannot be read: {error}"))),
        };
        let bytes = chunk.get(..length).unwrap_or_default();
        if bytes.is_empty() {
            break;
        }
        if let Err(mismatch) = verifier.update(bytes) {
            return Ok(Some(mismatch.to_string()));
        }
        progress(length as u64);
    }
    forget(&file)?;
    Ok(verifier.finish().err().map(|mismatch: BlobMismatch| mismatch.to_string()))
}

/// Lets the page cache keep what the node's pods use, not what was read here.
fn forget(file: &File) -> io::Result<()> {
    Ok(posix_fadvise(file, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED)?)
}

#[cfg(test)]
mod tests {
    use pullgate_policy::digest::Digest;

    use super::{difference, stand_back};

    /// `SCHED_IDLE` of sched(7).
    const IDLE: &str = "5";

    #[test]
    fn scrubbing_takes_what_nobody_else_wants() {
        let policy = std::thread::spawn(|| {
            stand_back().unwrap();
            let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
            // Field 41 of `proc_pid_stat(5)`; the second one may hold spaces.
            let (_, fields) = stat.rsplit_once(") ").unwrap();
            fields.split(' ').nth(38).unwrap().to_owned()
        });
        assert_eq!(policy.join().unwrap(), IDLE);
    }

    #[test]
    fn every_way_to_differ_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("blob");
        let good = vec![7; 3 << 20];
        let digest = Digest::sha256(&good);
        let mut flipped = good.clone();
        *flipped.last_mut().unwrap() ^= 1;
        let longer = [good.as_slice(), b"x"].concat();
        let shorter = good.split_last().unwrap().1.to_vec();
        for (name, bytes, expected) in [
            ("good", Some(good.clone()), None),
            ("one bit", Some(flipped), Some("found sha256:")),
            ("longer", Some(longer), Some("longer than the declared")),
            ("shorter", Some(shorter), Some("ended 1 bytes before")),
            ("gone", None, Some("missing")),
        ] {
            match bytes {
                Some(bytes) => std::fs::write(&file, bytes).unwrap(),
                None => std::fs::remove_file(&file).unwrap(),
            }
            let mut read = 0;
            let found =
                difference(&file, &digest, good.len() as u64, |bytes| read += bytes).unwrap();
            let contains = found.as_deref().zip(expected).is_some_and(|(a, b)| a.contains(b));
            assert!(contains || found.is_none() && expected.is_none(), "{name}: {found:?}");
            assert!(read <= good.len() as u64, "{name}: {read}");
        }
    }
}
