use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use pullgate_policy::digest::Digest;
use pullgate_policy::signature::UntrustedSignature;
use rusqlite::Connection;

use super::store::migrate;
use super::{
    Bounds, Digests, Door, Entry, Evidence, Filter, Ledger, LedgerError, Search, Signer, Store,
    Verdict, sql,
};
use crate::audit::Outcome;

const BOUNDS: Bounds =
    Bounds { max_rows: 100_000, retention: Duration::from_secs(90 * 24 * 60 * 60) };

fn digest(text: &str) -> Digest {
    Digest::sha256(text.as_bytes())
}

fn image(name: &str) -> Digests {
    Digests {
        manifest: digest(&format!("{name} manifest")),
        config: digest(&format!("{name} config")),
        index: Some(digest(&format!("{name} index"))),
    }
}

fn entry(name: &str, outcome: Outcome) -> Entry {
    Entry {
        at: SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000),
        door: Door::Pull,
        pull_id: "1-1".to_owned(),
        name: name.to_owned(),
        image: Some(image(name)),
        policy: Some(digest("policy")),
        scope: Some("default".to_owned()),
        outcome,
        reason: "SIGNED".to_owned(),
        message: String::new(),
        signers: vec![Signer { name: None, fingerprint: "AA".to_owned() }],
        namespace: "space".to_owned(),
        pod: "pod".to_owned(),
    }
}

fn evidence(name: &str, signatures: Vec<UntrustedSignature>) -> Evidence {
    let document = image(name).manifest;
    Evidence {
        documents: vec![(document.clone(), Bytes::from(format!("{name} manifest")))],
        searches: vec![Search {
            repository: "example.com/app".to_owned(),
            document,
            searched: vec!["here".to_owned()],
            signatures,
        }],
    }
}

fn all() -> Filter {
    Filter { limit: u32::MAX, ..Filter::default() }
}

#[test]
fn what_is_recorded_is_found_again() {
    let mut store = Store::in_memory(BOUNDS).unwrap();
    let signatures = vec![
        UntrustedSignature::Simple(b"one".to_vec()),
        UntrustedSignature::Simple(b"two".to_vec()),
    ];
    let (accepted, found) = (entry("a", Outcome::Accepted), evidence("a", signatures));
    store.record(&accepted, &found).unwrap();
    let failed = Entry { image: None, policy: None, scope: None, ..entry("b", Outcome::Failed) };
    store.record(&failed, &Evidence::default()).unwrap();

    assert_eq!(store.history(&all()).unwrap(), [failed, accepted]);
    let manifest = image("a").manifest;
    let search = store.search("example.com/app", &manifest).unwrap();
    assert_eq!(search.as_ref(), found.searches.first());
    assert_eq!(store.search("example.com/other", &manifest).unwrap(), None);
    assert_eq!(store.document(&manifest).unwrap(), Some(Bytes::from("a manifest")));
    assert_eq!(store.document(&digest("none")).unwrap(), None);
}

#[test]
fn only_the_last_verdict_counts_and_only_for_its_name_and_policy() {
    let mut store = Store::in_memory(BOUNDS).unwrap();
    let mut record = |outcome| store.record(&entry("a", outcome), &Evidence::default()).unwrap();
    record(Outcome::Rejected);
    record(Outcome::Accepted);
    record(Outcome::Failed);
    record(Outcome::Abandoned);
    let accepted = Some(Verdict::Accepted(image("a")));
    let Digests { manifest, config, index } = image("a");
    for (name, digest, policy, expected) in [
        ("a", &config, digest("policy"), &accepted),
        ("a", &manifest, digest("policy"), &accepted),
        ("a", &index.unwrap(), digest("policy"), &accepted),
        ("a", &digest("other"), digest("policy"), &None),
        ("a", &config, digest("other policy"), &None),
        ("b", &config, digest("policy"), &None),
    ] {
        assert_eq!(&store.verdict(name, digest, &policy).unwrap(), expected, "{name} {digest}");
    }
    store.record(&entry("a", Outcome::Rejected), &Evidence::default()).unwrap();
    let verdict = store.verdict("a", &config, &digest("policy")).unwrap();
    assert_eq!(verdict, Some(Verdict::Rejected), "the same policy may change its mind: a key ends");
    assert_eq!(store.names(&config).unwrap(), ["a"]);
    assert!(store.names(&manifest).unwrap().is_empty());
}

#[tokio::test]
async fn an_answer_holds_until_the_ledger_changes() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ledger.db");
    for ledger in [Ledger::open(&path, BOUNDS).unwrap(), Ledger::in_memory(BOUNDS).unwrap()] {
        let accepted = Some(Verdict::Accepted(image("a")));
        let ask = async || {
            let policy = digest("policy");
            ledger.verdict("a".to_owned(), image("a").config, policy).await.unwrap()
        };
        for (outcome, expected) in [
            (Outcome::Accepted, &accepted),
            (Outcome::Rejected, &Some(Verdict::Rejected)),
            (Outcome::Accepted, &accepted),
        ] {
            let old = Entry { at: SystemTime::UNIX_EPOCH, ..entry("a", outcome) };
            ledger.record(old, Evidence::default()).await;
            assert_eq!((&ask().await, &ask().await), (expected, expected));
        }
        ledger.prune(BTreeSet::new()).await;
        assert_eq!(ask().await, None, "the rows are past the bounds");
    }
}

#[test]
fn the_last_search_counts() {
    let mut store = Store::in_memory(BOUNDS).unwrap();
    let signature = UntrustedSignature::Simple(b"one".to_vec());
    for (found, expected) in [(vec![signature.clone()], 1), (Vec::new(), 0), (vec![signature], 1)] {
        store.record(&entry("a", Outcome::Accepted), &evidence("a", found)).unwrap();
        let search = store.search("example.com/app", &image("a").manifest).unwrap().unwrap();
        assert_eq!(search.signatures.len(), expected);
    }
}

#[test]
fn evidence_past_any_real_image_is_not_kept() {
    let mut store = Store::in_memory(BOUNDS).unwrap();
    let signatures = vec![UntrustedSignature::Simple(vec![0; 2 << 20])];
    store.record(&entry("a", Outcome::Accepted), &evidence("a", signatures)).unwrap();
    assert_eq!(store.search("example.com/app", &image("a").manifest).unwrap(), None);
    assert_eq!(store.history(&all()).unwrap().len(), 1, "the row is there");
}

#[test]
fn history_is_filtered() {
    let mut store = Store::in_memory(BOUNDS).unwrap();
    let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    for (name, outcome, namespace, seconds) in [
        ("example.com/a:1", Outcome::Accepted, "one", 10),
        ("example.com/b:1", Outcome::Rejected, "one", 20),
        ("example.com/a:2", Outcome::Rejected, "two", 30),
    ] {
        let namespace = namespace.to_owned();
        let entry = Entry { at: at(seconds), namespace, ..entry(name, outcome) };
        store.record(&entry, &Evidence::default()).unwrap();
    }
    let text = |text: &str| Some(text.to_owned());
    let config = image("example.com/b:1").config.to_string();
    for (filter, expected) in [
        (all(), &["example.com/a:2", "example.com/b:1", "example.com/a:1"][..]),
        (Filter { limit: 1, ..all() }, &["example.com/a:2"]),
        (Filter { image: text("/a"), ..all() }, &["example.com/a:2", "example.com/a:1"]),
        (Filter { image: text("%"), ..all() }, &[]),
        (Filter { image: Some(config), ..all() }, &["example.com/b:1"]),
        (Filter { namespace: text("one"), ..all() }, &["example.com/b:1", "example.com/a:1"]),
        (Filter { outcome: Some(Outcome::Accepted), ..all() }, &["example.com/a:1"]),
        (Filter { since: Some(at(20)), ..all() }, &["example.com/a:2", "example.com/b:1"]),
    ] {
        let found = store.history(&filter).unwrap();
        let names: Vec<&str> = found.iter().map(|entry| entry.name.as_str()).collect();
        assert_eq!(names, expected, "{filter:?}");
    }
}

#[test]
fn the_oldest_goes_first_and_what_is_on_the_node_last() {
    let bounds = Bounds { max_rows: 3, ..BOUNDS };
    let mut store = Store::in_memory(bounds).unwrap();
    let now = entry("", Outcome::Accepted).at;
    let old = now - Duration::from_secs(100 * 24 * 60 * 60);
    for (name, at) in [("here", old), ("old", old), ("a", now), ("b", now), ("c", now)] {
        let entry = Entry { at, ..entry(name, Outcome::Accepted) };
        store.record(&entry, &evidence(name, Vec::new())).unwrap();
    }
    store.present(&BTreeSet::from([image("here").config.to_string()])).unwrap();
    store.prune(now).unwrap();
    let left: Vec<String> =
        store.history(&all()).unwrap().into_iter().map(|entry| entry.name).collect();
    assert_eq!(left, ["c", "b", "here"]);
    for (name, kept) in [("here", true), ("c", true), ("old", false), ("a", false)] {
        let manifest = image(name).manifest;
        assert_eq!(store.document(&manifest).unwrap().is_some(), kept, "{name}");
        assert_eq!(store.search("example.com/app", &manifest).unwrap().is_some(), kept, "{name}");
    }
    store.present(&BTreeSet::new()).unwrap();
    store.prune(now).unwrap();
    assert_eq!(store.history(&all()).unwrap().len(), 2, "it is not on the node any more");
}

#[test]
fn more_rows_than_one_transaction_drops_go_all_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.db");
    let now = SystemTime::now();
    let entry = Entry { at: now, ..entry("a", Outcome::Accepted) };
    let mut store = Store::open(&path, BOUNDS).unwrap();
    for _ in 0..5000 {
        store.record(&entry, &Evidence::default()).unwrap();
    }
    drop(store);
    let mut store = Store::open(&path, Bounds { max_rows: 100, ..BOUNDS }).unwrap();
    store.prune(now).unwrap();
    assert_eq!(store.history(&all()).unwrap().len(), 100);
    store.prune(now + BOUNDS.retention * 2).unwrap();
    assert_eq!(store.history(&all()).unwrap().len(), 0);
}

#[test]
fn rows_are_bounded_while_they_are_written() {
    let mut store = Store::in_memory(Bounds { max_rows: 10, ..BOUNDS }).unwrap();
    let entry = Entry { at: SystemTime::now(), ..entry("a", Outcome::Accepted) };
    for _ in 0..600 {
        store.record(&entry, &Evidence::default()).unwrap();
    }
    assert!(store.history(&all()).unwrap().len() < 300);
}

#[test]
fn an_earlier_schema_is_brought_up_to_date_and_a_later_one_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.db");
    let mut store = Store::open(&path, BOUNDS).unwrap();
    store.record(&entry("a", Outcome::Accepted), &Evidence::default()).unwrap();
    drop(store);

    let mut later = sql::MIGRATIONS.to_vec();
    later.push("ALTER TABLE decision ADD COLUMN more TEXT NOT NULL DEFAULT 'x'");
    let mut connection = Connection::open(&path).unwrap();
    for _ in 0..2 {
        migrate(&mut connection, &path, &later).unwrap();
    }
    let more: String =
        connection.query_row("SELECT more FROM decision", (), |row| row.get(0)).unwrap();
    assert_eq!(more, "x");
    drop(connection);

    for refused in [Store::open(&path, BOUNDS), Store::open_read_only(&path)] {
        let text = refused.unwrap_err().to_string();
        let words = "has schema version 2, this pullgate knows 1 at most: install the version that";
        assert!(text.contains(words), "{text}");
    }
}

#[test]
fn a_broken_migration_changes_nothing() {
    let mut connection = Connection::open_in_memory().unwrap();
    let broken = ["CREATE TABLE a (b)", "CREATE TABLE a (c)"];
    migrate(&mut connection, Path::new("x"), &broken).unwrap_err();
    migrate(&mut connection, Path::new("x"), &["CREATE TABLE a (d)"]).unwrap();
}

#[test]
fn a_damaged_file_is_set_aside() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.db");
    let mut store = Store::open(&path, BOUNDS).unwrap();
    for number in 0..100 {
        store
            .record(&entry(&format!("a{number}"), Outcome::Accepted), &Evidence::default())
            .unwrap();
    }
    drop(store);
    let mut torn = std::fs::read(&path).unwrap();
    torn[4096..12_288].fill(0xff);
    for (name, bytes) in [("text", b"not a database, but long enough".to_vec()), ("torn", torn)] {
        std::fs::write(&path, bytes).unwrap();
        let store = Store::open(&path, BOUNDS).expect(name);
        assert!(store.history(&all()).unwrap().is_empty(), "{name}");
    }
    let aside = std::fs::read_dir(folder.path()).unwrap().filter(|entry| {
        entry.as_ref().unwrap().file_name().to_string_lossy().starts_with("ledger.db.damaged-")
    });
    assert_eq!(aside.count(), 2);
}

#[test]
fn nobody_else_reads_or_writes_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state/ledger.db");
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o7777;
    let mut store = Store::open(&path, BOUNDS).unwrap();
    store.record(&entry("a", Outcome::Accepted), &Evidence::default()).unwrap();
    assert_eq!(mode(path.parent().unwrap()), 0o700);
    for name in ["ledger.db", "ledger.db-wal", "ledger.db-shm"] {
        assert_eq!(mode(&path.with_file_name(name)), 0o600, "{name}");
    }
    drop(store);
    let set = |path: &Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    set(&path, 0o620);
    let error = Store::open(&path, BOUNDS).unwrap_err();
    assert!(matches!(error, LedgerError::Writable { mode: 0o620, .. }), "{error}");
    set(&path, 0o600);
    set(path.parent().unwrap(), 0o777);
    let error = Store::open(&path, BOUNDS).unwrap_err();
    assert!(matches!(error, LedgerError::Writable { mode: 0o777, .. }), "{error}");
}

/// Not a test by itself: the process that is killed, and that writes beside another one.
#[test]
#[ignore = "runs in a process of its own"]
fn writer() {
    let path = std::env::var_os("LEDGER").expect("the parent says where");
    let mut store = Store::open(Path::new(&path), BOUNDS).unwrap();
    for number in 0..2000_u32 {
        let name = format!("{}-{number}", std::process::id());
        let signature = UntrustedSignature::Simple(vec![b'x'; 10_000]);
        let entry = Entry { at: SystemTime::now(), ..entry(&name, Outcome::Accepted) };
        store.record(&entry, &evidence(&name, vec![signature])).unwrap();
    }
}

fn writing(path: &Path) -> std::process::Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "ledger::tests::writer", "--ignored"])
        .env("LEDGER", path)
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

#[test]
fn a_killed_writer_leaves_a_whole_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.db");
    let mut rows = 0;
    for round in 1..=20_u64 {
        let mut child = writing(&path);
        let reached = |rows: usize| move |found: usize| found > rows;
        wait_for(&path, reached(rows), &mut child);
        std::thread::sleep(Duration::from_micros(round * 1700));
        child.kill().unwrap();
        child.wait().unwrap();
        let connection = Connection::open(&path).unwrap();
        let check = "PRAGMA integrity_check";
        let found: String = connection.query_row(check, (), |row| row.get(0)).unwrap();
        assert_eq!(found, "ok", "round {round}");
        drop(connection);
        let store = Store::open(&path, BOUNDS).unwrap();
        let history = store.history(&all()).unwrap();
        assert!(history.len() > rows, "{} rows after {rows}", history.len());
        for entry in history.iter().take(20) {
            let manifest = entry.image.as_ref().map(|image| &image.manifest).unwrap();
            let search = store.search("example.com/app", manifest).unwrap();
            assert_eq!(search.unwrap().signatures.len(), 1, "a row comes with its evidence");
        }
        rows = history.len();
    }
}

fn wait_for(path: &Path, met: impl Fn(usize) -> bool, child: &mut std::process::Child) {
    let end = std::time::Instant::now() + Duration::from_secs(30);
    while !Store::open_read_only(path)
        .and_then(|store| store.history(&all()))
        .is_ok_and(|rows| met(rows.len()))
    {
        assert!(child.try_wait().unwrap().is_none(), "the writer ended by itself");
        assert!(std::time::Instant::now() < end, "no row within 30 s");
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn two_processes_write_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.db");
    drop(Store::open(&path, BOUNDS).unwrap());
    let children = [writing(&path), writing(&path)];
    let ids = children.each_ref().map(std::process::Child::id);
    for mut child in children {
        assert!(child.wait().unwrap().success(), "a writer failed");
    }
    let store = Store::open_read_only(&path).unwrap();
    let names = store.history(&all()).unwrap();
    for id in ids {
        let last = format!("{id}-1999");
        assert!(names.iter().any(|entry| entry.name == last), "no {last}");
    }
}
