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
mod fetch;
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

/// Kinds that nothing here runs yet. The list can only shrink: a kind that has a runner may not
/// stand here. `policy-load` is about the user's home and environment, which a daemon ignores.
const UNCOVERED: &[&str] = &["accepted-signatures", "manifest-digest", "policy-load"];

/// Cases in which a pull is stricter than containers/image on purpose, with the reason. One in which it
/// is not any more fails the run.
const DIVERGENT: &[(&str, &str)] = &[
    (
        "policy-eval/digest-reference-mismatch-is-not-noticed-by-accept-anything-alone",
        "the manifest is compared with the reference's digest before the policy is asked",
    ),
    (
        "signature-fetch/attachments-size-field-is-not-checked",
        "a blob of another size than declared is not the blob that the manifest means",
    ),
];

/// The runners of every module.
const KINDS: &[&[(&str, Runner)]] =
    &[fetch::KINDS, lookaside::KINDS, names::KINDS, policy::KINDS, sigstore::KINDS, trust::KINDS];

fn main() -> ExitCode {
    let runners: BTreeMap<&str, Runner> = KINDS.iter().copied().flatten().copied().collect();
    let mut tally = Tally::default();
    tally.problems.extend(list_problems(&runners));
    for directory in corpora(&mut tally) {
        for case in Case::read_all(&directory) {
            tally.run(&case, &runners);
        }
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

/// What is wrong with the lists of kinds.
fn list_problems(runners: &BTreeMap<&str, Runner>) -> Vec<String> {
    let mut problems = Vec::new();
    if runners.len() != KINDS.iter().map(|kinds| kinds.len()).sum::<usize>() {
        problems.push("a kind has two runners".to_owned());
    }
    if !UNCOVERED.is_sorted() {
        problems.push("UNCOVERED is not sorted".to_owned());
    }
    for kind in UNCOVERED.iter().filter(|kind| runners.contains_key(**kind)) {
        problems.push(format!("{kind} has a runner and stands in UNCOVERED"));
    }
    problems
}

/// What came of the cases.
#[derive(Default)]
struct Tally {
    run: usize,
    failed: usize,
    uncovered: BTreeMap<String, usize>,
    stricter: usize,
    seen: BTreeSet<String>,
    problems: Vec<String>,
}

impl Tally {
    fn run(&mut self, case: &Case, runners: &BTreeMap<&str, Runner>) {
        if !self.seen.insert(case.identity()) {
            return;
        }
        let Some(runner) = runners.get(case.kind.as_str()) else {
            if !UNCOVERED.contains(&case.kind.as_str()) {
                self.problems.push(format!("kind {} has no runner", case.kind));
            }
            *self.uncovered.entry(case.kind.clone()).or_default() += 1;
            return;
        };
        self.run += 1;
        let result = catch_unwind(AssertUnwindSafe(|| runner(case)));
        let divergent = DIVERGENT.iter().find(|(name, _)| *name == case.name);
        match result {
            Ok(Ok(())) if divergent.is_some() => self.fail(case, "is not divergent any more"),
            Ok(Err(_)) if divergent.is_some() => self.stricter += 1,
            Ok(Ok(())) => {}
            Ok(Err(problem)) => self.fail(case, &problem),
            Err(_panic) => self.fail(case, "panicked"),
        }
        if case.was_left_out() {
            self.run -= 1;
            *self.uncovered.entry(case.kind.clone()).or_default() += 1;
        }
        self.stricter += usize::from(case.was_stricter());
    }

    fn fail(&mut self, case: &Case, problem: &str) {
        self.failed += 1;
        println!("FAILED {}: {problem}", case.name);
    }

    fn report(self) -> ExitCode {
        for (kind, count) in &self.uncovered {
            println!("uncovered: {kind} ({count})");
        }
        for problem in &self.problems {
            println!("FAILED {problem}");
        }
        println!("stricter than containers/image, as the corpus allows: {}", self.stricter);
        let uncovered: usize = self.uncovered.values().sum();
        let failed = self.failed + self.problems.len();
        println!("conformance: {} run, {failed} failed, {uncovered} uncovered", self.run);
        println!("{} passed, {failed} failed", self.run - self.failed);
        if failed == 0 && self.run > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}
