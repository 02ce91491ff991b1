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

/// Policies with one mistake, and what begins its finding.
#[test]
fn the_classic_mistakes_are_found() {
    let reject = r#""default":[{"type":"reject"}]"#;
    let docker = |scope: &str, requirement: &str| {
        format!("{{{reject},\n\"transports\":{{\"docker\":{{\"{scope}\":[{requirement}]}}}}}}")
    };
    let refused = r#"{"type":"reject"}"#;
    let signed =
        |file: &str| format!(r#"{{"type":"signedBy","keyType":"GPGKeys","keyPath":"{file}"}}"#);
    let cosign =
        r#"{"type":"sigstoreSigned","keyData":"YQ==","signedIdentity":{"type":"matchRepository"}}"#;
    for (policy, expected) in [
        (format!("{{{reject}}}"), &[][..]),
        (docker("example.com", &signed("/good")), &[]),
        ("{".to_owned(), &["1:1 invalid not JSON: EOF"]),
        (r#"{"default":[]}"#.to_owned(), &["1:2 invalid `default`: is empty"]),
        (
            docker("example.com", r#"{"type":"rejct"}"#),
            &["2:41 invalid `transports.docker.\"example.com\"[0].type`: unknown value"],
        ),
        (
            docker("busybox", refused),
            &[
                "2:25 unreachable the scope `busybox` is never looked up: the full name is `docker.io/library/busybox`",
            ],
        ),
        (
            docker("*", refused),
            &["2:25 unreachable the scope `*` is never looked up: `*` stands for nothing"],
        ),
        (
            docker("Example.com/a", refused),
            &[
                "2:25 unreachable the scope `Example.com/a` is never looked up: hosts are written in lower case, `example.com/a`",
            ],
        ),
        (
            docker("https://example.com", refused),
            &[
                "2:25 unreachable the scope `https://example.com` is never looked up: write it without",
            ],
        ),
        (
            docker("*.example.com:5000", refused),
            &[
                "2:25 unreachable the scope `*.example.com:5000` is never looked up: a wildcard stands for hosts",
            ],
        ),
        (
            docker("example.com/a*", refused),
            &[
                "2:25 unreachable the scope `example.com/a*` is never looked up: a wildcard stands only",
            ],
        ),
        (
            docker("example.com/a/", refused),
            &["2:25 unreachable the scope `example.com/a/` is never looked up: no image"],
        ),
        (
            docker(&format!("example.com/a:1@sha256:{}", "0".repeat(64)), refused),
            &["2:25 unreachable the scope `example.com/a:1@sha256:"],
        ),
        (
            docker("example.com", &signed("relative")),
            &["2:79 relative-path the path `relative` is relative"],
        ),
        (
            docker("example.com", &signed("/gone")),
            &["2:79 unreadable cannot read /gone: every image"],
        ),
        (docker("example.com", &signed("/none")), &["2:79 unusable /none: neither an OpenPGP key"]),
        (docker("example.com", &signed("/expired")), &["2:79 unusable /expired: key "]),
        (
            docker(
                "example.com",
                r#"{"type":"signedBaseLayer","baseLayerIdentity":{"type":"matchExact"}}"#,
            ),
            &["2:40 base-layer"],
        ),
        (
            docker("example.com", &signed("/good").replace("GPGKeys", "X509Certificates")),
            &["2:59 key-type keyType `X509Certificates` never accepts"],
        ),
        (
            docker("example.com", cosign),
            &["2:40 attachments-off requires `sigstoreSigned`, but registries.d"],
        ),
        (docker("attached.example/team", cosign), &[]),
        (docker("attached.example", cosign), &[]),
        (docker("*.example", cosign), &[]),
        (
            docker("attached.example/team", &cosign.replace("matchRepository", "matchExact")),
            &["2:92 cosign-identity `matchExact` never matches"],
        ),
        (
            docker("attached.example/team", r#"{"type":"sigstoreSigned","keyData":"YQ=="}"#),
            &["2:50 cosign-identity `matchRepoDigestOrExact` never matches"],
        ),
        (
            docker("example.com", refused).replacen("reject", "insecureAcceptAnything", 1),
            &["1:2 accepts-the-rest"],
        ),
    ] {
        let found = found(
            &policy,
            "docker:\n  attached.example/team:\n    use-sigstore-attachments: true\n",
        );
        assert_eq!(found.len(), expected.len(), "{policy}: {found:#?}");
        for (found, expected) in found.iter().zip(expected) {
            assert!(found.starts_with(expected), "{policy}:\n{found}\n{expected}");
        }
    }
}

#[test]
fn registries_d_is_looked_at() {
    let text = "docker:\n  busybox:\n    lookaside: https://sigs.example\n  a.example:\n    \
                lookaside: ftp://sigs.example\n    lookasides: x\n";
    let found = found(r#"{"default":[{"type":"reject"}]}"#, text);
    let expected = [
        "/r.d/a.yaml unknown-key /r.d/a.yaml: \"a.example\": unknown key \"lookasides\": it is ignored",
        "/r.d/a.yaml lookaside-unreachable `busybox` is never looked up: the full name is `docker.io/library/busybox`",
        "/r.d/a.yaml lookaside `a.example`: lookaside \"ftp://sigs.example\": ",
    ];
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for (found, expected) in found.iter().zip(expected) {
        assert!(found.starts_with(expected), "{found}\n{expected}");
    }
}
