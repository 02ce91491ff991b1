//! Random policies, registries.d, references, keys, signatures and mutations of their bytes, decided by
//! skopeo and by us. Any disagreement fails; it is made as small as it gets and printed with what
//! repeats it.
//!
//! `PULLGATE_DIFF_CASES` says how many, `PULLGATE_DIFF_SEED` which, `PULLGATE_DIFF_ONLY` picks one: a run
//! with the same seed makes the same choices. Keys and signatures differ from run to run.
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    reason = "a panic fails the test, and the report goes to standard output"
)]

mod case;
mod chance;
mod keys;
mod plan;
mod shrink;
mod verdict;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use pullgate_tests::place;
use pullgate_tests::registry::{Access, Registry};
use pullgate_tests::server::Server;
use pullgate_tests::version::Version;
use tempfile::TempDir;

use case::{Case, World};
use chance::Chance;
use keys::Keys;
use plan::Plan;
use verdict::{Gates, Verdict};

const CASES: u64 = 2000;
const SEED: u64 = 20_261_124;

/// How many cases are decided at a time.
const AT_A_TIME: u64 = 4;

/// How many disagreements are worth telling.
const ENOUGH: usize = 5;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn skopeo_says_the_same() {
    if !Version::available().contains(&Version::V2_1) {
        return;
    }
    let seed = number("PULLGATE_DIFF_SEED").unwrap_or(SEED);
    let only = number("PULLGATE_DIFF_ONLY");
    let cases = number("PULLGATE_DIFF_CASES").unwrap_or(CASES);
    let range = only.map_or(0..cases, |index| index..index + 1);
    let (world, _folder) = world().await;
    let (mut accepted, mut refused, mut disagreements) = (0, 0, Vec::new());
    let mut next = range.start;
    while next < range.end && disagreements.len() < ENOUGH {
        let mut running = Vec::new();
        for index in next..range.end.min(next + AT_A_TIME) {
            let plan = Plan::new(&mut Chance::new(seed, index), index, world.keys.count());
            let world = Arc::clone(&world);
            running.push((
                index,
                plan.clone(),
                tokio::spawn(async move { decided(&plan, &world).await.0 }),
            ));
        }
        next += AT_A_TIME;
        for (index, plan, task) in running {
            match task.await.expect("a case does not panic") {
                (Ok(()), Ok(())) => accepted += 1,
                (Err(_), Err(_)) => refused += 1,
                verdicts => disagreements.push((index, plan, verdicts)),
            }
        }
    }
    println!("differential: seed {seed}, {accepted} accepted and {refused} refused by both");
    let mut told = Vec::new();
    for (index, plan, (theirs, ours)) in disagreements {
        let small = tell(seed, index, plan, &world, |_, ours| ours).await;
        told.push(format!("{small}as it was found: skopeo: {theirs:?}\nours: {ours:?}\n"));
    }
    assert!(told.is_empty(), "{}", told.join("\n"));
    assert!(
        range.end - range.start < 100 || (accepted * 8 > cases && refused * 8 > cases),
        "the cases say little: nearly all have the same verdict"
    );
}

/// A mistake is planted on our side: whoever has a key of the policy may sign any name. What is told of
/// it is no more than it takes to see it.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_disagreement_is_made_small() {
    if !Version::available().contains(&Version::V2_1) {
        return;
    }
    let (world, _folder) = world().await;
    let plant = |plan: &Plan, ours: Verdict| match ours {
        Err(reason) if reason.contains("policy expects") && plan.slip.is_none() => Ok(()),
        other => other,
    };
    let mut index = 0;
    let plan = loop {
        let plan = Plan::new(&mut Chance::new(SEED, index), index, world.keys.count());
        let large = plan.signatures.len() > 2 && !plan.scopes.is_empty();
        let ((theirs, ours), _) = decided(&plan, &world).await;
        if large && theirs.is_ok() != plant(&plan, ours).is_ok() {
            break plan;
        }
        index += 1;
        assert!(index < 500, "no case shows the planted mistake");
    };
    let small = smallest(plan.clone(), &world, plant).await;
    assert_eq!(small.signatures.len(), 1, "{small:#?}");
    assert!(small.scopes.len() <= 1 && small.default.len() == 1, "{small:#?}");
    let lines: usize = small.files.iter().flatten().map(|section| section.lines.len()).sum();
    assert!(small.files.len() <= 1 && lines <= 1, "{small:#?}");
    assert_eq!((small.host, small.tag, small.slip), ("@HOST@", "v1", None));
    let told = tell(SEED, index, plan, &world, plant).await;
    let again = format!("PULLGATE_DIFF_SEED={SEED} PULLGATE_DIFF_ONLY={index} make differential");
    assert!(told.contains(&again) && told.contains("policy.json: {"), "{told}");
}

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is no number")))
}

async fn world() -> (Arc<World>, TempDir) {
    let directory = place::on_disk("differential");
    let world = World {
        registry: Registry::start(Access::Open).await,
        keys: Keys::new(),
        gates: Gates::default(),
        written: AtomicU64::new(0),
        folder: directory.path().to_owned(),
        store: Server::of_files(directory.path()).await,
    };
    (Arc::new(world), directory)
}

/// What both sides say of a plan, theirs first, and how they were asked.
async fn decided(plan: &Plan, world: &World) -> ((Verdict, Verdict), String) {
    let case = Case::write(plan, world);
    let verdicts = verdict::both(&case, &world.gates).await;
    std::fs::remove_dir_all(case.folder()).expect("a folder of our own");
    (verdicts, case.to_string())
}

/// The smallest plan about which both sides still disagree, with our verdict changed by `plant`.
async fn smallest(plan: Plan, world: &World, plant: impl Fn(&Plan, Verdict) -> Verdict) -> Plan {
    let shows = async |plan: &Plan| {
        let ((theirs, ours), _) = decided(plan, world).await;
        theirs.is_ok() != plant(plan, ours).is_ok()
    };
    shrink::smallest(plan, shows).await
}

/// A disagreement in words: the smallest case that shows it, and what repeats it.
async fn tell(
    seed: u64,
    index: u64,
    plan: Plan,
    world: &World,
    plant: impl Fn(&Plan, Verdict) -> Verdict,
) -> String {
    let small = smallest(plan, world, &plant).await;
    let ((theirs, ours), case) = decided(&small, world).await;
    let ours = plant(&small, ours);
    format!(
        "PULLGATE_DIFF_SEED={seed} PULLGATE_DIFF_ONLY={index} make differential\n\
         {case}skopeo: {theirs:?}\nours: {ours:?}\n"
    )
}
