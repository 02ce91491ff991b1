//! Lists that must agree with each other.

use std::path::Path;

use pullgate_policy::decision::Code;

#[test]
fn every_reason_stands_in_the_readme() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md");
    let readme = std::fs::read_to_string(path).expect("README.md");
    for code in Code::ALL {
        let name = code.as_str();
        assert!(readme.contains(&format!("`{name}`")), "README.md does not explain {name}");
    }
}

#[test]
fn every_advisory_has_its_test() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let table = std::fs::read_to_string(root.join("tests/advisories.md")).expect("the table");
    let rows: Vec<&str> = table.lines().filter(|line| line.contains("::")).collect();
    assert!(rows.len() >= 20, "the table can only grow");
    for row in rows {
        let place = row.split('`').find(|part| part.contains("::")).expect("a test");
        let (file, name) = place.split_once("::").expect("file::test");
        let code = std::fs::read_to_string(root.join(file)).expect(file);
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
