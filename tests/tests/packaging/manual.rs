//! The manual: each command, key and extension has its place in it.

use std::path::Path;
use std::process::Command;

use pullgate_tests::package::{manual, tree};
use pullgate_tests::process::run;

#[test]
fn every_command_has_a_page_and_is_completed() {
    let mut names = Vec::new();
    collect(&pullgate::ctl::command(), "pullgate", &mut names);
    assert!(names.iter().any(|name| name == "pullgate-policy-show"), "{names:?}");
    for name in &names {
        rendered(&manual().join("man1").join(format!("{name}.1")));
    }
    for file in ["bash/pullgate.bash", "fish/pullgate.fish", "zsh/_pullgate"] {
        let completions = std::fs::read_to_string(manual().join(file)).unwrap();
        for word in names.iter().flat_map(|name| name.split('-')) {
            assert!(completions.contains(word), "{file}: {word}");
        }
    }
}

#[test]
fn every_key_of_the_configuration_has_its_entry() {
    let config = std::fs::read_to_string(tree().join("packaging/config.toml")).unwrap();
    let keys: Vec<&str> = config.lines().filter_map(key).collect();
    assert!(keys.len() > 8, "{keys:?}");
    let page = rendered(&manual().join("man5/pullgate-config.toml.5"));
    for key in keys {
        assert!(page.lines().any(|line| line.trim_start().starts_with(key)), "{key}: {page}");
    }
}

#[test]
fn every_extension_of_the_policy_has_its_entry() {
    let page = rendered(&tree().join("packaging/man/pullgate-policy.5"));
    for member in [
        "digestBound",
        "signedManifest",
        "subjectURI",
        "subjectURIPattern",
        "trustedRootData",
        "trustedRootPath",
    ] {
        assert!(page.contains(member), "{member}");
    }
}

#[test]
fn the_pages_written_by_hand_are_clean() {
    let pages = ["pullgated.8", "pullgate-policy.5", "pullgate-journal.7", "pullgate-metrics.7"];
    for page in pages {
        let mut lint = Command::new("mandoc");
        run(lint.args(["-Tlint", "-Wwarning"]).arg(tree().join("packaging/man").join(page)));
    }
}

/// The names that commands have as pages: those of all above them, with dashes.
fn collect(command: &clap::Command, name: &str, names: &mut Vec<String>) {
    names.push(name.to_owned());
    for sub in command.get_subcommands().filter(|sub| !sub.is_hide_set()) {
        collect(sub, &format!("{name}-{}", sub.get_name()), names);
    }
}

/// `#key = value`: a key with its default, where a comment begins with `# `.
fn key(line: &str) -> Option<&str> {
    let (key, _) = line.strip_prefix('#')?.split_once(" = ")?;
    (!key.starts_with(' ')).then_some(key)
}

fn rendered(page: &Path) -> String {
    let text = run(Command::new("mandoc").args(["-Tascii"]).arg(page));
    // Bold letters are written twice, with a backspace between.
    let mut plain = String::new();
    for character in String::from_utf8(text).unwrap().chars() {
        if character == '\u{8}' {
            plain.pop();
        } else {
            plain.push(character);
        }
    }
    assert!(plain.contains("NAME"), "{}", page.display());
    plain
}
