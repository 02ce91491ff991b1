//! Which policy.json is in force, asked of the real `pullgate` in a file system of its own.

use std::path::Path;
use std::process::Stdio;

use pullgate_tests::place;
use pullgate_tests::process::in_root;
use serde_json::{Value, json};

use crate::corpus::{Case, Runner};

/// The kinds that this module runs.
pub(crate) const KINDS: &[(&str, Runner)] = &[("policy-load", policy_load)];

fn policy_load(case: &Case) -> Result<(), String> {
    let root = tempfile::tempdir().expect("a scratch directory");
    let inside = |path: &str| root.path().join(path.trim_start_matches('/'));
    for (path, text) in case.inputs["files"].as_object().expect("an object") {
        write(&inside(path), text.as_str().expect("a text"));
    }
    for directory in case.inputs["dirs"].as_array().into_iter().flatten() {
        std::fs::create_dir_all(inside(directory.as_str().expect("a path"))).expect("a folder");
    }
    if let Some(path) = case.text("explicit_path") {
        write(&inside("/etc/pullgate/config.toml"), &format!("policy.path = '{path}'\n"));
    }
    let mut pullgate = in_root(root.path(), &place::built("pullgate"));
    pullgate.args(["policy", "show", "-o", "json"]);
    for (name, value) in case.inputs["env"].as_object().into_iter().flatten() {
        pullgate.env(name, value.as_str().expect("a text"));
    }
    let output = pullgate.stdin(Stdio::null()).output().expect("pullgate to run");
    case.check(&match output.status.code() {
        Some(0) => {
            let shown: Value = serde_json::from_slice(&output.stdout).expect("JSON");
            let scopes = shown["scopes"].as_array().expect("a list");
            let default = scopes.iter().find(|scope| scope["transport"] == "").expect("a default");
            json!({ "result": "ok", "default_type": default["requirements"][0] })
        }
        Some(USAGE) => json!({ "result": "error" }),
        _ => return Err(String::from_utf8_lossy(&output.stderr).into_owned()),
    })
}

/// The exit code that says that the configuration cannot be used.
const USAGE: i32 = 2;

fn write(path: &Path, text: &str) {
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
    std::fs::write(path, text).expect("a file");
}
