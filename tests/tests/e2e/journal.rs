//! The journal as operators read it: a real systemd-journald, `journalctl -o json` and `journalctl -x`.

use std::collections::BTreeSet;
use std::path::Path;

use pullgate::audit::{FIELDS, Reason, message_id};
use pullgate_proto::{AuthConfig, PodSandboxConfig, PodSandboxMetadata};
use pullgate_tests::journal::Journal;
use pullgate_tests::pullgated::{Settings, policy};
use pullgate_tests::sample;
use pullgate_tests::signer::{Lookaside, Signer};
use pullgate_tests::version::Version;
use serde_json::Value;

use crate::scene::{NAME, Scene};

/// What journald and `tracing` add to the fields of a record.
const FOREIGN: [&str; 6] =
    ["CODE_FILE", "CODE_LINE", "MESSAGE", "PRIORITY", "SYSLOG_IDENTIFIER", "TARGET"];

#[tokio::test]
async fn each_outcome_is_one_record_with_its_fields_and_its_explanation() {
    let journal = Journal::start().await;
    let (release, stranger, lookaside) = (Signer::new(), Signer::new(), Lookaside::new());
    let settings = Settings {
        policy: Some(policy(NAME, &release.public_key())),
        registries_d: Some(lookaside.registries_d(NAME, &lookaside.url())),
        wrapper: journal.wrapper(),
        ..Settings::default()
    };
    let mut scene = Scene::with(Version::V1_6, Default::default(), settings).await;
    let digests = [("good", &release), ("stranger", &stranger)].map(|(name, signer)| {
        let image = sample::tiny(name);
        image.store(&scene.registry, name, "v1");
        let digest = image.manifest.digest;
        lookaside.add(name, &digest, &signer.sign(&digest, &format!("{NAME}/{name}:v1")));
        digest
    });
    let cri = scene.gate.cri().await;
    let pull = async |name: &str| {
        let image = format!("{NAME}/{name}");
        cri.pull_as(&image, None::<AuthConfig>, Some(pod())).await
    };
    pull("good:v1").await.expect("the signed image to be accepted");
    pull("stranger:v1").await.expect_err("another key");
    pull("none:v1").await.expect_err("no such image");
    pull("a\nMESSAGE_ID=0\u{1b}[2J\u{202e}").await.expect_err("no reference");
    pull(&"x".repeat(100_000)).await.expect_err("no reference");
    assert!(scene.gate.stop().await.success());
    assert_eq!(scene.gate.log(), "", "the journal has it all");

    let records = journal.records(&["SYSLOG_IDENTIFIER=pullgated"]);
    let policy_file = scene.gate.policy().display().to_string();
    let [good, bad] = check_fields(&records, &digests, &policy_file, release.fingerprint());
    check_foreign_text(&records);
    check_lists(&records);
    check_catalogue(&journal, good, bad);
}

/// Each pull has its record, and each record its fields.
fn check_fields<'a>(
    records: &'a [Value],
    [accepted, rejected]: &[String; 2],
    policy_file: &str,
    signer: &str,
) -> [&'a Value; 2] {
    let of = |name: &str| -> Vec<&'a Value> {
        let of_name = |record: &&'a Value| text(record, "IMAGE_REF").ends_with(name);
        records.iter().filter(of_name).collect()
    };
    let [good] = of("/good:v1")[..] else { panic!("one record a pull: {records:#?}") };
    let [bad] = of("/stranger:v1")[..] else { panic!("one record a pull: {records:#?}") };
    let [none] = of("/none:v1")[..] else { panic!("one record a pull: {records:#?}") };
    let scope = format!("transports.docker.\"{NAME}\"");
    let rows: [(&Value, &[(&str, &str)]); 3] = [
        (
            good,
            &[
                ("MESSAGE_ID", message_id::ACCEPTED),
                ("REASON", "SIGNED"),
                ("PRIORITY", "6"),
                ("IMAGE_REF", "registry.example/good:v1"),
                ("IMAGE_DIGEST", accepted),
                ("POLICY_FILE", policy_file),
                ("POLICY_SCOPE", &scope),
                ("KEY_FPR", signer),
                ("MESSAGE", "accepted registry.example/good:v1"),
            ],
        ),
        (
            bad,
            &[
                ("MESSAGE_ID", message_id::REJECTED),
                ("REASON", "KEY_UNKNOWN"),
                ("PRIORITY", "4"),
                ("IMAGE_DIGEST", rejected),
                ("POLICY_SCOPE", &scope),
            ],
        ),
        (
            none,
            &[("MESSAGE_ID", message_id::FAILED), ("REASON", "IMAGE_NOT_FOUND"), ("PRIORITY", "3")],
        ),
    ];
    for (record, fields) in rows {
        let of_the_pod = [("NAMESPACE", "team"), ("POD", "web-0"), ("SERVICE_ACCOUNT", "deployer")];
        for (name, value) in fields.iter().chain(&of_the_pod) {
            assert_eq!(text(record, name), *value, "{name} in {record:#}");
        }
        assert!(text(record, "DURATION_US").parse::<u64>().expect("a number") > 0, "{record:#}");
        assert!(!text(record, "PULL_ID").is_empty(), "{record:#}");
    }
    assert!(text(good, "BYTES").parse::<u64>().expect("a number") > 0, "{good:#}");

    [good, bad]
}

/// A name that tries to forge fields and to direct a terminal stays inside its field, and short.
fn check_foreign_text(records: &[Value]) {
    let hostile: Vec<&Value> = records
        .iter()
        .filter(|record| text(record, "REASON") == Reason::ReferenceInvalid.code())
        .collect();
    assert_eq!(hostile.len(), 2, "{hostile:#?}");
    for record in hostile {
        assert_eq!(text(record, "MESSAGE_ID"), message_id::FAILED, "{record:#}");
        for field in ["IMAGE_REF", "MESSAGE"] {
            let text = text(record, field);
            assert!(!text.chars().any(|c| c.is_control() || c == '\u{202e}'), "{text:?}");
            assert!(text.len() < 5000, "{field} has {} bytes", text.len());
        }
    }
}

/// What is written is listed, and what is listed has one of the forms that the manual promises.
fn check_lists(records: &[Value]) {
    let known: BTreeSet<&str> = FIELDS.iter().map(|(name, _)| *name).collect();
    for record in records {
        let fields = record.as_object().expect("a record is an object").keys();
        let ours =
            fields.filter(|name| !name.starts_with('_') && !FOREIGN.contains(&name.as_str()));
        for name in ours {
            assert!(known.contains(name.as_str()), "{name} is not listed: {record:#}");
        }
        let reason = text(record, "REASON");
        assert!(reason.is_empty() || Reason::of_code(reason).is_some(), "{record:#}");
    }
}

/// `journalctl -x` says what happened and what to do, in both languages.
fn check_catalogue(journal: &Journal, good: &Value, bad: &Value) {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging/catalog");
    let rows = [
        (good, "", "Subject: Image registry.example/good:v1 was accepted"),
        (bad, "", "\"pullgate explain KEY_UNKNOWN\" says what this reason means and what to do."),
        (
            bad,
            "ja_JP.UTF-8",
            "Subject: イメージ registry.example/stranger:v1 は拒否されました: KEY_UNKNOWN",
        ),
        (
            bad,
            "ja_JP.UTF-8",
            "「pullgate explain KEY_UNKNOWN」が、この理由の意味と対処方法を示します。",
        ),
    ];
    for (record, language, expected) in rows {
        let this = format!("PULL_ID={}", text(record, "PULL_ID"));
        let shown = journal.explained(&directory, language, &[&this]);
        assert!(shown.contains(expected), "{expected} in:\n{shown}");
        assert!(!shown.contains('@'), "a field that the record does not have:\n{shown}");
    }
}

fn text<'a>(record: &'a Value, field: &str) -> &'a str {
    record.get(field).and_then(Value::as_str).unwrap_or_default()
}

fn pod() -> PodSandboxConfig {
    let account = ("kubernetes.io/service-account.name".to_owned(), "deployer".to_owned());
    PodSandboxConfig {
        metadata: Some(PodSandboxMetadata {
            name: "web-0".to_owned(),
            namespace: "team".to_owned(),
            ..PodSandboxMetadata::default()
        }),
        annotations: [account].into(),
        ..PodSandboxConfig::default()
    }
}
