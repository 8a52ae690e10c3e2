//! Answers that are understood, and answers that are refused whole.

use super::*;

fn at(seconds: u64) -> Option<SystemTime> {
    Some(UNIX_EPOCH + Duration::from_secs(seconds))
}

#[test]
fn nothing_said_means_nothing_granted_beyond_the_connection() {
    for body in ["", " \r\n", "{}", r#"{"user":null,"subscribe":null,"expires_at":null}"#] {
        assert_eq!(read(body.as_bytes()), Ok(Grant::default()), "{body:?}");
    }
}

#[test]
fn every_field_is_read_and_others_are_ignored() {
    let body =
        br#"{"user":"ada","subscribe":["orders:*","a"],"expires_at":1700000000,"roles":[1]}"#;
    let subscribe = ["orders:*", "a"].map(|glob| Pattern::parse(glob).unwrap());
    let expected = Grant {
        user: Some("ada".to_owned()),
        subscribe: Some(subscribe.into()),
        expires_at: at(1_700_000_000),
    };
    assert_eq!(read(body), Ok(expected));
    assert_eq!(read(br#"{"user":42}"#).unwrap().user.as_deref(), Some("42"));
    assert_eq!(read(br#"{"subscribe":[]}"#).unwrap().subscribe, Some(Vec::new()));
}

#[test]
fn an_expiry_is_seconds_or_rfc_3339() {
    let half = Some(UNIX_EPOCH + Duration::from_millis(1_700_000_000_500));
    for (value, expected) in [
        ("1700000000", at(1_700_000_000)),
        ("1700000000.5", half),
        ("1.7e9", at(1_700_000_000)),
        ("0", at(0)),
        ("-1", at(0)),
        ("-1e300", at(0)),
        ("253402300799", at(253_402_300_799)),
        ("\"2023-11-14T22:13:20Z\"", at(1_700_000_000)),
        ("\"2023-11-14t22:13:20z\"", at(1_700_000_000)),
        ("\"2023-11-14T22:13:20.500Z\"", half),
        ("\"2023-11-14T22:13:20.500000+00:00\"", half),
        ("\"2023-11-15T03:43:20+05:30\"", at(1_700_000_000)),
        ("\"2023-11-14T14:13:20-08:00\"", at(1_700_000_000)),
        ("\"9999-12-31T23:59:59Z\"", at(253_402_300_799)),
    ] {
        let body = format!("{{\"expires_at\":{value}}}");
        let read = read(body.as_bytes()).map(|grant| grant.expires_at);
        assert_eq!(read, Ok(expected), "{value}");
    }
}

#[test]
fn an_answer_that_is_half_understood_is_not_taken_at_all() {
    let long = format!("{{\"user\":\"{}\"}}", "x".repeat(256));
    let deep = "[".repeat(60_000);
    for (body, expected) in [
        ("OK", AnswerError::NotAnObject),
        ("<html>", AnswerError::NotAnObject),
        ("true", AnswerError::NotAnObject),
        ("[]", AnswerError::NotAnObject),
        ("null", AnswerError::NotAnObject),
        ("{\"user\":", AnswerError::NotAnObject),
        ("{} {}", AnswerError::NotAnObject),
        (&deep, AnswerError::NotAnObject),
        (&long, AnswerError::BadUser),
        (r#"{"user":["ada"]}"#, AnswerError::BadUser),
        (r#"{"user":1.5}"#, AnswerError::BadUser),
        (r#"{"user":false}"#, AnswerError::BadUser),
        (r#"{"subscribe":"orders:*"}"#, AnswerError::BadSubscribe),
        (r#"{"subscribe":{}}"#, AnswerError::BadSubscribe),
        (r#"{"subscribe":["a",1]}"#, AnswerError::BadSubscribe),
        (r#"{"subscribe":["a b"]}"#, AnswerError::BadSubscribe),
        (r#"{"subscribe":[""]}"#, AnswerError::BadSubscribe),
    ] {
        assert_eq!(read(body.as_bytes()), Err(expected), "{body:.80}");
    }
    assert_eq!(read(b"\xff\xfe"), Err(AnswerError::NotAnObject));
}

#[test]
fn an_expiry_that_can_be_misread_is_refused() {
    for value in [
        // Milliseconds: taken for seconds they would outlive everybody.
        "1700000000000",
        "253402300800",
        "18446744073709551615",
        "1e300",
        "true",
        "[]",
        "\"\"",
        "\"soon\"",
        "\"1700000000\"",
        "\"2023-11-14\"",
        "\"2023-11-14T22:13:20\"",
        "\"2023-11-14 22:13:20Z\"",
        "\"2023-11-14T22:13:20ZZ\"",
        "\"2023-11-14T22:13:20.Z\"",
        "\"2023-11-14T22:13:20+00:00Z\"",
        "\"2023-11-14T22:13:20+24:00\"",
        "\"2023-11-14T22:13:20+0100\"",
        "\"2023-11-14T22:13:20+1:000\"",
        "\"2023-02-30T00:00:00Z\"",
        "\"2023-11-14T25:00:00Z\"",
        "\"2023-11-14T22:13:20.0000000001Z\"",
        "\"2023-11-14T22:13:20é00:00\"",
    ] {
        let body = format!("{{\"expires_at\":{value}}}");
        assert_eq!(read(body.as_bytes()), Err(AnswerError::BadExpiry), "{value}");
    }
}
