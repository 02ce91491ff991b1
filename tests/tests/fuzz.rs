//! Replays the corpus of every fuzz target, with each crash that was ever found.

#![expect(clippy::expect_used, clippy::indexing_slicing, reason = "a panic fails the test")]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use pullgate_tests::fuzz::TARGETS;

#[test]
fn the_corpus_is_replayed() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    let mut broken = Vec::new();
    for (name, target) in TARGETS {
        let folder = corpus.join(name).read_dir().unwrap_or_else(|error| panic!("{name}: {error}"));
        let mut inputs = 0;
        for entry in folder {
            let path = entry.expect("an entry").path();
            let input = std::fs::read(&path).expect("a file");
            inputs += 1;
            if catch_unwind(AssertUnwindSafe(|| target(&input))).is_err() {
                broken.push(path);
            }
        }
        assert!(inputs > 0, "{name} has no corpus");
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

/// A little of what `make fuzz` does, where no nightly compiler is needed: each input of the corpus, changed
/// `PULLGATE_FUZZ_ROUNDS` times (default 8), the same in each run.
#[test]
fn changed_inputs_keep_the_promises() {
    let rounds = std::env::var("PULLGATE_FUZZ_ROUNDS");
    let rounds: u64 = rounds.map_or(8, |text| text.parse().expect("a number"));
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    for (name, target) in TARGETS {
        let folder = corpus.join(name).read_dir().expect("a corpus");
        let mut paths: Vec<_> = folder.map(|entry| entry.expect("an entry").path()).collect();
        paths.sort();
        let seeds: Vec<_> = paths.iter().map(|path| std::fs::read(path).expect("a file")).collect();
        for (number, seed) in seeds.iter().enumerate() {
            for round in 0..rounds {
                let mut state = round * 1_000_003 + u64::try_from(number).expect("a small number");
                let mut input = seed.clone();
                change(&mut input, &seeds, &mut state);
                let kept = catch_unwind(AssertUnwindSafe(|| target(&input)));
                assert!(kept.is_ok(), "{name}: {}", String::from_utf8_lossy(&input));
            }
        }
    }
}

/// Changes a few places: another bit, another byte, a piece less, a piece twice, a piece of another.
fn change(input: &mut Vec<u8>, others: &[Vec<u8>], state: &mut u64) {
    let mut below = |end: usize| {
        *state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(*state >> 33).expect("31 bits") % end.max(1)
    };
    for _ in 0..=below(3) {
        let (start, length) = (below(input.len()), below(24));
        let end = input.len().min(start + length);
        match below(6) {
            0 if !input.is_empty() => input[start] ^= 1 << below(8),
            1 if !input.is_empty() => {
                input[start] = *b"\0\"\\{}[]:,\xff\x80 0-9\n".get(below(17)).unwrap_or(&0);
            }
            2 => drop(input.drain(start..end)),
            3 => input.extend_from_within(start..end),
            4 => input.truncate(end),
            _ => {
                let other = &others[below(others.len())];
                let from = below(other.len());
                let piece = other[from..other.len().min(from + length)].to_vec();
                drop(input.splice(start..end, piece));
            }
        }
    }
}

#[test]
fn every_corpus_has_its_target_and_is_small() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    let (mut files, mut bytes) = (0, 0);
    for folder in corpus.read_dir().expect("a folder") {
        let folder = folder.expect("an entry").path();
        let name = folder.file_name().and_then(|name| name.to_str()).expect("a name");
        assert!(TARGETS.iter().any(|(target, _)| *target == name), "nothing reads corpus/{name}");
        for entry in folder.read_dir().expect("a folder") {
            files += 1;
            bytes += entry.expect("an entry").metadata().expect("a file").len();
        }
    }
    assert!(files <= 400 && bytes <= 1 << 20, "{files} files of {bytes} bytes in all");
    assert!(TARGETS.is_sorted_by_key(|(name, _)| name), "the targets are not in order");
}
