use std::time::Duration;

use pullgate_policy::digest::Digest;
use tokio::time::timeout;

use super::*;

/// Far longer than any of this takes.
const PATIENCE: Duration = Duration::from_secs(60);

fn verifier(bytes: &[u8]) -> Verifier {
    Verifier::new(&Digest::sha256(bytes), bytes.len() as u64).unwrap()
}

fn content(seed: u8, length: usize) -> Bytes {
    (0..length).map(|at| (at / 7).to_le_bytes()[0] ^ seed).collect()
}

/// Every way to hash that this machine has.
fn ways() -> Vec<Hashing> {
    let threads = Lanes::available().into_iter().map(|lanes| Hashing::start(lanes).unwrap().0);
    threads.chain([Hashing::by_each_pull()]).collect()
}

async fn feed(hashing: &Hashing, bytes: Bytes, piece: usize) -> Result<VerifiedBlob, HashingError> {
    let mut hasher = hashing.begin(verifier(&bytes));
    let mut rest = bytes;
    while !rest.is_empty() {
        hasher = hasher.update(&rest.split_to(piece.min(rest.len()))).await?;
    }
    hasher.finish().await
}

#[tokio::test]
async fn streams_of_any_length_and_pace_are_verified() {
    for hashing in ways() {
        let streams = [(0, 1), (1, 1), (100, 7), (1 << 20, 16_384), (3 << 20, 2 << 20), (77, 77)];
        let feeds = streams
            .iter()
            .zip(0..)
            .map(|((length, piece), seed)| feed(&hashing, content(seed, *length), *piece));
        let proofs = timeout(PATIENCE, futures_util::future::try_join_all(feeds));
        let proofs = proofs.await.expect("an end").expect("the right bytes");
        for ((length, _), proof) in streams.iter().zip(proofs) {
            assert_eq!(proof.size(), *length as u64, "{hashing:?}");
        }
    }
}

#[tokio::test]
async fn wrong_streams_are_refused_and_right_ones_beside_them_are_not() {
    for hashing in ways() {
        let right = content(1, 200_000);
        let mut other = right.to_vec();
        other[123_456] ^= 1;
        let cases = [
            (other.clone(), "expected "),
            (right.slice(..199_999).to_vec(), "ended 1 bytes before the declared 200000"),
            ([&right[..], b"x"].concat(), "longer than the declared 200000 bytes"),
        ];
        for (bytes, expected) in cases {
            let wrong = async {
                let mut hasher = hashing.begin(verifier(&right));
                for piece in Bytes::from(bytes).chunks(1000) {
                    hasher = hasher.update(&Bytes::copy_from_slice(piece)).await?;
                }
                hasher.finish().await
            };
            let both = async { tokio::join!(wrong, feed(&hashing, content(2, 300_000), 1000)) };
            let (wrong, beside) = timeout(PATIENCE, both).await.expect("an end");
            let error = wrong.expect_err(expected);
            assert!(matches!(error, HashingError::Mismatch(_)), "{error:?}");
            assert!(error.to_string().starts_with(expected), "{error}, expected {expected}");
            assert_eq!(beside.expect("the right bytes").size(), 300_000);
        }
    }
}

/// The update that comes after the refusal says it, too: no stream goes on for nothing.
#[tokio::test]
async fn a_stream_that_was_refused_takes_no_more() {
    for hashing in ways() {
        let mut hasher = hashing.begin(verifier(b"ab"));
        let error = loop {
            match hasher.update(&Bytes::from_static(b"abc")).await {
                Ok(same) => hasher = same,
                Err(error) => break error,
            }
            tokio::task::yield_now().await;
        };
        let too_long = BlobMismatch::TooLong { expected: 2 };
        assert!(matches!(error, HashingError::Mismatch(found) if found == too_long));
    }
}

#[tokio::test]
async fn a_slow_thread_makes_the_pull_wait() {
    let (thread, mut arrivals) = mpsc::unbounded_channel();
    let hashing = Hashing { thread: Some(thread) };
    let hasher = hashing.begin(verifier(b""));
    let stream = arrivals.recv().await.expect("the stream");
    let hasher = hasher.update(&content(0, WAITING)).await.expect("room for as much");
    let byte = Bytes::from_static(b"x");
    let mut more = Box::pin(hasher.update(&byte));
    assert!(futures_util::poll!(&mut more).is_pending(), "no room for a byte more");
    drop(stream);
    let error = timeout(PATIENCE, more).await.expect("an end").expect_err("nobody hashes it");
    assert!(matches!(error, HashingError::Stopped), "{error:?}");
}

#[tokio::test]
async fn without_a_thread_there_is_no_proof() {
    let (thread, _) = mpsc::unbounded_channel();
    let hashing = Hashing { thread: Some(thread) };
    let error = feed(&hashing, Bytes::new(), 1).await.expect_err("nobody hashes it");
    assert!(error.to_string().contains("interleave_hashing = false"), "{error}");
    let error = feed(&hashing, content(0, 10), 1).await.expect_err("nobody hashes it");
    assert!(matches!(error, HashingError::Stopped), "{error:?}");
}

#[tokio::test]
async fn cancelled_pulls_leave_nothing_and_the_thread_ends_with_its_owner() {
    for lanes in Lanes::available() {
        let (hashing, thread) = Hashing::start(lanes).unwrap();
        let bytes = content(0, 100_000);
        let cancelled = hashing.begin(verifier(&bytes));
        let cancelled = cancelled.update(&bytes.slice(..50_000)).await.expect("room");
        let last = hashing.begin(verifier(&bytes));
        drop((cancelled, hashing));
        let last = last.update(&bytes).await.expect("room");
        assert_eq!(last.finish().await.expect("the right bytes").size(), 100_000);
        let ended = tokio::task::spawn_blocking(move || thread.join().is_ok());
        assert!(timeout(PATIENCE, ended).await.expect("the thread to end").unwrap());
    }
}
