use super::*;

const DIGEST: &str = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
const OTHER: &str = "sha256:ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff";

fn check(identity: &SignedIdentity, rows: &[(&str, &str, bool)]) {
    for (image, signed, expected) in rows {
        let expand = |text: &str| {
            text.replace("@D", &format!("@{DIGEST}")).replace("@E", &format!("@{OTHER}"))
        };
        let image = Reference::parse(&expand(image)).expect("a reference");
        let found = identity.matches(Some(&image), &expand(signed));
        assert_eq!(found, *expected, "{identity:?}: {image} against {signed}");
    }
}

#[test]
fn match_exact() {
    check(
        &SignedIdentity::MatchExact,
        &[
            ("a:1", "a:1", true),
            ("a:1", "docker.io/library/a:1", true),
            ("a@D", "a@D", true),
            ("a:1", "a:2", false),
            ("a:1", "a", false),
            ("a", "a", false),
            ("a:latest", "a", false),
            ("a@D", "a@E", false),
            ("a@D", "a:1", false),
            ("a:1", "a:1@D", false),
            ("a:1", "b:1", false),
            ("a:1", "", false),
            ("a:1", "A:1", false),
        ],
    );
}

#[test]
fn match_repo_digest_or_exact() {
    check(
        &SignedIdentity::MatchRepoDigestOrExact,
        &[
            ("a:1", "a:1", true),
            ("a@D", "a:1", true),
            ("a@D", "a@E", true),
            ("a:1@D", "a:1@D", true),
            ("a:1", "a:2", false),
            ("a:1@D", "a:1", false),
            ("a@D", "a", false),
            ("a@D", "b:1", false),
            ("a", "a:1", false),
            ("a@D", "not a name", false),
        ],
    );
}

#[test]
fn match_repository() {
    check(
        &SignedIdentity::MatchRepository,
        &[
            ("a:1", "a", true),
            ("a:1", "a:2", true),
            ("a:1", "a@D", true),
            ("a:1", "ab:1", false),
            ("a:1", "example.com/library/a:1", false),
        ],
    );
}

#[test]
fn exact_reference_and_repository_need_no_image() {
    let reference = SignedIdentity::exact_reference("example.com/a:1").expect("valid");
    let repository = SignedIdentity::exact_repository("example.com/a:ignored").expect("valid");
    for (signed, same_reference, same_repository) in [
        ("example.com/a:1", true, true),
        ("example.com/a:2", false, true),
        ("example.com/a", false, true),
        ("example.com/b:1", false, false),
    ] {
        assert_eq!(reference.matches::<Reference>(None, signed), same_reference, "{signed}");
        assert_eq!(repository.matches::<Reference>(None, signed), same_repository, "{signed}");
    }
    let remap = SignedIdentity::RemapIdentity(Remap::parse("a", "b").expect("valid"));
    for identity in [
        SignedIdentity::MatchExact,
        SignedIdentity::MatchRepoDigestOrExact,
        SignedIdentity::MatchRepository,
        remap,
    ] {
        assert!(!identity.matches::<Reference>(None, "example.com/a:1"), "{identity:?}");
    }
}

#[test]
fn a_prefix_ends_with_a_component() {
    for (prefix, image, expected) in [
        ("example.com", "example.com/x:1", true),
        ("example.com/ns", "example.com/ns/x:1", true),
        ("example.com/ns", "example.com/ns:1", true),
        ("example.com/ns", "example.com/ns2/x:1", false),
        ("example.com", "example.com:5000/x:1", false),
        ("example.com:5000", "example.com:50000/x:1", false),
        ("example.com", "an.example.com/x:1", false),
    ] {
        let remap = Remap::parse(prefix, "signed.example").expect("valid");
        let image = Reference::parse(image).expect("a reference");
        assert_eq!(remap.applies_to(&image), expected, "{prefix} and {image}");
    }
}

#[test]
fn remapped_names() {
    let remap = Remap::parse("mirror.example/up", "vendor.example").expect("valid");
    check(
        &SignedIdentity::RemapIdentity(remap.clone()),
        &[
            ("mirror.example/up/app:1", "vendor.example/app:1", true),
            ("mirror.example/up/app@D", "vendor.example/app:1", true),
            ("elsewhere.example/app:1", "elsewhere.example/app:1", true),
            ("mirror.example/up/app:1", "mirror.example/up/app:1", false),
            ("mirror.example/up/app:1", "vendor.example/app:2", false),
            // The result would be `vendor.example:1`, which names something at docker.io.
            ("mirror.example/up:1", "vendor.example:1", false),
        ],
    );
    assert_eq!((remap.prefix(), remap.signed_prefix()), ("mirror.example/up", "vendor.example"));
}

#[test]
fn texts_that_are_refused() {
    let no_tag = SignedIdentity::exact_reference("a").expect_err("refused");
    assert_eq!(no_tag, IdentityError::NoTagOrDigest { text: "a".to_owned() });
    let no_name = SignedIdentity::exact_repository("A").expect_err("refused");
    assert!(matches!(no_name, IdentityError::Reference(ReferenceError::Path { .. })));
    for prefix in
        ["", "a_b", "a/", "a//b", "a/B", "a:tag", "a/b:tag", "a/b@D", "a:", "*.a", "a:1:2"]
    {
        let expected = IdentityError::Prefix { text: prefix.to_owned() };
        assert_eq!(Remap::parse(prefix, "a"), Err(expected.clone()), "{prefix}");
        assert_eq!(Remap::parse("a", prefix), Err(expected), "{prefix}");
    }
}
