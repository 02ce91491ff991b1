//! Runs the conformance corpus: the shared one beside the checkout, and our own cases.
//!
//! `PULLGATE_CONFORMANCE_DIR` names another corpus of the same format. A corpus that is missing fails
//! the run in CI and is announced elsewhere.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    reason = "a panic fails its case, and the report goes to standard output"
)]

mod corpus;
mod divergence;
mod fetch;
mod load;
mod lookaside;
mod names;
mod policy;
mod sigstore;
mod trust;

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use corpus::{Case, Runner};
use divergence::Divergences;

/// The runners of every module.
const KINDS: &[&[(&str, Runner)]] = &[
    fetch::KINDS,
    load::KINDS,
    lookaside::KINDS,
    names::KINDS,
    policy::KINDS,
    sigstore::KINDS,
    trust::KINDS,
];

fn main() -> ExitCode {
    let runners: BTreeMap<&str, Runner> = KINDS.iter().copied().flatten().copied().collect();
    let mut tally = Tally { divergences: Divergences::read(), ..Tally::default() };
    if runners.len() != KINDS.iter().map(|kinds| kinds.len()).sum::<usize>() {
        tally.problems.push("a kind has two runners".to_owned());
    }
    let corpora = corpora(&mut tally);
    for directory in &corpora {
        for case in Case::read_all(directory) {
            tally.run(&case, &runners);
        }
    }
    // Without the shared corpus most cases that diverge are not there.
    if corpora.len() > 1 {
        let gone = tally.divergences.unmet(&tally.names);
        tally
            .problems
            .extend(gone.iter().map(|name| format!("{name} diverges, but there is no such case")));
    }
    tally.report()
}

/// The directories to run, our own last: it holds cases that are part of the shared corpus too.
fn corpora(tally: &mut Tally) -> Vec<PathBuf> {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let own = repository.join("tests/conformance");
    let shared = std::env::var_os("PULLGATE_CONFORMANCE_DIR")
        .map_or_else(|| repository.join("../shared/conformance"), PathBuf::from);
    if shared.join("cases.json").is_file() {
        return vec![shared, own];
    }
    if std::env::var("CI").as_deref() == Ok("true") {
        tally.problems.push(format!("no corpus in {}", shared.display()));
    } else {
        println!("NOT RUN: no corpus in {}; only our own cases are run", shared.display());
    }
    vec![own]
}

/// What came of the cases.
#[derive(Default)]
struct Tally {
    divergences: Divergences,
    run: usize,
    failed: usize,
    divergent: usize,
    seen: BTreeSet<String>,
    names: BTreeSet<String>,
    problems: Vec<String>,
}

impl Tally {
    fn run(&mut self, case: &Case, runners: &BTreeMap<&str, Runner>) {
        self.names.insert(case.name.clone());
        if !self.seen.insert(case.identity()) {
            return;
        }
        let Some(runner) = runners.get(case.kind.as_str()) else {
            self.problems
                .push(format!("kind {} has no runner: {} is not run", case.kind, case.name));
            return;
        };
        self.run += 1;
        let result = catch_unwind(AssertUnwindSafe(|| runner(case)));
        let result = result.unwrap_or_else(|_panic| Err("panicked".to_owned()));
        let result = match self.divergences.of(&case.name) {
            Some(divergence) => {
                self.divergent += 1;
                divergence.confirm(&result, &case.expected, &case.found())
            }
            None => result,
        };
        if let Err(problem) = result {
            self.failed += 1;
            println!("FAILED {}: {problem}", case.name);
        }
    }

    fn report(self) -> ExitCode {
        for problem in &self.problems {
            println!("FAILED {problem}");
        }
        let failed = self.failed + self.problems.len();
        println!(
            "decided otherwise than containers/image, as divergences.toml says: {}",
            self.divergent
        );
        println!("conformance: {} run, {failed} failed", self.run);
        println!("{} passed, {failed} failed", self.run - self.failed);
        if failed == 0 && self.run > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}
