use std::time::{Duration, SystemTime};

use super::{Finding, lint, parse};
use crate::decision::TrustMaterial;
use crate::document::Dialect;
use crate::lookaside::Lookaside;

const KEY: &[u8] = include_bytes!("../../../tests/conformance/data/keyrings/own/ed25519-key.pgp");
const EXPIRED: &[u8] =
    include_bytes!("../../../tests/conformance/data/keyrings/own/expired-key.pgp");

fn found(policy: &str, registries_d: &str) -> Vec<String> {
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
    let material: TrustMaterial = [
        ("/good".into(), Ok(KEY.to_vec())),
        ("/expired".into(), Ok(EXPIRED.to_vec())),
        ("/none".into(), Ok(b"hello".to_vec())),
        ("/gone".into(), Err("cannot read /gone".to_owned())),
    ]
    .into();
    let lookaside = Lookaside::parse([("/r.d/a.yaml", registries_d.as_bytes())]).unwrap();
    let findings = match parse(policy.as_bytes(), Dialect::Standard) {
        Ok(parsed) => lint(policy.as_bytes(), &parsed, &lookaside, &material, now),
        Err(finding) => vec![*finding],
    };
    let shown = |Finding { file, position, mistake }: Finding| {
        let place = file.or_else(|| position.map(|it| it.to_string())).unwrap_or_default();
        format!("{place} {} {mistake}", mistake.name())
    };
    findings.into_iter().map(shown).collect()
}

/// Checks policies with at most one mistake against what begins its finding.
fn check(rows: &[(String, &str)]) {
    const ATTACHED: &str =
        "docker:\n  attached.example/team:\n    use-sigstore-attachments: true\n";
    for (policy, expected) in rows {
        let found = found(policy, ATTACHED);
        assert_eq!(found.is_empty(), expected.is_empty(), "{policy}: {found:#?}");
        assert!(found.len() < 2, "{policy}: {found:#?}");
        for found in found {
            assert!(found.starts_with(expected), "{policy}:\n{found}\n{expected}");
        }
    }
}

/// A policy with one requirement for one scope. The scope stands at 2:25.
fn docker(scope: &str, requirement: &str) -> String {
    format!(
        "{{\"default\":[{REJECT}],\n\"transports\":{{\"docker\":{{\"{scope}\":[{requirement}]}}}}}}"
    )
}

fn signed(file: &str) -> String {
    format!(r#"{{"type":"signedBy","keyType":"GPGKeys","keyPath":"{file}"}}"#)
}

const REJECT: &str = r#"{"type":"reject"}"#;

const COSIGN: &str =
    r#"{"type":"sigstoreSigned","keyData":"YQ==","signedIdentity":{"type":"matchRepository"}}"#;

#[test]
fn scopes_that_miss_their_images_are_found() {
    let unreachable = |scope: &str, why: &str| {
        let finding = format!("2:25 unreachable the scope `{scope}` is never looked up: {why}");
        (docker(scope, REJECT), finding)
    };
    let pinned = format!("example.com/a:1@sha256:{}", "0".repeat(64));
    let rows = [
        unreachable("busybox", "the full name is `docker.io/library/busybox`"),
        unreachable("*", "`*` stands for nothing"),
        unreachable("Example.com/a", "hosts are written in lower case, `example.com/a`"),
        unreachable("https://example.com", "write it without"),
        unreachable("*.example.com:5000", "a wildcard stands for hosts"),
        unreachable("example.com/a*", "a wildcard stands only"),
        unreachable("example.com/a/", "no image"),
        unreachable(&pinned, "a tag beside a digest is dropped"),
    ];
    for (policy, expected) in rows {
        check(&[(policy, &expected)]);
    }
    let open = docker("example.com", REJECT).replacen("reject", "insecureAcceptAnything", 1);
    check(&[(open, "1:2 accepts-the-rest")]);
}

#[test]
fn policies_that_refuse_everything_are_found() {
    let unknown = docker("example.com", r#"{"type":"rejct"}"#);
    let base = r#"{"type":"signedBaseLayer","baseLayerIdentity":{"type":"matchExact"}}"#;
    let x509 = signed("/good").replace("GPGKeys", "X509Certificates");
    check(&[
        (format!("{{\"default\":[{REJECT}]}}"), ""),
        (docker("example.com", &signed("/good")), ""),
        ("{".to_owned(), "1:1 invalid not JSON: EOF"),
        (r#"{"default":[]}"#.to_owned(), "1:2 invalid `default`: is empty"),
        (unknown, "2:41 invalid `transports.docker.\"example.com\"[0].type`: unknown value"),
        (docker("example.com", &signed("relative")), "2:79 relative-path the path `relative`"),
        (docker("example.com", &signed("/gone")), "2:79 unreadable cannot read /gone: every"),
        (docker("example.com", &signed("/none")), "2:79 unusable /none: neither an OpenPGP"),
        (docker("example.com", &signed("/expired")), "2:79 unusable /expired: key "),
        (docker("example.com", base), "2:40 base-layer"),
        (docker("example.com", &x509), "2:59 key-type keyType `X509Certificates` never"),
    ]);
}

#[test]
fn cosigns_pitfalls_are_found() {
    let exact = COSIGN.replace("matchRepository", "matchExact");
    let default = r#"{"type":"sigstoreSigned","keyData":"YQ=="}"#;
    check(&[
        (docker("example.com", COSIGN), "2:40 attachments-off requires `sigstoreSigned`, but"),
        (docker("attached.example/team", COSIGN), ""),
        (docker("attached.example", COSIGN), ""),
        (docker("*.example", COSIGN), ""),
        (docker("attached.example/team", &exact), "2:92 cosign-identity `matchExact` never"),
        (
            docker("attached.example/team", default),
            "2:50 cosign-identity `matchRepoDigestOrExact` never matches",
        ),
    ]);
}

#[test]
fn registries_d_is_looked_at() {
    let text = "docker:\n  busybox:\n    lookaside: https://sigs.example\n  a.example:\n    \
                lookaside: ftp://sigs.example\n    lookasides: x\n";
    let found = found(r#"{"default":[{"type":"reject"}]}"#, text);
    let expected = [
        "/r.d/a.yaml unknown-key `a.example`: unknown key \"lookasides\": it is ignored",
        "/r.d/a.yaml lookaside-unreachable `busybox` is never looked up: the full name is `docker.io/library/busybox`",
        "/r.d/a.yaml lookaside `a.example`: lookaside \"ftp://sigs.example\": ",
    ];
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for (found, expected) in found.iter().zip(expected) {
        assert!(found.starts_with(expected), "{found}\n{expected}");
    }
}
