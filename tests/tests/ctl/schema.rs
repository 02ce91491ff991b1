//! What packaging/doc/json.md says that commands print, and what they do print.

use std::collections::BTreeSet;

use serde_json::Value;

/// The paths of members, as json.md writes them.
pub(crate) type Members = BTreeSet<String>;

/// Members whose value is of no fixed form.
const OPAQUE: [&str; 2] = ["ledger.outcomes", "requirement"];

/// What the manual says under the heading of a command.
pub(crate) fn documented(command: &str) -> Members {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../packaging/doc/json.md");
    let manual = std::fs::read_to_string(path).unwrap();
    let heading = format!("## `pullgate {command}`\n");
    let section = manual.split_once(&heading).expect("a section for the command").1;
    let section = section.split("\n## ").next().unwrap();
    let rows = section.lines().filter_map(|line| line.strip_prefix("| `"));
    let cells = rows.map(|row| row.split_once("` | ").expect("a row of two cells").0);
    cells.flat_map(|cell| cell.split("`, `")).flat_map(expand).collect()
}

/// `a.{b, c}` stands for `a.b` and `a.c`.
fn expand(path: &str) -> Vec<String> {
    let Some((prefix, names)) = path.split_once('{') else { return vec![path.to_owned()] };
    let names = names.strip_suffix('}').expect("a brace is closed").split(", ");
    names.map(|name| format!("{prefix}{name}")).collect()
}

/// The members of documents of one command.
pub(crate) fn printed(documents: &[Value]) -> Members {
    let mut found = Members::new();
    let mut null = Members::new();
    for document in documents {
        walk(document, String::new(), &mut found, &mut null);
    }
    // One that is null here may be an object there.
    let is_elsewhere =
        |path: &String| found.iter().any(|other| other.starts_with(&format!("{path}.")));
    null.retain(|path| !is_elsewhere(path));
    found.extend(null);
    found
}

fn walk(value: &Value, path: String, found: &mut Members, null: &mut Members) {
    match value {
        Value::Object(members) if !OPAQUE.contains(&&*path) => {
            for (name, member) in members {
                let dot = if path.is_empty() { "" } else { "." };
                walk(member, format!("{path}{dot}{name}"), found, null);
            }
        }
        Value::Array(entries) => {
            for entry in entries {
                walk(entry, format!("{path}[]"), found, null);
            }
        }
        Value::Null => drop(null.insert(path)),
        Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => {
            found.insert(path);
        }
    }
}
