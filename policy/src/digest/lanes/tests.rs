use proptest::prelude::*;

use super::*;
use crate::digest::Digest;

/// Bytes that differ from stream to stream.
fn bytes(seed: usize, length: usize) -> Vec<u8> {
    (0..length).map(|at| (at * 31 + seed * 97 + at / 64).to_le_bytes()[0]).collect()
}

fn verifier(bytes: &[u8]) -> Verifier {
    Verifier::new(&Digest::sha256(bytes), bytes.len() as u64).expect("sha256")
}

/// Feeds the streams piece by piece and expects each to have the digest that the `sha2` crate computes.
fn check(lanes: Lanes, streams: &[Vec<u8>], pieces: &[usize]) {
    let mut verifiers: Vec<_> = streams.iter().map(|stream| verifier(stream)).collect();
    let mut rests: Vec<&[u8]> = streams.iter().map(Vec::as_slice).collect();
    let mut pieces = pieces.iter().cycle();
    while rests.iter().any(|rest| !rest.is_empty()) {
        let mut batch = Vec::new();
        for (verifier, rest) in verifiers.iter_mut().zip(&mut rests) {
            let piece = *pieces.next().expect("pieces to be repeated");
            let (now, later) = rest.split_at(piece.min(rest.len()));
            *rest = later;
            batch.push((verifier, now));
        }
        let results = lanes.update_all(&mut batch);
        assert_eq!(results, vec![Ok(()); streams.len()], "{lanes:?}");
    }
    for (number, (verifier, stream)) in verifiers.into_iter().zip(streams).enumerate() {
        let proof = verifier.finish();
        assert!(proof.is_ok(), "{lanes:?}: {proof:?}, stream {number} of {} bytes", stream.len());
    }
}

#[test]
fn every_length_and_number_of_streams() {
    // Miri takes a second for a block.
    let (step, counts) = if cfg!(miri) { (257, 1..=4) } else { (1, 1..=9) };
    for lanes in Lanes::available() {
        for length in (0..=512).step_by(step) {
            for count in counts.clone() {
                let streams: Vec<_> = (0..count).map(|seed| bytes(seed, length)).collect();
                check(lanes, &streams, &[512]);
            }
        }
    }
}

#[test]
fn unequal_streams_end_one_by_one() {
    for lanes in Lanes::available() {
        let streams: Vec<_> = [0, 1, 63, 64, 65, 700, 128, 1000, 64]
            .iter()
            .enumerate()
            .map(|(seed, length)| bytes(seed, *length))
            .collect();
        check(lanes, &streams, &[1000]);
        check(lanes, &streams, &[64, 1, 200]);
    }
}

#[test]
fn a_stream_with_a_byte_too_many_is_refused_and_spoils_no_other() {
    for lanes in Lanes::available() {
        let streams: Vec<_> = (0..4).map(|seed| bytes(seed, 256)).collect();
        let mut verifiers: Vec<_> = streams.iter().map(|stream| verifier(stream)).collect();
        let long = bytes(2, 257);
        let mut batch: Vec<_> =
            verifiers.iter_mut().zip(streams.iter().map(Vec::as_slice)).collect();
        batch[2].1 = &long;
        let too_long = Err(BlobMismatch::TooLong { expected: 256 });
        assert_eq!(lanes.update_all(&mut batch), [Ok(()), Ok(()), too_long, Ok(())]);
        for (number, verifier) in verifiers.into_iter().enumerate() {
            let proof = verifier.finish();
            match number {
                2 => assert_eq!(proof, Err(BlobMismatch::TooShort { expected: 256, missing: 256 })),
                _ => assert_eq!(proof.map(|proof| proof.size()), Ok(256), "{lanes:?}, {number}"),
            }
        }
    }
}

#[test]
fn other_bytes_are_refused_in_any_lane() {
    for lanes in Lanes::available() {
        for wrong in 0..8 {
            let mut streams: Vec<_> = (0..8).map(|seed| bytes(seed, 300)).collect();
            let mut verifiers: Vec<_> = streams.iter().map(|stream| verifier(stream)).collect();
            streams[wrong][150] ^= 1;
            let mut batch: Vec<_> =
                verifiers.iter_mut().zip(streams.iter().map(Vec::as_slice)).collect();
            assert!(lanes.update_all(&mut batch).iter().all(Result::is_ok));
            for (number, verifier) in verifiers.into_iter().enumerate() {
                let refused = matches!(verifier.finish(), Err(BlobMismatch::Digest { .. }));
                assert_eq!(refused, number == wrong, "{lanes:?}, stream {number}");
            }
        }
    }
}

#[test]
fn nothing_to_hash_is_no_work() {
    for lanes in Lanes::available() {
        assert_eq!(lanes.update_all(&mut []), []);
        assert!(!lanes.name().is_empty());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: if cfg!(miri) { 1 } else { 256 }, ..ProptestConfig::default() })]

    #[test]
    fn splits_over_streams_do_not_matter(
        streams in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..1500), 0..12),
        pieces in prop::collection::vec(1_usize..400, 1..7),
    ) {
        for lanes in Lanes::available() {
            check(lanes, &streams, &pieces);
        }
    }
}
