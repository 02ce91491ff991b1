//! `make bench`: pulls through pullgate against containerd's own, hashing against OpenSSL, what the gate
//! adds to calls that it passes on, and how the time of a pull grows.
//!
//! Both sides pull the same image from the same registry in turn, each time into an empty store. A row
//! gives the median of its figures and how far they spread; ratios of neighbours mean the same on a fast
//! machine and on a busy one. Also written to `target/bench.json`. `measure create`, `hash`, `proxy`, `pull`,
//! `memory`, `growth` and `decide` do one part, `measure pull five` one image, `measure growth rows` one table;
//! `measure check` compares the last run with the committed one.
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    reason = "a measurement prints, and ends where it cannot go on"
)]

use std::process::ExitCode;

use pullgate_tests::version::Version;
use pullgate_tests::{latency, place};

mod check;
mod decide;
mod disk;
mod growth;
mod hash;
mod memory;
mod proxy;
mod pull;
mod row;

use self::row::{Report, Row};

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let what = arguments.next();
    if what.as_deref() == Some("check") {
        return checked();
    }
    disk::begin();
    measure(what.as_deref(), &arguments.collect::<Vec<_>>());
    ExitCode::SUCCESS
}

#[tokio::main]
async fn measure(what: Option<&str>, names: &[String]) {
    let is_wanted = |part: &str| what.is_none_or(|what| what == part);
    let mut report = Report::default();
    if is_wanted("create") {
        for version in Version::available() {
            let rounds = latency::creating(version).await;
            report.added(&format!("create, cached, {version}:"), &rounds);
        }
    }
    if is_wanted("hash") {
        for (name, ratios) in hash::ratios() {
            report.add(Row::ratios(name, ratios));
        }
    }
    if is_wanted("proxy") {
        proxy::measure(&mut report).await;
    }
    if is_wanted("pull") {
        pull::measure(names, &mut report).await;
    }
    if is_wanted("memory") {
        memory::measure(&mut report).await;
    }
    if is_wanted("growth") {
        growth::measure(names, &mut report).await;
    }
    if is_wanted("decide") {
        decide::measure(&mut report);
    }
    if what.is_none() {
        let json = serde_json::to_vec_pretty(&report.0).expect("rows of numbers and text");
        std::fs::write(place::target().join("bench.json"), json).expect("bench.json to be written");
    }
}

/// Whether a part is measured: those that are named, or all.
fn is_named(names: &[String], part: &str) -> bool {
    names.is_empty() || names.iter().any(|name| name == part)
}

/// Fails if what was measured last is worse than what is committed.
fn checked() -> ExitCode {
    let measured = std::fs::read(place::target().join("bench.json")).expect("`make bench` first");
    let rows = |json: &[u8]| -> Vec<Row> { serde_json::from_slice(json).expect("rows") };
    let regressions = check::regressions(&rows(include_bytes!("committed.json")), &rows(&measured));
    if regressions.is_empty() {
        println!("nothing is slower than before");
        return ExitCode::SUCCESS;
    }
    println!("slower than before:\n{}", regressions.join("\n"));
    ExitCode::FAILURE
}
