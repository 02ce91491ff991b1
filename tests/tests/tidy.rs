//! Lists that must agree with each other.

use std::collections::BTreeSet;
use std::path::Path;

use pullgate::audit::Reason;

#[test]
fn the_readme_explains_every_reason_and_no_other() {
    let readme = read("README.md");
    let table = readme.lines().skip_while(|line| !line.starts_with("| `REASON` |"));
    let rows = table.skip(2).take_while(|line| line.starts_with('|'));
    let explained: BTreeSet<&str> = rows
        .filter_map(|row| row.split('|').nth(1))
        .flat_map(|codes| codes.split('`').skip(1).step_by(2))
        .collect();
    let known: BTreeSet<&str> = Reason::ALL.iter().map(|reason| reason.code()).collect();
    assert_eq!(explained, known, "the table of README.md (left) and audit/reason.rs (right)");
}

#[test]
fn every_advisory_has_its_test() {
    let table = read("tests/advisories.md");
    let rows: Vec<&str> = table.lines().filter(|line| line.contains("::")).collect();
    assert!(rows.len() >= 20, "the table can only grow");
    for row in rows {
        let place = row.split('`').find(|part| part.contains("::")).expect("a test");
        let (file, name) = place.split_once("::").expect("file::test");
        let code = read(file);
        assert!(code.contains(&format!("fn {name}()")), "{file} has no test {name}");
    }
}

#[test]
fn the_shipped_configuration_holds_the_defaults() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging/config.toml");
    let text = std::fs::read_to_string(&path).expect("packaging/config.toml");
    let shipped = pullgate::config::Config::parse(&path, &text).expect("it is valid");
    let empty = pullgate::config::Config::parse(&path, "").expect("nothing is required");
    assert_eq!(shipped, empty);
}

/// A file of the tree.
fn read(path: &str) -> String {
    let full = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
    std::fs::read_to_string(full).expect(path)
}
