use proptest::prelude::*;

use super::*;

const HEX: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

fn domain(domain: &str) -> ReferenceError {
    ReferenceError::Domain { domain: domain.to_owned() }
}

fn path(path: &str) -> ReferenceError {
    ReferenceError::Path { path: path.to_owned() }
}

fn tag(tag: &str) -> ReferenceError {
    ReferenceError::Tag { tag: tag.to_owned() }
}

#[test]
fn names_that_are_refused() {
    let long_tag = "t".repeat(129);
    for (text, expected) in [
        ("", path("library/")),
        (HEX, ReferenceError::Identifier { text: HEX.to_owned() }),
        ("UPPER/x", path("UPPER/x")),
        ("LOCALHOST/a", path("LOCALHOST/a")),
        ("[::1]:5000/x", domain("[::1]:5000")),
        ("exa_mple.com/a", domain("exa_mple.com")),
        ("example.com:/a", domain("example.com:")),
        ("example.com:0x50/a", domain("example.com:0x50")),
        ("example.com:1:2/a", domain("example.com:1:2")),
        ("example..com/a", domain("example..com")),
        ("-example.com/a", domain("-example.com")),
        ("example-.com/a", domain("example-.com")),
        ("user@example.com/a", domain("user@example.com")),
        ("https://example.com/a", domain("https:")),
        ("éxample.com/a", domain("éxample.com")),
        ("example.com/../x", path("../x")),
        ("example.com//a", path("/a")),
        ("example.com/a/", path("a/")),
        ("example.com/", path("")),
        ("example.com/a%2fb", path("a%2fb")),
        ("example.com/a..b", path("a..b")),
        ("example.com/a___b", path("a___b")),
        ("example.com/a.-b", path("a.-b")),
        ("example.com/a\n", path("a\n")),
        ("example.com/A", path("A")),
        ("a:", tag("")),
        ("a:.t", tag(".t")),
        ("a:b:c", tag("b:c")),
        ("a:é", tag("é")),
        (&format!("a:{long_tag}"), tag(&long_tag)),
        ("a@", ReferenceError::Digest(DigestError::NoAlgorithm)),
        ("a@md5:00", ReferenceError::Digest(DigestError::UnknownAlgorithm)),
        (&format!("a@SHA256:{HEX}"), ReferenceError::Digest(DigestError::UnknownAlgorithm)),
        (
            &format!("a@sha256:{}", HEX.to_uppercase()),
            ReferenceError::Digest(DigestError::NotLowerHex),
        ),
        (
            &format!("a@sha256:{HEX}:tag"),
            ReferenceError::Digest(DigestError::Length {
                algorithm: crate::digest::Algorithm::Sha256,
                found: 68,
            }),
        ),
        (&"a".repeat(238), ReferenceError::TooLong { length: 256 }),
    ] {
        assert_eq!(Reference::parse(text), Err(expected), "{text}");
    }
    assert!(Reference::parse(&"a".repeat(237)).is_ok());
}

#[test]
fn names_are_normalised() {
    for (text, expected) in [
        ("busybox", "docker.io/library/busybox"),
        ("ns/app:1", "docker.io/ns/app:1"),
        ("index.docker.io/busybox", "docker.io/library/busybox"),
        ("docker.io/busybox", "docker.io/library/busybox"),
        ("registry-1.docker.io/busybox", "registry-1.docker.io/busybox"),
        ("localhost/app", "localhost/app"),
        ("host:5000/app", "host:5000/app"),
        ("host:5000", "docker.io/library/host:5000"),
        ("EXAMPLE.com/a:Tag", "EXAMPLE.com/a:Tag"),
        ("a--b/c__d.e", "docker.io/a--b/c__d.e"),
    ] {
        assert_eq!(Reference::parse(text).expect(text).to_string(), expected);
    }
}

#[test]
fn only_full_names_are_canonical() {
    assert!(Reference::parse_canonical("docker.io/library/a:1").is_ok());
    for text in ["a:1", "docker.io/a:1", "index.docker.io/library/a:1", "vendor.example:5000:1"] {
        assert!(Reference::parse_canonical(text).is_err(), "{text}");
    }
    assert_eq!(
        Reference::parse_canonical("a").expect_err("refused").to_string(),
        r#""a" is not a full name, expected "docker.io/library/a""#
    );
}

#[test]
fn a_pull_has_a_tag_or_a_digest() {
    let pinned = format!("a@sha256:{HEX}");
    let both = format!("a:1@sha256:{HEX}");
    let canonical = format!("docker.io/library/{pinned}");
    for (text, expected, dropped) in [
        ("a", "docker.io/library/a:latest", None),
        ("a:1", "docker.io/library/a:1", None),
        (&pinned, &canonical, None),
        (&both, &canonical, Some("1")),
    ] {
        let pull = PullReference::parse(text).expect(text);
        assert_eq!(pull.to_string(), expected);
        assert_eq!(pull.dropped_tag(), dropped, "{text}");
    }
    assert_eq!(
        PullReference::parse("Example.com/a"),
        Err(ReferenceError::UpperCaseDomain { domain: "Example.com".to_owned() })
    );
    assert!(PullReference::parse("UPPER/a").is_err());
}

#[test]
fn a_reference_moves_to_another_host_or_digest() {
    let reference = Reference::parse("example.com/ns/app:1").expect("a reference");
    let digest = Digest::sha256(b"");
    assert_eq!(
        reference.at_digest(digest.clone()).to_string(),
        format!("example.com/ns/app@{digest}")
    );
    let mirror = reference.at_domain("mirror.example:5000").expect("a reference");
    assert_eq!(mirror.to_string(), "mirror.example:5000/ns/app:1");
    for text in ["", "[::1]:5000", "mirror.example/path", "https://mirror.example"] {
        assert_eq!(reference.at_domain(text), Err(domain(text)));
    }
}

proptest! {
    #[test]
    fn never_panics(text in any::<String>()) {
        let _result = PullReference::parse(&text);
    }

    #[test]
    fn what_is_displayed_parses_to_the_same(
        text in "([a-z0-9A-Z.]{1,8}(:[0-9]{1,3})?/)?[a-z0-9._/-]{1,16}(:[a-zA-Z0-9_.-]{1,8})?"
    ) {
        if let Ok(reference) = Reference::parse(&text) {
            prop_assert_eq!(Reference::parse_canonical(&reference.to_string()), Ok(reference));
        }
    }
}
