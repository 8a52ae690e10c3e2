//! Tests of the pointer, against serde_json's own, and of what makes two items one.

use serde_json::Value;

use super::*;

fn item(pointer: &str, payload: &str) -> Option<u64> {
    ItemPointer::parse(pointer).unwrap().item_of(payload.as_bytes())
}

/// The document of RFC 6901 section 5, with some more ways into the deep.
const DOCUMENT: &str = r#"{
    "foo": ["bar","baz"], "": 0, "a/b": 1, "c%d": 2, "e^f": 3, "g|h": 4, "i\\j": 5,
    "k\"l": 6, " ": 7, "m~n": 8,
    "deep": {"list": [[1, [2, 3]], {"x": {"y": "z"}}], "0": "named", "01": "not an index"},
    "n": 1e400, "t": true, "f": false, "text": "a\u00e9b", "minus": -1, "half": 0.5
}"#;

#[test]
fn it_finds_what_the_rfc_says() {
    for pointer in [
        "",
        "/foo",
        "/foo/0",
        "/foo/1",
        "/",
        "/a~1b",
        "/c%d",
        "/e^f",
        "/g|h",
        "/i\\j",
        "/k\"l",
        "/ ",
        "/m~0n",
        "/deep/list/0/1/1",
        "/deep/list/1/x/y",
        "/deep/0",
        "/deep/01",
        "/t",
        "/f",
        "/text",
        "/minus",
        "/half",
    ] {
        let found = item(pointer, DOCUMENT);
        // A number that no float holds can't be in a Value.
        let document: Value = serde_json::from_str(&DOCUMENT.replace("1e400", "1")).unwrap();
        let expected = document.pointer(pointer).unwrap_or_else(|| panic!("{pointer}"));
        if pointer.is_empty() {
            assert!(found.is_some());
        } else {
            // Alone in a document of its own it is the same item.
            assert_eq!(found, item("", &expected.to_string()), "{pointer} is {expected}");
        }
        assert!(found.is_some(), "{pointer}");
    }
    assert_eq!(item("/n", DOCUMENT), item("", "1e400"));
}

#[test]
fn what_is_not_there_is_no_item() {
    for pointer in [
        "/nowhere",
        "/foo/2",
        "/foo/-",
        "/foo/00",
        "/foo/01",
        "/foo/+1",
        "/foo/x",
        "/foo/0/0",
        "/t/x",
        "/f/0",
        "/text/0",
        "/minus/0",
        "/half/0",
        "/n/0",
        "/deep/list/x",
        "/foo/99999999999999999999999",
        "/deep/list/1/x/y/z",
    ] {
        assert_eq!(item(pointer, DOCUMENT), None, "{pointer}");
    }
    for payload in
        ["", "{", "no JSON", "{\"id\":1}}", "{\"id\":1} x", "[1]", "7", "null", "{\"id\":}"]
    {
        assert_eq!(item("/id", payload), None, "{payload}");
    }
    assert_eq!(ItemPointer::parse("/id").unwrap().item_of(b"\xff\xfe"), None);
    assert_eq!(ItemPointer::parse("/id").unwrap().item_of(b"{\"id\":\"\xff\"}"), None);
    assert_eq!((item("/id", "{\"id\":null}"), item("", "null")), (None, None));
}

#[test]
fn strings_are_what_they_mean_and_the_rest_is_as_it_is_written() {
    let all = [
        "1",
        "\"1\"",
        "1.0",
        "1e0",
        "true",
        "\"true\"",
        "\"\"",
        "\"a\"",
        "[1,2]",
        "[1, 2]",
        "{\"a\":1}",
        "\"\\\"1\\\"\"",
        "12345678901234567890123",
        "12345678901234567890124",
        "\"null\"",
    ];
    let items: std::collections::HashSet<_> =
        all.iter().map(|value| item("/id", &format!("{{\"id\": {value} }}")).unwrap()).collect();
    assert_eq!(items.len(), all.len());
    let id = |value: &str| item("/id", &format!("{{\"n\":[1],\"id\":{value},\"z\":{{}}}}"));
    for (one, other) in [
        ("\"é\"", "\"\\u00e9\""),
        ("\"a/b\"", "\"a\\/b\""),
        ("\"😀\"", "\"\\ud83d\\ude00\""),
        ("7", " 7\n"),
    ] {
        assert_eq!(id(one), id(other), "{one} {other}");
        assert!(id(one).is_some());
    }
    assert_ne!(id("\"\\\\u00e9\""), id("\"é\""));
}

#[test]
fn the_last_of_several_equal_names_counts() {
    assert_eq!(item("/id", r#"{"id":1,"id":2}"#), item("/id", r#"{"id":2}"#));
    assert_eq!(item("/a/id", r#"{"a":{"id":1},"a":{}}"#), None);
    assert_eq!(item("/a", r#"{"\u0061":1}"#), item("/a", r#"{"a":1}"#));
}

#[test]
fn a_deep_payload_is_an_event_like_any_other() {
    let deep = "[".repeat(100_000) + &"]".repeat(100_000);
    assert!(item("/id", &format!("{{\"x\":{deep},\"id\":1}}")).is_some());
    let path = "/0".repeat(100_000);
    assert_eq!(item(&path, &deep), None, "deeper than serde_json goes");
}

#[test]
fn what_is_no_pointer_is_told() {
    use ItemPointerError::{BadEscape, NoSlash};
    for (text, error) in [
        ("id", NoSlash),
        (" /id", NoSlash),
        ("#/id", NoSlash),
        ("/~", BadEscape),
        ("/a~2", BadEscape),
        ("/~~0", BadEscape),
    ] {
        assert_eq!(ItemPointer::parse(text), Err(error), "{text:?}");
    }
    assert_eq!(ItemPointer::parse("/a~1b/~01").unwrap().as_str(), "/a~1b/~01");
    // "~01" is "~1": section 4 says in which order the escapes are taken back.
    assert!(item("/~01", r#"{"~1":1}"#).is_some());
}
