//! Lines of both formats are read as their servers meant them, and no others.

use std::time::Duration;

use super::*;

const COMBINED: &str = r#"203.0.113.7 - frank [08/Dec/2025:12:34:56 +0100] "GET /pricing?plan=a HTTP/1.1" 200 2326 "https://search.example/?q=x" "Mozilla/5.0 (X11; Linux x86_64)""#;

fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

/// The combined line with one part replaced.
fn with(part: &str, other: &str) -> Vec<u8> {
    assert!(COMBINED.contains(part), "{part}");
    COMBINED.replacen(part, other, 1).into_bytes()
}

#[test]
fn reads_the_combined_format() {
    let line = parse(COMBINED.as_bytes()).unwrap();
    assert_eq!(line.address, "203.0.113.7");
    assert_eq!(line.time, at(1_765_193_696));
    let request = line.request.unwrap();
    assert_eq!((&*request.method, &*request.target), ("GET", "/pricing?plan=a"));
    assert_eq!(line.status, 200);
    let browser = line.browser.unwrap();
    assert_eq!(browser.referrer, "https://search.example/?q=x");
    assert_eq!(browser.agent, "Mozilla/5.0 (X11; Linux x86_64)");
}

#[test]
fn reads_the_common_format_and_fields_that_a_site_added() {
    let common = &COMBINED[..COMBINED.find(" \"https:").unwrap()];
    let line = parse(common.as_bytes()).unwrap();
    assert_eq!((line.status, line.browser), (200, None));
    let longer = format!("{COMBINED} \"198.51.100.1\" 0.004");
    assert_eq!(parse(longer.as_bytes()), parse(COMBINED.as_bytes()));
}

#[test]
fn reads_addresses_of_every_kind() {
    for address in ["2001:db8::1", "fe80::1%eth0", "::ffff:192.0.2.1", "host-1.example", "unix:"] {
        assert_eq!(parse(&with("203.0.113.7", address)).unwrap().address, address);
    }
}

#[test]
fn a_user_may_hold_spaces_and_brackets_without_one() {
    for user in ["-", "frank castle", "a[b]c"] {
        let line = with("frank", user);
        assert_eq!(parse(&line), parse(COMBINED.as_bytes()), "{user}");
    }
}

#[test]
fn undoes_the_escapes_of_both_servers() {
    for (escaped, plain) in [
        (r#"a\"b"#, "a\"b"),
        (r"a\x22b", "a\"b"),
        (r"a\\", "a\\"),
        (r#"\\\"x"#, "\\\"x"),
        (r"\xC3\xA9", "é"),
        (r"\xe9t\xe9", "été"),
        (r"tab\there", "tab\there"),
        (r"\q \x2 \xzz", r"\q \x2 \xzz"),
    ] {
        let line = with("Mozilla/5.0 (X11; Linux x86_64)", escaped);
        assert_eq!(parse(&line).unwrap().browser.unwrap().agent, plain, "{escaped}");
    }
}

#[test]
fn bytes_that_are_no_utf_8_are_latin_1() {
    let mut line = with("/pricing?plan=a", "/caf?");
    let at = line.windows(5).position(|part| part == b"/caf?").unwrap();
    line[at + 4] = 0xe9;
    assert_eq!(parse(&line).unwrap().request.unwrap().target, "/café");
    let utf_8 = with("/pricing?plan=a", "/café");
    assert_eq!(parse(&utf_8).unwrap().request.unwrap().target, "/café");
}

#[test]
fn a_dash_is_a_field_that_was_left_out() {
    let line = with("https://search.example/?q=x", "-");
    assert_eq!(parse(&line).unwrap().browser.unwrap().referrer, "");
    assert!(parse(&with("2326", "-")).is_some());
    assert!(parse(&with("GET /pricing?plan=a HTTP/1.1", "-")).unwrap().request.is_none());
}

#[test]
fn what_is_no_request_is_a_line_all_the_same() {
    for request in ["-", "", r"\x16\x03\x01\x02", "GET /", "get / HTTP/1.1", "GET  HTTP/1.1"] {
        let line = with("GET /pricing?plan=a HTTP/1.1", request);
        assert_eq!(parse(&line).map(|line| line.request), Some(None), "{request}");
    }
}

#[test]
fn every_beginning_of_a_line_is_unreadable_but_for_its_common_part() {
    let common = COMBINED.find(" \"https:").unwrap();
    let first_digit_of_bytes = common - "2326".len();
    for end in 0..COMBINED.len() {
        let is_whole = end > first_digit_of_bytes && end <= common + 1;
        assert_eq!(parse(&COMBINED.as_bytes()[..end]).is_some(), is_whole, "{}", &COMBINED[..end]);
    }
}

#[test]
fn other_texts_are_unreadable() {
    for line in [
        "",
        " ",
        "{\"status\":200}",
        "GET / HTTP/1.1",
        "\0\0\0\0",
        "2025-12-08 12:34:56 W3SVC1 10.0.0.1 GET / - 80",
    ] {
        assert_eq!(parse(line.as_bytes()), None, "{line}");
    }
    for (part, other) in [
        (" 200 ", " 20 "),
        (" 200 ", " 2000 "),
        (" 200 ", " abc "),
        ("2326", "23k"),
        ("203.0.113.7", "203.0.113.7;"),
        ("[08", "08"),
        ("08/Dec", "38/Dec"),
        ("\" 200", "\"200"),
        ("\" \"Moz", "\"\"Moz"),
        ("x86_64)\"", "x86_64)\"x"),
    ] {
        assert_eq!(parse(&with(part, other)), None, "{other}");
    }
}
