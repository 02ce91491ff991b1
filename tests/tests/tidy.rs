//! Lists that must agree with each other.
#![expect(clippy::expect_used, reason = "a file of the tree that is missing fails the test")]

use std::collections::BTreeSet;
use std::path::Path;

use pullgate::audit::{FIELDS, Reason, message_id};

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
fn the_manual_explains_every_record_field_and_reason_and_no_other() {
    let manual = read("packaging/man/pullgate-journal.7");
    let section = |name: &str| {
        let (_, rest) = manual.split_once(&format!(".SH {name}\n")).expect(name);
        rest.split("\n.SH").next().unwrap_or_default().to_owned()
    };
    let entries = |name: &str| -> BTreeSet<String> {
        let text = section(name);
        text.split("\n.TP\n").skip(1).map(|entry| format!("{}\n", entry.trim_end())).collect()
    };
    let fields = FIELDS.iter().map(|(name, holds)| format!(".B {name}\n{holds}\n"));
    assert_eq!(entries("FIELDS"), fields.collect(), "manual (left) and audit/fields.rs (right)");
    let reasons = Reason::ALL.iter().map(|reason| {
        let (outcome, means, remedy) =
            (reason.outcome().as_str(), reason.meaning(), reason.remedy());
        format!(".BR {reason} \" ({outcome})\"\n{means}\n.br\n{remedy}\n")
    });
    assert_eq!(entries("REASON CODES"), reasons.collect(), "manual and audit/reason.rs");
    let kinds = entries("KINDS OF RECORDS");
    let kinds = kinds.iter().filter_map(|entry| entry.lines().next()?.strip_prefix(".B "));
    let known = message_id::ALL.iter().map(|(_, id)| *id);
    assert_eq!(kinds.collect::<BTreeSet<_>>(), known.collect(), "manual and audit/outcome.rs");
}

#[test]
fn every_field_that_is_written_is_listed() {
    let known: BTreeSet<&str> = FIELDS.iter().map(|(name, _)| *name).collect();
    let names: BTreeSet<&str> = message_id::ALL.iter().map(|(name, _)| *name).collect();
    let field = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
    let mut written = BTreeSet::new();
    for (path, text) in sources("plugin/src") {
        for line in text.lines() {
            let Some((name, _)) = line.trim_start().split_once(" = ") else { continue };
            let ours = name.starts_with(|first: char| first.is_ascii_uppercase());
            if ours && name.bytes().all(field) && !names.contains(name) {
                assert!(known.contains(name), "{path} writes {name}");
                written.insert(name.to_owned());
            }
        }
    }
    // Some have the name of a kind of record as well; VERSION is a constant where it is written.
    let unwritten: Vec<&str> = known
        .into_iter()
        .filter(|name| !written.contains(*name) && !names.contains(name) && *name != "VERSION")
        .collect();
    assert!(unwritten.is_empty(), "listed and never written: {unwritten:?}");
}

/// Every source file below `folder`, with its path.
fn sources(folder: &str) -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(folder);
    let mut found = Vec::new();
    let mut folders = vec![root];
    while let Some(folder) = folders.pop() {
        for entry in folder.read_dir().expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|kind| kind == "rs") {
                let text = std::fs::read_to_string(&path).expect("a source file");
                found.push((path.display().to_string(), text));
            }
        }
    }
    found
}

#[test]
fn the_catalogue_has_every_record_in_both_languages() {
    let known: BTreeSet<&str> = message_id::ALL.iter().map(|(_, id)| *id).collect();
    let fields: BTreeSet<&str> = FIELDS.iter().map(|(name, _)| *name).collect();
    let [english, japanese] = ["pullgate.catalog", "pullgate.ja.catalog"]
        .map(|name| read(&format!("packaging/catalog/{name}")));
    for text in [&english, &japanese] {
        let entries: BTreeSet<&str> =
            text.lines().filter_map(|line| line.strip_prefix("-- ")).collect();
        assert_eq!(entries, known, "the catalogue and audit/outcome.rs");
        for name in placeholders(text) {
            assert!(fields.contains(name), "@{name}@ is no field of a record");
        }
    }
    let entries = |text: &str| -> Vec<BTreeSet<String>> {
        text.split("\n-- ").map(|entry| placeholders(entry).map(str::to_owned).collect()).collect()
    };
    assert_eq!(entries(&english), entries(&japanese), "both languages say the same");
}

/// The `@FIELD@`s of a catalogue.
fn placeholders(text: &str) -> impl Iterator<Item = &str> {
    text.split('@').skip(1).step_by(2)
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
