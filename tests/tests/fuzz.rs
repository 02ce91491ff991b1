//! Replays the corpus of every fuzz target, with each crash that was ever found.

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
