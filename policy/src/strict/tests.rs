use proptest::prelude::*;

use super::*;

fn message(text: &str) -> String {
    json(text.as_bytes()).expect_err("refused").to_string()
}

#[test]
fn documents_that_are_refused() {
    for (text, expected) in [
        ("", "not JSON: EOF while parsing a value at line 1 column 0"),
        ("\u{feff}{}", "not JSON: expected value at line 1 column 1"),
        ("{} {}", "not JSON: trailing characters at line 1 column 4"),
        ("{} x", "not JSON: trailing characters at line 1 column 4"),
        ("{} // end", "not JSON: trailing characters at line 1 column 4"),
        (r#"{"a":1,}"#, "not JSON: trailing comma at line 1 column 8"),
        ("{'a':1}", "not JSON: key must be a string at line 1 column 2"),
        ("[NaN]", "not JSON: expected value at line 1 column 2"),
        (r#"["\ud800"]"#, "not JSON: unexpected end of hex escape at line 1 column 9"),
        (r#"{"a":1,"a":1}"#, "`a`: key stands twice in its object, at line 1 column 10"),
        (
            "{\"a\":[0,{\"b/c\":1,\n\"b\\u002fc\":1}]}",
            "`a[1].\"b/c\"`: key stands twice in its object, at line 2 column 10",
        ),
        (r#"{"":1,"":1}"#, "`\"\"`: key stands twice in its object, at line 1 column 8"),
    ] {
        assert_eq!(message(text), expected, "{text}");
    }
    let invalid = json(b"[\"\xff\"]").expect_err("refused");
    assert_eq!(invalid.to_string(), "not JSON: invalid unicode code point at line 1 column 3");
}

#[test]
fn depth_is_bounded() {
    let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
    let limit = crate::limits::DOCUMENT_DEPTH;
    assert!(json(nested(limit).as_bytes()).is_ok());
    let unclosed = ["[".repeat(1_000_000), r#"{"a":"#.repeat(1_000_000)];
    for text in unclosed.into_iter().chain([nested(limit + 1)]) {
        let message = message(&text);
        assert!(message.starts_with("nested deeper than 64 levels, at line 1"), "{message}");
    }
}

#[test]
fn values_of_the_wrong_kind() {
    let document = json(br#"{"list":[0],"number":1.0,"text":"YWJ","null":null}"#).expect("valid");
    let object = document.root().object().expect("an object");
    let get = |key| object.get(key).expect("present");
    let (list, number, text, null) = (get("list"), get("number"), get("text"), get("null"));
    for (error, expected) in [
        (list.object().err(), "`list`: expected an object, found a list"),
        (text.list().err(), "`text`: expected a list, found the text \"YWJ\""),
        (null.string().err(), "`null`: expected a string, found null"),
        (number.string().err(), "`number`: expected a string, found the number 1"),
        (text.number().err(), "`text`: expected a number, found the text \"YWJ\""),
        (number.integer().err(), "`number`: expected an integer, found the number 1"),
        (
            null.bytes().err(),
            "`null`: expected a string in standard base64 with padding, found null",
        ),
        (
            text.bytes().err(),
            "`text`: expected a string in standard base64 with padding, \
             found the text \"YWJ\" (Invalid padding)",
        ),
        (object.require("gone").err(), "top level: `gone` is missing"),
        (
            object.only(&["list", "number"]).err(),
            "top level: unknown key \"null\", expected one of list, number",
        ),
    ] {
        assert_eq!(error.expect("refused").to_string(), expected);
    }
}

#[test]
fn keys_that_another_reader_would_take_for_ours() {
    for (key, refused) in [
        ("layers", false),
        ("unrelated", false),
        ("Layers", true),
        ("LAYERS", true),
        ("layer\u{17f}", true),
    ] {
        let text = format!("{{{key:?}:[]}}");
        let document = json(text.as_bytes()).expect("valid");
        let result = document.root().object().expect("an object").no_variants(&["layers"]);
        assert_eq!(result.is_err(), refused, "{key}");
    }
    let document = json(br#"{"a":{"Layers":[]}}"#).expect("valid");
    let root = document.root().object().expect("an object");
    let error = root.require("a").expect("present").object().expect("an object");
    assert_eq!(
        error.no_variants(&["layers"]).expect_err("refused").to_string(),
        "`a`: key \"Layers\", expected \"layers\" in exactly this spelling"
    );
}

#[test]
fn integers_are_written_as_integers() {
    for (text, expected) in [
        ("0", Some(0)),
        ("-1", Some(-1)),
        ("9223372036854775807", Some(i64::MAX)),
        ("-9223372036854775808", Some(i64::MIN)),
        ("9223372036854775808", None),
        ("18446744073709551616", None),
        ("1.0", None),
        ("1e3", None),
        ("true", None),
        ("\"1\"", None),
    ] {
        let document = json(text.as_bytes()).expect("valid");
        assert_eq!(document.root().integer().ok(), expected, "{text}");
    }
}

#[test]
fn base64_is_standard_and_padded() {
    for (text, expected) in [
        ("YWI=", Some(&b"ab"[..])),
        ("YW\r\nI=\n", Some(b"ab")),
        ("", Some(b"")),
        ("YWI", None),
        ("YW I=", None),
        ("YW\tI=", None),
        ("_-==", None),
        ("YWI=YWI=", None),
    ] {
        assert_eq!(base64(text).ok().as_deref(), expected, "{text:?}");
    }
}

#[test]
fn messages_stay_short() {
    let key = "k".repeat(10_000);
    let document = json(format!("{{{key:?}:{key:?}}}").as_bytes()).expect("valid");
    let root = document.root().object().expect("an object");
    let (_key, node) = root.iter().next().expect("one member");
    assert!(node.integer().expect_err("refused").to_string().len() < 300);
    assert!(root.only(&[]).expect_err("refused").to_string().len() < 300);
}

proptest! {
    #[test]
    fn json_never_panics(text in any::<Vec<u8>>()) {
        let _result = json(&text);
    }

    #[test]
    fn json_shaped_text_never_panics(text in r#"([\[\]{},:0-9eE.+\-"a \\u]|true|null){0,64}"#) {
        let _result = json(text.as_bytes());
    }
}
