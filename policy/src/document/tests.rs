use proptest::prelude::*;

use super::*;
use crate::identity::{IdentityError, SignedIdentity};

fn parse(text: &str) -> Policy {
    Policy::parse(text.as_bytes(), Dialect::Standard)
        .unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn refusal(text: &str) -> String {
    let error = Policy::parse(text.as_bytes(), Dialect::Standard).expect_err(text);
    let source = std::error::Error::source(&error);
    source.map_or_else(|| error.to_string(), |source| format!("{error}: {source}"))
}

/// A policy whose default is the one requirement with these members.
fn requiring(members: &str) -> String {
    format!(r#"{{"default":[{{{members}}}]}}"#)
}

#[test]
fn documents_that_are_refused() {
    for (text, expected) in [
        ("", "not JSON: EOF while parsing a value at line 1 column 0"),
        ("[]", "top level: expected an object, found a list"),
        ("{}", "top level: `default` is missing"),
        (r#"{"default":null}"#, "`default`: expected a list, found null"),
        (r#"{"default":[]}"#, "`default`: is empty, expected a requirement"),
        (r#"{"default":[1]}"#, "`default[0]`: expected an object, found the number 1"),
        (
            r#"{"Default":[]}"#,
            r#"top level: unknown key "Default", expected one of default, transports"#,
        ),
        (
            r#"{"default":[{"type":"reject"}],"transports":null}"#,
            "`transports`: expected an object, found null",
        ),
        (
            r#"{"default":[{"type":"reject"}],"transports":{"docker":null}}"#,
            "`transports.docker`: expected an object, found null",
        ),
        (
            r#"{"default":[{"type":"reject"}],"transports":{"docker":{"a/b":[]}}}"#,
            "`transports.docker.\"a/b\"`: is empty, expected a requirement",
        ),
        (
            r#"{"default":[{"type":"reject"}],"transports":{"docker":{"a/b":[{"type":"signedby"}]}}}"#,
            "`transports.docker.\"a/b\"[0].type`: unknown value \"signedby\", expected one of \
             insecureAcceptAnything, reject, signedBaseLayer, signedBy, sigstoreSigned",
        ),
        (
            r#"{"default":[{"type":"reject"}],"transports":{"docker":{"a":[],"a":[]}}}"#,
            "`transports.docker.a`: key stands twice in its object, at line 1 column 65",
        ),
        (
            r#"{"default":[{"type":"reject"}],"transports":{"dir":{"a":[{"type":"reject"}]}}}"#,
            "`transports.dir.a`: not a scope of this transport, expected an absolute path without \
             `//`, `.`, `..` or trailing slash",
        ),
    ] {
        assert_eq!(refusal(text), expected, "{text}");
    }
}

#[test]
fn requirements_that_are_refused() {
    const GPG: &str = r#""type":"signedBy","keyType":"GPGKeys""#;
    let gpg = |members: &str| format!("{GPG},{members}");
    for (members, expected) in [
        (String::new(), "`default[0]`: `type` is missing"),
        (
            r#""type":"reject","x":1"#.to_owned(),
            r#"`default[0]`: unknown key "x", expected one of type"#,
        ),
        (
            r#""type":"insecureAcceptAnything","keyPath":"/a""#.to_owned(),
            r#"`default[0]`: unknown key "keyPath", expected one of type"#,
        ),
        (r#""type":"signedBaseLayer""#.to_owned(), "`default[0]`: `baseLayerIdentity` is missing"),
        (
            r#""type":"signedBy","keyType":"gpg","keyPath":"/a""#.to_owned(),
            "`default[0].keyType`: unknown value \"gpg\", expected one of GPGKeys, \
             signedByGPGKeys, signedByX509CAs, X509Certificates",
        ),
        (GPG.to_owned(), "`default[0]`: expected one of keyPath, keyPaths, keyData"),
        (gpg(r#""keyPath":"""#), "`default[0].keyPath`: is empty, expected a path"),
        (gpg(r#""keyPath":null"#), "`default[0].keyPath`: expected a string, found null"),
        (gpg(r#""keyPaths":[]"#), "`default[0].keyPaths`: is empty, expected a path"),
        (gpg(r#""keyPaths":["/a",""]"#), "`default[0].keyPaths[1]`: is empty, expected a path"),
        (gpg(r#""keyData":"""#), "`default[0].keyData`: is empty, expected a base64 text"),
        (
            gpg(r#""keyData":"YWJj","keyPath":"/a""#),
            "`default[0]`: `keyPath` and `keyData` exclude each other",
        ),
        (
            gpg(r#""keyPath":"/a","signedIdentity":null"#),
            "`default[0].signedIdentity`: expected an object, found null",
        ),
    ] {
        assert_eq!(refusal(&requiring(&members)), expected, "{members}");
    }
}

#[test]
fn sigstore_requirements_that_are_refused() {
    const SIGSTORE: &str = r#""type":"sigstoreSigned""#;
    const FULCIO: &str = r#""fulcio":{"caPath":"/c","oidcIssuer":"i","subjectEmail":"e"}"#;
    let sigstore = |members: &str| format!("{SIGSTORE},{members}");
    for (members, expected) in [
        (
            SIGSTORE.to_owned(),
            "`default[0]`: expected one of keyPath, keyPaths, keyData, keyDatas, fulcio, pki",
        ),
        (sigstore(r#""keyDatas":[]"#), "`default[0].keyDatas`: is empty, expected a base64 text"),
        // containers/image drops the requirement of a log entry in these three.
        (
            sigstore(r#""keyPath":"/a","rekorPublicKeyPath":"""#),
            "`default[0].rekorPublicKeyPath`: is empty, expected a path",
        ),
        (
            sigstore(r#""keyPath":"/a","rekorPublicKeyPath":null"#),
            "`default[0].rekorPublicKeyPath`: expected a string, found null",
        ),
        (
            sigstore(r#""keyPath":"/a","rekorPublicKeyData":null"#),
            "`default[0].rekorPublicKeyData`: expected a string in standard base64 with padding, \
             found null",
        ),
        (sigstore(FULCIO), "`default[0]`: `fulcio` needs one of the `rekorPublicKey…` members"),
        (
            sigstore(&format!(r#""keyPath":"/a",{FULCIO}"#)),
            "`default[0]`: `a key` and `fulcio` exclude each other",
        ),
        (
            sigstore(r#""pki":{"caRootsPath":"/c"}"#),
            "`default[0].pki`: expected `subjectEmail` or `subjectHostname`",
        ),
        (
            sigstore(r#""pki":{"caRootsPath":"/c","subjectEmail":"e"},"rekorPublicKeyPath":"/r""#),
            "`default[0]`: `pki` excludes every `rekorPublicKey…` member",
        ),
        (
            sigstore(&format!(r#""pki":{{"caRootsPath":"/c","subjectEmail":"e"}},{FULCIO}"#)),
            "`default[0]`: `fulcio` and `pki` exclude each other",
        ),
        (
            sigstore(r#""keyPath":"/a","pki":{"caRootsPath":"/c","subjectEmail":"e"}"#),
            "`default[0]`: `a key` and `pki` exclude each other",
        ),
    ] {
        assert_eq!(refusal(&requiring(&members)), expected, "{members}");
    }
}

#[test]
fn identities_that_are_refused() {
    for (identity, expected) in [
        (r#"{}"#, ": `type` is missing"),
        (
            r#"{"type":"matchexact"}"#,
            ".type`: unknown value \"matchexact\", expected one of exactReference, exactRepository, \
             matchExact, matchRepoDigestOrExact, matchRepository, remapIdentity",
        ),
        (
            r#"{"type":"matchExact","dockerReference":"a:1"}"#,
            r#": unknown key "dockerReference", expected one of type"#,
        ),
        (r#"{"type":"exactReference"}"#, ": `dockerReference` is missing"),
        (
            r#"{"type":"exactReference","dockerReference":"a"}"#,
            r#": not a valid identity: "a" has neither tag nor digest"#,
        ),
        (
            r#"{"type":"exactRepository","dockerRepository":"A"}"#,
            ": not a valid identity: not an image name",
        ),
        (
            r#"{"type":"remapIdentity","prefix":"a","signedPrefix":"b/"}"#,
            r#": not a valid identity: "b/" is neither host[:port] nor host[:port]/path"#,
        ),
    ] {
        let members = format!(r#""type":"signedBaseLayer","baseLayerIdentity":{identity}"#);
        let expected =
            format!("`default[0].baseLayerIdentity`{expected}").replace("`.type", ".type");
        assert_eq!(refusal(&requiring(&members)), expected, "{identity}");
    }
}

#[test]
fn a_signed_by_requirement() {
    let policy = parse(&requiring(r#""type":"signedBy","keyType":"GPGKeys","keyData":"YWI=""#));
    let expected = Requirement::SignedBy(SignedBy {
        key_type: KeyType::GpgKeys,
        keys: Source::Data(vec![b"ab".to_vec()]),
        identity: SignedIdentity::MatchRepoDigestOrExact,
        covers: Covers::Platform,
    });
    assert_eq!(policy.default_requirements().iter().collect::<Vec<_>>(), [&expected]);
}

#[test]
fn the_most_specific_scope_decides_alone() {
    let policy = parse(
        r#"{"default":[{"type":"reject"}],
            "transports":{"atomic":{"":[{"type":"reject"}]},
             "docker":{"":[{"type":"insecureAcceptAnything"}],
                "example.com/ns":[{"type":"reject"}],
                "*.example.com":[{"type":"reject"}],
                "example.com/ns/app:1":[{"type":"insecureAcceptAnything"}]}}}"#,
    );
    for (reference, scope) in [
        ("example.com/ns/app:1", r#"transports.docker."example.com/ns/app:1""#),
        ("example.com/ns/app:2", r#"transports.docker."example.com/ns""#),
        ("example.com/ns2/app:1", r#"transports.docker."""#),
        ("sub.example.com:5000/a", r#"transports.docker."*.example.com""#),
    ] {
        let reference = PullReference::parse(reference).expect("a reference");
        assert_eq!(policy.applicable(&reference).scope, scope, "{reference}");
    }
    let reference = PullReference::parse("a").expect("a reference");
    let policy = parse(r#"{"default":[{"type":"reject"}],"transports":{"docker":{}}}"#);
    assert_eq!(policy.applicable(&reference).scope, "default");
}

#[test]
fn which_lists_need_signatures() {
    const SIGNED: &str = r#"{"type":"signedBy","keyType":"GPGKeys","keyPath":"/a"}"#;
    const SIGSTORE: &str = r#"{"type":"sigstoreSigned","keyPath":"/a"}"#;
    const ANY: &str = r#"{"type":"insecureAcceptAnything"}"#;
    const REJECT: &str = r#"{"type":"reject"}"#;
    const BASE: &str = r#"{"type":"signedBaseLayer","baseLayerIdentity":{"type":"matchExact"}}"#;
    for (requirements, expected) in [
        (&[ANY][..], false),
        (&[SIGNED], true),
        (&[SIGSTORE], true),
        (&[ANY, SIGNED], true),
        (&[SIGNED, REJECT], true),
        (&[REJECT, SIGNED], false),
        (&[BASE, SIGNED], false),
        (&[ANY, ANY], false),
    ] {
        let policy = parse(&format!(r#"{{"default":[{}]}}"#, requirements.join(",")));
        assert_eq!(policy.default_requirements().needs_signatures(), expected, "{requirements:?}");
    }
}

#[test]
fn every_file_is_named() {
    let policy = parse(
        r#"{"default":[{"type":"signedBy","keyType":"GPGKeys","keyPaths":["/a","b"]}],
            "transports":{"docker":{"x":[
                {"type":"sigstoreSigned","keyPath":"/c","rekorPublicKeyPaths":["/d"]},
                {"type":"sigstoreSigned","fulcio":{"caPath":"/e","oidcIssuer":"i","subjectEmail":"e"},
                 "rekorPublicKeyPath":"/f"},
                {"type":"sigstoreSigned","pki":{"caRootsPath":"/g","caIntermediatesPath":"h",
                 "subjectHostname":"x"}},
                {"type":"sigstoreSigned","keyData":"YWI="}]}}}"#,
    );
    let all: BTreeSet<_> = ["/a", "b", "/c", "/d", "/e", "/f", "/g", "h"].map(Path::new).into();
    assert_eq!(policy.files(), all);
    assert_eq!(policy.relative_paths(), ["b", "h"].map(Path::new).into());
    assert_eq!(policy.default_requirements().files(), ["/a", "b"].map(Path::new).into());
}

#[test]
fn scopes_are_listed() {
    let policy = parse(
        r#"{"default":[{"type":"reject"}],
            "transports":{"docker":{"b":[{"type":"reject"}],"a":[{"type":"reject"}]},"dir":{}}}"#,
    );
    assert_eq!(policy.transports().collect::<Vec<_>>(), ["dir", "docker"]);
    assert_eq!(policy.scopes("docker").map(|(scope, _)| scope).collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(policy.scopes("dir").count(), 0);
    assert_eq!(policy.scopes("absent").count(), 0);
}

#[test]
fn errors_can_be_told_apart() {
    let error = Policy::parse(
        requiring(r#""type":"signedBaseLayer","baseLayerIdentity":{"type":"exactReference","dockerReference":"a"}"#)
            .as_bytes(),
        Dialect::Standard,
    );
    let Err(PolicyError::Identity { source, .. }) = error else { panic!("{error:?}") };
    assert_eq!(source, IdentityError::NoTagOrDigest { text: "a".to_owned() });
}

proptest! {
    #[test]
    fn never_panics(text in any::<String>()) {
        let _result = Policy::parse(text.as_bytes(), Dialect::Standard);
    }

    #[test]
    fn never_panics_inside_a_requirement(
        kind in "signedBy|sigstoreSigned|reject|signedBaseLayer",
        key in "keyPath|keyPaths|keyData|keyDatas|fulcio|pki|rekorPublicKeyPath|signedIdentity",
        value in r#"null|""|"/a"|\[\]|\["/a"\]|\{\}|1|"YWI=""#,
    ) {
        let _result = Policy::parse(requiring(&format!(r#""type":"{kind}","{key}":{value}"#)).as_bytes(), Dialect::Standard);
    }
}

#[test]
fn workflows_are_for_our_own_files_and_patterns_are_anchored() {
    let policy = |members: &str| {
        let fulcio = format!(r#""caPath":"/ca","oidcIssuer":"https://i.example",{members}"#);
        format!(
            r#"{{"default":[{{"type":"sigstoreSigned","fulcio":{{{fulcio}}},"rekorPublicKeyPath":"/r"}}]}}"#
        )
    };
    for (members, accepted) in [
        (r#""subjectURI":"https://a.example/b""#, true),
        (r#""subjectURIPattern":"^https://a\\.example/.*$""#, true),
        (r#""subjectURIPattern":"https://a\\.example/.*$""#, false),
        (r#""subjectURIPattern":"^https://a\\.example/.*""#, false),
        (r#""subjectURIPattern":"^a\\$""#, false),
        (r#""subjectURIPattern":"^a)|(?:b$""#, false),
        (r#""subjectURIPattern":"^[$""#, false),
        (r#""subjectURIPattern":"""#, false),
        (r#""subjectURI":"""#, false),
        (r#""subjectURI":"https://a.example","subjectEmail":"a@b""#, false),
        (r#""subjectURI":"https://a.example","subjectURIPattern":"^a$""#, false),
        (r#""subjectURIPattern":"^a$","subjectEmail":"a@b""#, false),
    ] {
        let text = policy(members);
        let found = Policy::parse(text.as_bytes(), Dialect::Extended);
        assert_eq!(found.is_ok(), accepted, "{members}: {found:?}");
        let standard = Policy::parse(text.as_bytes(), Dialect::Standard).expect_err(members);
        assert!(standard.to_string().contains("unknown key"), "{standard}");
    }
}

#[test]
fn a_signed_index_counts_only_where_our_own_file_says_so() {
    let kinds = [r#""type":"signedBy","keyType":"GPGKeys""#, r#""type":"sigstoreSigned""#];
    for (member, accepts_index) in [
        ("", Some(false)),
        (r#","signedManifest":"platform""#, Some(false)),
        (r#","signedManifest":"platformOrIndex""#, Some(true)),
        (r#","signedManifest":"index""#, None),
        (r#","signedManifest":true"#, None),
    ] {
        for kind in kinds {
            let text = format!(r#"{{"default":[{{{kind},"keyPath":"/k"{member}}}]}}"#);
            let parsed = Policy::parse(text.as_bytes(), Dialect::Extended);
            let found = parsed.ok().map(|policy| policy.default_requirements().may_accept_index());
            assert_eq!(found, accepts_index, "{text}");
            let standard = Policy::parse(text.as_bytes(), Dialect::Standard);
            assert_eq!(standard.is_ok(), member.is_empty(), "{text}");
        }
    }
}

#[test]
fn bundles_count_only_where_our_own_file_says_so() {
    let repository = r#""signedIdentity":{"type":"matchRepository"}"#;
    for (members, accepts) in [
        (repository.to_owned(), Some(false)),
        (format!(r#"{repository},"digestBound":"refused""#), Some(false)),
        (format!(r#"{repository},"digestBound":"ownRepository""#), Some(true)),
        (format!(r#"{repository},"digestBound":"anywhere""#), None),
        (format!(r#"{repository},"digestBound":null"#), None),
        (r#""digestBound":"ownRepository""#.to_owned(), None),
        (
            r#""digestBound":"ownRepository","signedIdentity":{"type":"matchExact"}"#.to_owned(),
            None,
        ),
    ] {
        let text = requiring(&format!(r#""type":"sigstoreSigned","keyPath":"/k",{members}"#));
        let parsed = Policy::parse(text.as_bytes(), Dialect::Extended).ok();
        let accepts_now = |policy: &Policy| policy.default_requirements().may_accept_bundles();
        assert_eq!(parsed.as_ref().map(accepts_now), accepts, "{text}");
        let ours = members.contains("digestBound");
        assert_eq!(Policy::parse(text.as_bytes(), Dialect::Standard).is_err(), ours, "{text}");
        // The switch is for requirements that do not say it themselves.
        let switched = parsed.map(|policy| accepts_now(&policy.accepting_digest_bound()));
        assert_eq!(switched, accepts.map(|accepts| accepts || !ours), "{text}");
    }
    let other = requiring(r#""type":"sigstoreSigned","keyPath":"/k""#);
    let switched = parse(&other).accepting_digest_bound();
    assert!(
        !switched.default_requirements().may_accept_bundles(),
        "the default identity has a tag"
    );
}

#[test]
fn a_trusted_root_stands_for_authorities_and_logs_in_our_own_files() {
    let fulcio = r#""fulcio":{"oidcIssuer":"https://i.example","subjectEmail":"a@example.com"}"#;
    for (members, accepted) in [
        (fulcio, true),
        (r#""keyPath":"/k""#, true),
        (r#""keyDatas":["YQ=="]"#, true),
        ("", false),
        (r#""keyPath":"/k","rekorPublicKeyPath":"/r""#, false),
        (r#""pki":{"caRootsPath":"/r","subjectEmail":"a@example.com"}"#, false),
        (&format!(r#""keyPath":"/k",{fulcio}"#), false),
        (&fulcio.replace('{', r#"{"caPath":"/ca","#), false),
        (r#""fulcio":{"oidcIssuer":"https://i.example"}"#, false),
        (r#""keyPath":"/k","trustedRootData":"YQ==""#, false),
    ] {
        let comma = if members.is_empty() { "" } else { "," };
        let text = requiring(&format!(
            r#""type":"sigstoreSigned","trustedRootPath":"/etc/pullgate/root.json"{comma}{members}"#
        ));
        let found = Policy::parse(text.as_bytes(), Dialect::Extended);
        assert_eq!(found.is_ok(), accepted, "{members}: {found:?}");
        Policy::parse(text.as_bytes(), Dialect::Standard).expect_err(members);
        if let Ok(policy) = found {
            let files = policy.files();
            assert!(files.contains(Path::new("/etc/pullgate/root.json")), "{files:?}");
        }
    }
}
