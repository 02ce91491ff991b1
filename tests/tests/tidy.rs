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
fn the_shipped_configuration_holds_the_defaults() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging/config.toml");
    let text = std::fs::read_to_string(&path).expect("packaging/config.toml");
    let shipped = pullgate::config::Config::parse(&path, &text).expect("it is valid");
    let empty = pullgate::config::Config::parse(&path, "").expect("nothing is required");
    assert_eq!(shipped, empty);
}
