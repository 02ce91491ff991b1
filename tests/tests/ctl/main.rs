//! What the command `pullgate` prints, word for word.

#![expect(clippy::expect_used, clippy::unwrap_used, reason = "a test ends where it cannot go on")]

mod check;
mod doctor;
mod history;
mod inspect;
mod json;
mod keys;
mod node;
mod policy;
mod schema;
mod scrub;
mod status;
mod verify;

use std::path::Path;
use std::process::{Command, Output};

use pullgate::audit::Reason;
use pullgate_tests::place;

/// Runs `pullgate` with a `config.toml` of this text.
fn pullgate(directory: &Path, config: &str, arguments: &[&str]) -> Output {
    let path = directory.join("config.toml");
    std::fs::write(&path, config).unwrap();
    let mut command = Command::new(place::built("pullgate"));
    command.arg("--config").arg(path).args(arguments);
    command.output().unwrap()
}

#[test]
fn the_policy_in_force_is_shown_scope_by_scope() {
    let directory = place::for_sockets("ctl");
    let policy = directory.path().join("policy.json");
    let text = r#"{"default":[{"type":"reject"}],"transports":{"docker":{"example.com/team":
        [{"type":"insecureAcceptAnything"},{"type":"reject"}]}}}"#;
    std::fs::write(&policy, text).unwrap();
    let config = format!(
        "policy.path = '{}'\npolicy.registries_d = '{}'",
        policy.display(),
        directory.path().join("none").display()
    );
    let shown = pullgate(directory.path(), &config, &["policy", "show"]);
    let text = String::from_utf8(shown.stdout).unwrap();
    let (head, table) = text.split_once('\n').unwrap();
    assert!(head.starts_with(&format!("policy {} (sha256:", policy.display())), "{head}");
    assert_eq!(
        table,
        "TRANSPORT  SCOPE             REQUIREMENTS\n\
         docker     example.com/team  insecureAcceptAnything, reject\n\
         default    *                 reject\n"
    );
    assert_eq!(shown.status.code(), Some(0));

    let shown = pullgate(directory.path(), &config, &["policy", "show", "-o", "json"]);
    let json: serde_json::Value = serde_json::from_slice(&shown.stdout).unwrap();
    assert_eq!(json.pointer("/scopes/0/scope").unwrap(), "example.com/team");

    std::fs::write(&policy, "{}").unwrap();
    let shown = pullgate(directory.path(), &config, &["policy", "show"]);
    let complaint = String::from_utf8(shown.stderr).unwrap();
    assert!(complaint.contains("policy.json: "), "{complaint}");
    assert_eq!((shown.status.code(), shown.stdout.len()), (Some(2), 0));
}

#[test]
fn reasons_are_explained_without_a_configuration() {
    let directory = place::for_sockets("ctl");
    let explain = |arguments: &[&str]| {
        let shown = pullgate(directory.path(), "not toml", &[&["explain"], arguments].concat());
        (shown.status.code(), String::from_utf8([shown.stdout, shown.stderr].concat()).unwrap())
    };
    let one = "KEY_UNKNOWN (rejected)\n\
         what happened: the image is signed, but by no key of the policy's files\n\
         what to do:    add the key that the message names to keyPath if you trust it\n";
    assert_eq!(explain(&["key_unknown"]), (Some(0), one.to_owned()));
    let unknown = "pullgate: there is no reason `KEY\\n`: pullgate explain lists all\n";
    assert_eq!(explain(&["KEY\n"]), (Some(2), unknown.to_owned()));

    let (code, table) = explain(&[]);
    let (head, rows) = table.split_once('\n').unwrap();
    assert_eq!((code, head), (Some(0), "REASON                  OUTCOME    WHAT HAPPENED"));
    assert_eq!(rows.lines().count(), Reason::ALL.len());

    let (_, json) = explain(&["ABANDONED", "-o", "json"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    let entry = json.pointer("/reasons/0").unwrap();
    let members: Vec<&str> = entry.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(members, ["code", "meaning", "outcome", "remedy"]);
}

#[test]
fn what_containerd_passes_to_a_verifier_is_a_command() {
    let mut command = Command::new(place::built("pullgate"));
    command.args(["-name", "a/b:c", "-digest", "sha256:0", "-stdin-media-type", "t"]);
    let refused = command.stdin(std::process::Stdio::null()).output().unwrap();
    let reason = String::from_utf8(refused.stdout).unwrap();
    assert!(reason.starts_with("standard input has no descriptor"), "{reason}");
    assert_eq!(refused.status.code(), Some(1));
}
