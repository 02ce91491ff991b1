//! Random policies, registries.d, references, keys, signatures and mutations of their bytes, decided by
//! skopeo and by us. Any disagreement fails and is printed with all that makes it up.
//!
//! `PULLGATE_DIFF_CASES` says how many, `PULLGATE_DIFF_SEED` which: a run with the same seed makes the
//! same choices. Keys and signatures differ from run to run.
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a panic fails the test, and the report goes to standard output"
)]

mod case;
mod chance;
mod keys;
mod verdict;

use std::path::Path;

use pullgate_tests::place;
use pullgate_tests::registry::{Access, Registry};
use pullgate_tests::version::Version;

use case::Case;
use chance::Chance;
use keys::Keys;

const CASES: u64 = 2000;
const SEED: u64 = 20_261_124;

/// How many cases are decided at a time.
const AT_A_TIME: u64 = 4;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn skopeo_says_the_same() {
    if !Version::available().contains(&Version::V2_1) {
        return;
    }
    let number = |name: &str, default: u64| {
        let text = std::env::var(name);
        text.map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name} is no number")))
    };
    let (cases, seed) = (number("PULLGATE_DIFF_CASES", CASES), number("PULLGATE_DIFF_SEED", SEED));
    let registry = Registry::start(Access::Open).await;
    let keys = Keys::new();
    let directory = place::on_disk("differential");
    let (mut accepted, mut refused, mut disagreements) = (0, 0, Vec::new());
    let mut next = 0;
    while next < cases {
        let mut running = Vec::new();
        for index in next..cases.min(next + AT_A_TIME) {
            let folder = directory.path().join(index.to_string());
            let mut chance = Chance::new(seed, index);
            let case = Case::make(&mut chance, index, &keys, &registry, &folder);
            running.push(tokio::spawn(async move { (verdict::both(&case).await, case) }));
        }
        next += AT_A_TIME;
        for task in running {
            let ((theirs, ours), case) = task.await.expect("a case does not panic");
            match (&theirs, &ours) {
                (Ok(()), Ok(())) => accepted += 1,
                (Err(_), Err(_)) => refused += 1,
                _ => disagreements.push(format!("{case}\nskopeo: {theirs:?}\nours: {ours:?}\n")),
            }
            remove(case.folder());
        }
        if disagreements.len() > 5 {
            break;
        }
    }
    println!("differential: seed {seed}, {accepted} accepted and {refused} refused by both");
    assert!(disagreements.is_empty(), "{}", disagreements.join("\n"));
    assert!(
        cases < 100 || (accepted * 8 > cases && refused * 8 > cases),
        "the cases say little: nearly all have the same verdict"
    );
}

fn remove(folder: &Path) {
    std::fs::remove_dir_all(folder).expect("a folder of our own");
}
