use std::time::{Duration, SystemTime};

use super::Terms;
use crate::reference::PullReference;

const GOOD: &str = r#"{
    "scopes": ["registry.example/team", "*.mirror.example"],
    "not_before": "2026-11-25T12:00:00Z",
    "not_after": "2026-11-25T18:00:00Z",
    "reason": "the signing service is down",
    "who": "alice@example.com"
}"#;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn at(text: &str) -> SystemTime {
    humantime::parse_rfc3339(text).unwrap()
}

#[test]
fn terms_are_strict() {
    let terms = Terms::parse(GOOD.as_bytes()).unwrap();
    assert_eq!((terms.reason(), terms.who()), ("the signing service is down", "alice@example.com"));
    for (from, to, expected) in [
        (r#""who""#, r#""Who""#, "unknown key \"Who\""),
        (r#""who": "alice@example.com""#, r#""who": """#, "`who`: is empty"),
        (r#""who": "alice@example.com""#, r#""who": " ""#, "`who`: is empty"),
        (r#""who": "alice@example.com""#, r#""who": null"#, "`who`: expected a string, found null"),
        (r#"down","#, r#"down", "reason": "twice","#, "`reason`: key stands twice"),
        (r#"["registry.example/team", "*.mirror.example"]"#, "[]", "`scopes`: is empty"),
        (r#"["registry.example/team", "*.mirror.example"]"#, r#""""#, "`scopes`: expected a list"),
        (r#""scopes": ["registry.example/team", "*.mirror.example"],"#, "", "`scopes` is missing"),
        ("T18:00:00Z", "T18:00:00", "expected a time in UTC"),
        ("2026-11-25T18:00:00Z", "tomorrow", "expected a time in UTC"),
        ("T18:00:00Z", "T12:00:00Z", "`not_after` is not after `not_before`"),
        ("T18:00:00Z", "T11:00:00Z", "`not_after` is not after `not_before`"),
        ("}", "} {}", "not JSON: trailing characters"),
    ] {
        let text = GOOD.replace(from, to);
        assert_ne!(text, GOOD, "{from}");
        let error = Terms::parse(text.as_bytes()).unwrap_err().to_string();
        assert!(error.contains(expected), "{to}: {error}");
    }
}

#[test]
fn terms_are_in_force_from_their_begin_to_before_their_end() {
    let terms = Terms::parse(GOOD.as_bytes()).unwrap();
    for (now, longest, expected) in [
        ("2026-11-25T11:59:59Z", DAY, Err("it begins on 2026-11-25T12:00:00Z")),
        ("2026-11-25T12:00:00Z", DAY, Ok(())),
        ("2026-11-25T17:59:59Z", DAY, Ok(())),
        ("2026-11-25T18:00:00Z", DAY, Err("it ended on 2026-11-25T18:00:00Z")),
        ("2026-11-25T12:00:00Z", DAY / 4, Ok(())),
        ("2026-11-25T12:00:00Z", DAY / 5, Err("it lasts 6h, and `break_glass.longest` is 4h 48m")),
    ] {
        let found = terms.in_force(longest, at(now)).map_err(|error| error.to_string());
        match (found, expected) {
            (Ok(()), Ok(())) => {}
            (Err(found), Err(expected)) => assert!(found.contains(expected), "{now}: {found}"),
            (found, _) => panic!("{now} {longest:?}: {found:?}"),
        }
    }
}

#[test]
fn scopes_are_those_of_a_policy_and_none_is_everything_unless_it_is_written() {
    let covers = |scopes: &str, image: &str| {
        let text = GOOD.replace(r#"["registry.example/team", "*.mirror.example"]"#, scopes);
        let reference = PullReference::parse(image).unwrap();
        Terms::parse(text.as_bytes()).unwrap().covers(&reference)
    };
    for (scopes, image, covered) in [
        (r#"["registry.example/team"]"#, "registry.example/team/app:1", true),
        (r#"["registry.example/team"]"#, "registry.example/teams/app:1", false),
        (r#"["registry.example/team"]"#, "other.example/team/app:1", false),
        (r#"["registry.example/team/app:1"]"#, "registry.example/team/app:1", true),
        (r#"["registry.example/team/app:1"]"#, "registry.example/team/app:2", false),
        (r#"["a", "registry.example"]"#, "registry.example/team/app:1", true),
        (r#"["*.example"]"#, "registry.example/team/app:1", true),
        (r#"["*"]"#, "registry.example/team/app:1", false),
        (r#"[""]"#, "registry.example/team/app:1", true),
    ] {
        assert_eq!(covers(scopes, image), covered, "{scopes} {image}");
    }
}
