//! Hashing on one core: a stream by itself against `openssl speed`, and several side by side against
//! both.

use std::hint::black_box;
use std::process::Command;
use std::time::Duration;

use pullgate_policy::digest::{Digest, Lanes, Verifier};
use pullgate_tests::process;

/// Bytes of a stream in a turn, as in the daemon.
const PIECE: usize = 64 << 10;

/// Bytes of all streams of a measurement together.
const TOTAL: usize = 512 << 20;

const ROUNDS: usize = 5;

/// Each row's name, and in each round our speed to the other's.
pub(crate) fn ratios() -> Vec<(String, Vec<f64>)> {
    let lanes = Lanes::available();
    let counts = [2, 3, 4, 8];
    let groups: Vec<_> =
        lanes.iter().flat_map(|lanes| counts.map(|count| (*lanes, count))).collect();
    let mut rows = vec![("hash 1 stream to openssl".to_owned(), Vec::new())];
    for (lanes, count) in &groups {
        for other in ["1 stream", "openssl"] {
            rows.push((format!("hash {count} streams, {}, to {other}", lanes.name()), Vec::new()));
        }
    }
    for _ in 0..ROUNDS {
        let (openssl, single) = (openssl(), single());
        let together = groups.iter().map(|(lanes, count)| together(*lanes, *count));
        let found = together.flat_map(|speed| [speed / single, speed / openssl]);
        for (row, ratio) in rows.iter_mut().zip([single / openssl].into_iter().chain(found)) {
            row.1.push(ratio);
        }
    }
    rows
}

/// Bytes a second of one stream.
fn single() -> f64 {
    let bytes = content(0);
    let mut verifier = verifier(TOTAL);
    let start = processor_time();
    for _ in 0..TOTAL / PIECE {
        verifier.update(&bytes).expect("no byte too many");
    }
    black_box(verifier.finish().expect_err("other bytes than none"));
    speed(TOTAL, start)
}

/// Bytes a second of `count` streams together.
fn together(lanes: Lanes, count: usize) -> f64 {
    let turns = TOTAL / PIECE / count;
    let bytes: Vec<_> = (0..count).map(content).collect();
    let mut verifiers: Vec<_> = (0..count).map(|_| verifier(turns * PIECE)).collect();
    let start = processor_time();
    for _ in 0..turns {
        let pieces = bytes.iter().map(Vec::as_slice);
        let mut batch: Vec<_> = verifiers.iter_mut().zip(pieces).collect();
        let results = lanes.update_all(&mut batch);
        assert!(results.iter().all(Result::is_ok), "no byte too many");
    }
    for verifier in verifiers {
        black_box(verifier.finish().expect_err("other bytes than none"));
    }
    speed(turns * count * PIECE, start)
}

fn verifier(size: usize) -> Verifier {
    Verifier::new(&Digest::sha256(b""), size as u64).expect("SHA-256 is verified")
}

/// Of lengths that differ, so that the streams do not lie at the same places of the cache.
fn content(stream: usize) -> Vec<u8> {
    let mut bytes = vec![0x5a; PIECE + stream * 4096 + stream * 64];
    bytes.truncate(PIECE);
    bytes
}

fn speed(bytes: usize, start: Duration) -> f64 {
    let taken = (processor_time() - start).as_secs_f64();
    f64::from(u32::try_from(bytes).expect("less than 4 GiB")) / taken
}

/// The time that this thread has run, as `openssl speed` counts: a busy machine changes little.
fn processor_time() -> Duration {
    // The kernel counts when a thread gives way.
    std::thread::yield_now();
    let counted =
        std::fs::read_to_string("/proc/thread-self/schedstat").expect("the kernel to count");
    let nanoseconds = counted.split(' ').next().and_then(|number| number.parse().ok());
    Duration::from_nanos(nanoseconds.expect("a number"))
}

/// Bytes a second, from the line `+F:25:sha256:1551892480.00`.
fn openssl() -> f64 {
    let mut command = Command::new("openssl");
    command.args(["speed", "-mr", "-seconds", "1", "-bytes", "1048576", "-evp", "sha256"]);
    let printed = String::from_utf8(process::run(&mut command)).expect("ASCII");
    let line = printed.lines().find(|line| line.starts_with("+F:"));
    let speed = line.and_then(|line| line.rsplit_once(':')).expect("openssl speed to print +F");
    speed.1.parse().expect("a number")
}
