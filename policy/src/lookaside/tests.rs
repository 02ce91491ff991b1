use std::error::Error as _;
use std::path::Path;

use proptest::prelude::*;

use super::*;

fn parse(text: &str) -> Lookaside {
    Lookaside::parse([("0.yaml", text.as_bytes())]).unwrap_or_else(|error| panic!("{error}"))
}

fn reference(text: &str) -> Reference {
    Reference::parse(text).expect("a reference")
}

fn refusal(error: &LookasideError) -> String {
    error.source().map_or_else(|| error.to_string(), |source| format!("{error}: {source}"))
}

#[test]
fn files_that_are_refused() {
    for (text, expected) in [
        ("}", "not a registries.d file: misplaced bracket"),
        ("hello", "not a registries.d file: "),
        ("[]", "not a registries.d file: "),
        ("docker: [a]", "not a registries.d file: "),
        ("docker: {a: {lookaside: [b]}}", "not a registries.d file: "),
        ("docker: {a: {lookaside: b, lookaside: b}}", "duplicate mapping key `lookaside`"),
        ("docker: {a: , a: }", "duplicate mapping key `a`"),
        ("docker: {}\ndocker: {}", "duplicate mapping key `docker`"),
        ("unknown: [{a: 1, a: 2}]", "duplicate mapping key `a`"),
        ("docker: {}\n---\ndocker: {}", "only single YAML document expected"),
        ("docker: {a: {use-sigstore-attachments: 1}}", "expected true or false"),
        ("docker: {a: {use-sigstore-attachments: tru}}", "expected true or false, found \"tru\""),
        (
            "docker: {a: {use-sigstore-attachments: \"true\"}}",
            "expected true or false, found \"true\"",
        ),
        ("docker:\n\ta: b", "tab"),
        (&format!("a: {}", "[".repeat(100_000)), "not a registries.d file: "),
    ] {
        let error = Lookaside::parse([("0.yaml", text.as_bytes())]).expect_err(text);
        let message = refusal(&error);
        assert!(message.starts_with("0.yaml: not a registries.d file: "), "{message}");
        assert!(message.contains(expected), "{text}: {message}");
        assert!(message.contains("line "), "{message}");
    }
}

#[test]
fn a_section_stands_in_one_file() {
    let twice = |text: &str| {
        refusal(
            &Lookaside::parse([("0.yaml", text.as_bytes()), ("1.yaml", text.as_bytes())])
                .expect_err(text),
        )
    };
    assert_eq!(
        twice("default-docker: {}"),
        "`default-docker` stands in 0.yaml and in 1.yaml, expected once"
    );
    assert_eq!(
        twice("docker: {a/b: }"),
        "`docker.\"a/b\"` stands in 0.yaml and in 1.yaml, expected once"
    );
}

#[test]
fn what_may_be_left_out_may_be_null() {
    let empty = Lookaside::default();
    for text in ["", "# nothing", "null", "---", "{}", "docker:", "default-docker:", "docker: {}"] {
        assert_eq!(parse(text), empty, "{text:?}");
    }
    let sections = ["a:", "a: {}", "a: {lookaside: }", "a: {use-sigstore-attachments: ~}"];
    for text in sections {
        let parsed = parse(&format!("docker: {{{text}}}"));
        let namespaces: Vec<_> = parsed.namespaces().collect();
        assert_eq!(namespaces, [("a", &Section::default())], "{text}");
    }
}

#[test]
fn truth_values_are_those_of_go_yaml() {
    for (text, expected) in
        [("true", true), ("True", true), ("yes", true), ("y", true), ("ON", true), ("\"on\"", true)]
            .into_iter()
            .chain([("false", false), ("FALSE", false), ("n", false), ("off", false)])
    {
        let parsed = parse(&format!("default-docker: {{use-sigstore-attachments: {text}}}"));
        let section = parsed.default_docker().expect("a section");
        assert_eq!(section.use_sigstore_attachments, Some(expected), "{text}");
    }
}

#[test]
fn unknown_keys_are_reported() {
    let parsed = parse(
        "future: {a: b}\n\
         default-docker: {Lookaside: file:///a}\n\
         docker:\n  \"*.example.com\": {lookasides: file:///b, lookaside: file:///c}\n",
    );
    let reported: Vec<_> = parsed.unknown_keys().iter().map(UnknownKey::to_string).collect();
    assert_eq!(
        reported,
        [
            "0.yaml: unknown key \"future\"",
            "0.yaml: \"default-docker\": unknown key \"Lookaside\"",
            "0.yaml: \"*.example.com\": unknown key \"lookasides\"",
        ]
    );
}

#[test]
fn attributes_fall_through_one_by_one() {
    let parsed = parse(
        "default-docker: {sigstore: https://d.example}\n\
         docker:\n\
         \x20 corp.example: {lookaside: https://a.example}\n\
         \x20 corp.example/team: {use-sigstore-attachments: true, lookaside-staging: file:///w}\n\
         \x20 corp.example/team/app:v1: {lookaside: '', use-sigstore-attachments: false}\n\
         \x20 \"*.corp.example\": {lookaside: '', sigstore: https://s.example}\n",
    );
    for (text, base, attachments) in [
        ("corp.example/team/app:v1", "https://a.example", false),
        ("corp.example/team/app:v2", "https://a.example", true),
        ("corp.example/x:1", "https://a.example", false),
        ("sub.corp.example/x:1", "https://s.example", false),
        ("corp.example:5000/x:1", "https://d.example", false),
    ] {
        let reference = reference(text);
        assert_eq!(parsed.base(&reference), Some(base), "{text}");
        assert_eq!(parsed.use_sigstore_attachments(&reference), attachments, "{text}");
    }
}

#[test]
fn locations_of_signatures() {
    let digest = Digest::sha256(b"");
    let hex = digest.hex();
    let url = |text: &str| Location::Url(text.replace("@D", &format!("@sha256={hex}")));
    let file = |text: &str| Location::File(text.replace("@D", &format!("@sha256={hex}")).into());
    for (base, expected) in [
        ("https://l.example/s", url("https://l.example/s/ns/app@D/signature-2")),
        ("HTTPS://l.example", url("https://l.example/ns/app@D/signature-2")),
        ("https://l.example/s/", url("https://l.example/s//ns/app@D/signature-2")),
        (
            "http://u:p@l.example:80/s?x=1#f",
            url("http://u:p@l.example:80/s/ns/app@D/signature-2?x=1#f"),
        ),
        ("http://[::1]:5000/s", url("http://[::1]:5000/s/ns/app@D/signature-2")),
        (
            "http://l.example/c%20d/%7e%c3%a9!",
            url("http://l.example/c%20d/~%C3%A9%21/ns/app@D/signature-2"),
        ),
        ("file:///srv/c%20d?x#f", file("/srv/c d/ns/app@D/signature-2")),
        ("file://host/srv", file("/srv/ns/app@D/signature-2")),
        ("file:////srv", file("//srv/ns/app@D/signature-2")),
        ("file:/srv", file("/srv/ns/app@D/signature-2")),
        ("file://", file("/ns/app@D/signature-2")),
        ("", file("/var/lib/containers/sigstore/ns/app@D/signature-2")),
    ] {
        let parsed = parse(&format!("default-docker: {{lookaside: {base:?}}}"));
        let store = parsed.store(&reference("example.com/ns/app:1")).expect(base);
        assert_eq!(store.location(&digest, 2), expected, "{base}");
    }
    let docker_hub = Lookaside::default().store(&reference("busybox")).expect("built in");
    let expected = file("/var/lib/containers/sigstore/library/busybox@D/signature-1");
    assert_eq!(docker_hub.location(&digest, 1), expected);
}

#[test]
fn bases_that_are_refused() {
    for (base, expected) in [
        (":emptyscheme", UrlError::NoScheme),
        ("1a:b", UrlError::NoScheme),
        ("/no/scheme", UrlError::Scheme),
        ("relative/path", UrlError::Scheme),
        ("//host/path", UrlError::Scheme),
        ("///path", UrlError::Scheme),
        ("ftp://l.example/s", UrlError::Scheme),
        ("file:relative", UrlError::NoHierarchy),
        ("https:l.example", UrlError::NoHierarchy),
        ("https:///s", UrlError::NoHost),
        ("https://user@/s", UrlError::NoHost),
        ("https://l.example/a%2Fb", UrlError::EncodedSlash),
        ("https://l.example/a%2fb", UrlError::EncodedSlash),
        ("https://l.example/a\u{1}", UrlError::ControlCharacter),
        ("https://l.example\n", UrlError::ControlCharacter),
        ("https://l example/", UrlError::Authority),
        ("https://l.exämple/", UrlError::Authority),
        ("https://l%2eexample/", UrlError::Authority),
        ("https://l.example:port/", UrlError::Authority),
        ("https://:5000/", UrlError::Authority),
        ("https://[::1/", UrlError::Authority),
        ("https://us er@l.example/", UrlError::Authority),
    ] {
        let store = Store::new(base, &reference("example.com/a:1"));
        assert_eq!(store, Err(expected), "{base:?}");
    }
    let parsed = parse("default-docker: {lookaside: ftp://l.example}");
    let error = parsed.store(&reference("a:1")).expect_err("refused");
    assert_eq!(
        refusal(&error),
        "lookaside \"ftp://l.example\" cannot be read from: expected a file, http or https URL"
    );
}

#[test]
fn escapes_that_are_refused() {
    for path in ["a%", "a%4", "%zz", "%é", "%%41"] {
        let error = BaseUrl::parse(&format!("https://l.example/{path}")).expect_err(path);
        assert!(matches!(error, UrlError::Escape { .. }), "{path}: {error:?}");
    }
    for path in ["%ff", "%c3", "%c3x"] {
        let error = BaseUrl::parse(&format!("https://l.example/{path}")).expect_err(path);
        assert!(matches!(error, UrlError::NotUtf8(_)), "{path}: {error:?}");
    }
}

#[test]
fn the_first_file_of_a_name_is_read() {
    let found = [
        "/etc/b.yaml",
        "/etc/a.yaml",
        "/etc/README",
        "/etc/upper.YAML",
        "/usr/a.yaml",
        "/usr/.hidden.yaml",
        "/usr/c.yaml.bak",
    ];
    assert_eq!(
        search_order(found.map(PathBuf::from)),
        ["/usr/.hidden.yaml", "/etc/a.yaml", "/etc/b.yaml"].map(Path::new)
    );
}

proptest! {
    #[test]
    fn files_never_panic(text in any::<Vec<u8>>()) {
        let _result = Lookaside::parse([("0.yaml", text.as_slice())]);
    }

    #[test]
    fn urls_never_panic(text in any::<String>()) {
        let _result = BaseUrl::parse(&text);
    }

    #[test]
    fn what_is_displayed_parses_to_the_same(
        text in "(file|https?|x)?:?(//)?(u:p@)?[a-z.]{0,8}(:[0-9]{1,3})?(/[a-z% \\u{e9}#?0-9]{0,8}){0,3}"
    ) {
        if let Ok(url) = BaseUrl::parse(&text) {
            let again = BaseUrl::parse(&url.to_string()).expect("a URL");
            prop_assert_eq!(again.to_string(), url.to_string());
            prop_assert_eq!(again.path(), url.path());
        }
    }
}
