use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

use nix::sys::stat::Mode;
use pullgate_policy::decision::TrustMaterial;
use pullgate_policy::document::{Dialect, Policy};
use pullgate_policy::namespace::Namespace;
use tempfile::TempDir;

use super::{FileError, Settings, Snapshot, Trust, TrustError};
use crate::audit::chain;

const ACCEPT: &str = r#"{"default":[{"type":"insecureAcceptAnything"}]}"#;

const REJECT: &str = r#"{"default":[{"type":"reject"}]}"#;

fn trust(directory: &Path, keep_last_good: bool) -> Trust {
    Trust::new(Settings {
        policy: Some(directory.join("policy.json")),
        namespaces: directory.join("policies"),
        registries_d: Some(directory.join("registries.d")),
        extensions: false,
        digest_bound: false,
        keep_last_good,
    })
}

fn written(text: &str) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    write(&directory.path().join("policy.json"), text);
    directory
}

fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
    fs::set_permissions(path, Permissions::from_mode(0o644)).unwrap();
}

fn refusal(directory: &Path) -> String {
    chain(&trust(directory, false).snapshot(None).unwrap_err())
}

#[test]
fn files_that_others_may_have_written_are_refused() {
    let directory = written(ACCEPT);
    let path = directory.path().join("policy.json");
    for (mode, refused) in [(0o600, false), (0o644, false), (0o664, true), (0o646, true)] {
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        let error = trust(directory.path(), false).snapshot(None).err();
        let writable = matches!(error, Some(TrustError::File(FileError::Writable { .. })));
        assert_eq!(writable, refused, "{mode:o}: {error:?}");
    }
    if nix::unistd::geteuid().is_root() {
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        nix::unistd::chown(&path, Some(nix::unistd::Uid::from_raw(12345)), None).unwrap();
        assert!(refusal(directory.path()).contains("belongs to uid 12345"));
    }
}

#[test]
fn what_is_no_small_regular_file_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("policy.json");
    assert!(refusal(directory.path()).contains("cannot read"));

    fs::create_dir(&path).unwrap();
    assert!(refusal(directory.path()).contains("is not a regular file"));
    fs::remove_dir(&path).unwrap();

    nix::unistd::mkfifo(&path, Mode::S_IRUSR | Mode::S_IWUSR).unwrap();
    assert!(refusal(directory.path()).contains("is not a regular file"));
    fs::remove_file(&path).unwrap();

    write(&path, &" ".repeat((4 << 20) + 1));
    assert!(refusal(directory.path()).contains("is larger than 4194304 bytes"));
}

#[test]
fn an_error_names_the_file_and_the_place() {
    let directory = written(r#"{"default":[{"type":"signedby"}]}"#);
    let found = refusal(directory.path());
    assert!(found.contains("policy.json") && found.contains("signedby"), "{found}");

    let relative = r#"{"default":[{"type":"signedBy","keyType":"GPGKeys","keyPath":"a/key.gpg"}]}"#;
    write(&directory.path().join("policy.json"), relative);
    assert!(refusal(directory.path()).contains("the path `a/key.gpg` is relative"));

    write(&directory.path().join("policy.json"), ACCEPT);
    write(&directory.path().join("registries.d/a.yaml"), "docker: [");
    assert!(refusal(directory.path()).contains("registries.d/a.yaml"));
}

#[test]
fn registries_d_takes_yaml_files_and_skips_dangling_links() {
    let directory = written(ACCEPT);
    let folder = directory.path().join("registries.d");
    write(&folder.join("b.yaml"), "default-docker:\n  lookaside: file:///b\n");
    write(&folder.join("c.txt"), "default-docker: {lookaside: file:///c}\n");
    fs::create_dir(folder.join("d.yaml")).unwrap();
    symlink("/nowhere", folder.join("e.yaml")).unwrap();
    let snapshot = trust(directory.path(), false).snapshot(None).unwrap();
    let section = snapshot.lookaside().default_docker().unwrap();
    assert!(format!("{section:?}").contains("file:///b"), "{section:?}");
}

#[test]
fn a_change_is_seen_and_the_last_good_one_kept_only_if_asked_for() {
    for keep in [false, true] {
        let directory = written(ACCEPT);
        let path = directory.path().join("policy.json");
        let trust = trust(directory.path(), keep);
        let first = trust.snapshot(None).unwrap();
        assert_eq!(*trust.snapshot(None).unwrap(), *first);

        write(&path, r#"{"default":[{"type":"reject"}]}"#);
        let second = trust.snapshot(None).unwrap();
        assert_ne!(second.fingerprint(), first.fingerprint());

        write(&path, "{");
        let third = trust.snapshot(None);
        assert_eq!(third.is_ok(), keep, "{third:?}");
        if let Ok(third) = third {
            assert_eq!(third.fingerprint(), second.fingerprint());
        }
    }
}

#[test]
fn an_unreadable_key_file_carries_its_reason() {
    let text =
        r#"{"default":[{"type":"signedBy","keyType":"GPGKeys","keyPath":"/nowhere/k.gpg"}]}"#;
    let policy = Policy::parse(text.as_bytes(), Dialect::Standard).unwrap();
    let material = Snapshot::material(policy.default_requirements());
    let content = material.get(Path::new("/nowhere/k.gpg")).unwrap();
    assert!(content.as_ref().unwrap_err().contains("cannot read /nowhere/k.gpg"));
}

#[test]
fn extensions_are_read_only_where_nobody_else_reads() {
    let text = r#"{"default":[{"type":"sigstoreSigned","rekorPublicKeyPath":"/rekor.pub",
        "fulcio":{"caPath":"/ca.pem","oidcIssuer":"https://i.example","subjectURI":"https://w.example"}}]}"#;
    let directory = written(text);
    let found = refusal(directory.path());
    assert!(found.contains("unknown key \"subjectURI\""), "{found}");
    let ordinary = trust(directory.path(), false);
    let settings = Settings { extensions: true, ..ordinary.settings().clone() };
    Trust::new(settings).snapshot(None).unwrap();
}

#[test]
fn the_switch_for_bundles_is_part_of_what_decides() {
    let directory = written(
        r#"{"default":[{"type":"sigstoreSigned","keyPath":"/k.pub",
            "signedIdentity":{"type":"matchRepository"}}]}"#,
    );
    let off = trust(directory.path(), false);
    let on = Trust::new(Settings { digest_bound: true, ..off.settings().clone() });
    let (off, on) = (off.snapshot(None).unwrap(), on.snapshot(None).unwrap());
    let accepts = |policy: &Policy| policy.default_requirements().may_accept_bundles();
    assert_eq!((accepts(off.policy()), accepts(on.policy())), (false, true));
    assert_ne!(off.fingerprint(), on.fingerprint(), "the ledger tells them apart");
}

#[test]
fn a_namespace_is_decided_by_its_own_policy_if_it_has_one() {
    let directory = written(ACCEPT);
    let trust = trust(directory.path(), false);
    let (strict, other) = (Namespace::parse("strict").unwrap(), Namespace::parse("other").unwrap());
    let own = directory.path().join("policies/strict.json");
    let node = trust.snapshot(None).unwrap();
    assert_eq!(trust.snapshot(Some(&strict)).unwrap(), node, "no folder: the node's");

    write(&own, REJECT);
    let found = trust.snapshot(Some(&strict)).unwrap();
    assert_eq!(found.policy_path(), own);
    assert_ne!(found.fingerprint(), node.fingerprint());
    assert_eq!(trust.snapshot(Some(&other)).unwrap(), node);
    assert_eq!(trust.snapshot(None).unwrap(), node);

    write(&own, "{");
    let error = chain(&trust.snapshot(Some(&strict)).unwrap_err());
    assert!(error.contains("policies/strict.json"), "{error}");
    fs::remove_file(&own).unwrap();
    symlink("/nowhere", &own).unwrap();
    trust.snapshot(Some(&strict)).expect_err("a dangling link is a policy that cannot be read");
    fs::remove_file(&own).unwrap();
    assert_eq!(trust.snapshot(Some(&strict)).unwrap(), node);

    fs::remove_dir(directory.path().join("policies")).unwrap();
    write(&directory.path().join("policies"), "no folder");
    trust.snapshot(Some(&other)).expect_err("whether there is a policy cannot be said");
    trust.snapshot(None).expect("the node's policy is no matter of the folder");
}

#[test]
fn the_last_good_policy_is_kept_file_by_file() {
    let directory = written(ACCEPT);
    let trust = trust(directory.path(), true);
    let namespace = Namespace::parse("strict").unwrap();
    let (node, own) =
        (directory.path().join("policy.json"), directory.path().join("policies/strict.json"));
    write(&own, REJECT);
    let strict = trust.snapshot(Some(&namespace)).unwrap();
    let lax = trust.snapshot(None).unwrap();

    write(&own, "{");
    write(&node, "{");
    assert_eq!(trust.snapshot(Some(&namespace)).unwrap(), strict);
    assert_eq!(trust.snapshot(None).unwrap(), lax);

    fs::remove_file(&own).unwrap();
    assert_eq!(trust.snapshot(Some(&namespace)).unwrap(), lax, "removed on purpose");
    write(&own, "{");
    trust.snapshot(Some(&namespace)).expect_err("this file was never good");
}

#[test]
fn the_hash_covers_policy_registries_and_keys() {
    let directory = written(ACCEPT);
    let snapshot = trust(directory.path(), false).snapshot(None).unwrap();
    let key = |content: Result<&[u8], &str>| -> TrustMaterial {
        let content = content.map(<[u8]>::to_vec).map_err(str::to_owned);
        [("/k.gpg".into(), content)].into()
    };
    let mut hashes = vec![
        snapshot.policy_hash(&TrustMaterial::new()),
        snapshot.policy_hash(&key(Ok(b"one"))),
        snapshot.policy_hash(&key(Ok(b"two"))),
        snapshot.policy_hash(&key(Err("why"))),
    ];
    assert_eq!(snapshot.policy_hash(&key(Err("another why"))), hashes[3]);
    write(&directory.path().join("registries.d/a.yaml"), "docker: {}");
    let changed = trust(directory.path(), false).snapshot(None).unwrap();
    hashes.push(changed.policy_hash(&TrustMaterial::new()));
    for (position, hash) in hashes.iter().enumerate() {
        assert!(!hashes[..position].contains(hash), "{position}");
    }
}
