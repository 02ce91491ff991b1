//! `pullgate history`.

use std::time::{Duration, SystemTime};

use pullgate::audit::Outcome;
use pullgate::ledger::{Bounds, Digests, Door, Entry, Evidence, Signer, Store};
use pullgate_policy::digest::Digest;
use pullgate_tests::place;

use crate::pullgate;

fn entry(seconds: u64, name: &str, outcome: Outcome, reason: &str) -> Entry {
    let digest = |what: &str| Digest::sha256(format!("{name} {what}").as_bytes());
    Entry {
        at: SystemTime::UNIX_EPOCH + Duration::from_secs(seconds),
        door: Door::Pull,
        pull_id: "7-1".to_owned(),
        name: name.to_owned(),
        image: Some(Digests { manifest: digest("m"), config: digest("c"), index: None }),
        policy: Some(digest("policy")),
        scope: Some("default".to_owned()),
        outcome,
        reason: reason.to_owned(),
        message: String::new(),
        signers: vec![Signer { name: Some("Release".to_owned()), fingerprint: "AA".to_owned() }],
        namespace: "team".to_owned(),
        pod: "pod".to_owned(),
    }
}

#[test]
fn decisions_are_listed_while_the_ledger_is_written() {
    let directory = place::for_sockets("history");
    let ledger = directory.path().join("ledger.db");
    let bounds = Bounds { max_rows: 1000, retention: Duration::from_secs(1 << 40) };
    let mut store = Store::open(&ledger, bounds).unwrap();
    let foreign = Entry {
        namespace: String::new(),
        door: Door::Create,
        ..entry(1_800_000_060, "example.com/\u{1b}[2Jb:1", Outcome::Rejected, "SIGNATURE_MISSING")
    };
    let accepted = entry(1_800_000_000, "example.com/a:1", Outcome::Accepted, "SIGNED");
    for entry in [&accepted, &foreign] {
        store.record(entry, &Evidence::default()).unwrap();
    }
    let config = format!("ledger.path = '{}'", ledger.display());
    let shown = |arguments: &[&str]| {
        let arguments = [&["history"], arguments].concat();
        let output = pullgate(directory.path(), &config, &arguments);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(
        shown(&[]),
        "TIME                  DOOR    OUTCOME   REASON             NAMESPACE  IMAGE\n\
         2027-01-15T08:01:00Z  create  rejected  SIGNATURE_MISSING  -          example.com/\\u{1b}[2Jb:1\n\
         2027-01-15T08:00:00Z  pull    accepted  SIGNED             team       example.com/a:1\n"
    );
    for (arguments, rows) in [
        (&["--outcome", "accepted"][..], 1),
        (&["--namespace", "team"], 1),
        (&["--image", "example.com"], 2),
        (&["--limit", "1"], 1),
        (&["--since", "100000d"], 2),
        (&["--image", "other"], 0),
    ] {
        assert_eq!(shown(arguments).lines().count(), 1 + rows, "{arguments:?}");
    }
    let json: serde_json::Value =
        serde_json::from_str(&shown(&["-o", "json", "--outcome", "accepted"])).unwrap();
    let first = json.pointer("/entries/0").unwrap();
    let id = Digest::sha256(b"example.com/a:1 c").to_string();
    for (member, expected) in [
        ("/time", "2027-01-15T08:00:00Z"),
        ("/image", "example.com/a:1"),
        ("/image_id", &id),
        ("/signers/0/fingerprint", "AA"),
        ("/reason", "SIGNED"),
    ] {
        assert_eq!(first.pointer(member).unwrap(), expected, "{member}");
    }
}

#[test]
fn a_ledger_that_is_not_there_is_named() {
    let directory = place::for_sockets("history");
    let config = format!("ledger.path = '{}/none.db'", directory.path().display());
    let output = pullgate(directory.path(), &config, &["history"]);
    let complaint = String::from_utf8(output.stderr).unwrap();
    assert!(complaint.contains("none.db: No such file"), "{complaint}");
    assert_eq!(output.status.code(), Some(3));
    let output = pullgate(directory.path(), &config, &["history", "--outcome", "good"]);
    let complaint = String::from_utf8(output.stderr).unwrap();
    assert!(complaint.contains("expected one of abandoned, accepted"), "{complaint}");
    assert_eq!(output.status.code(), Some(2));
}
