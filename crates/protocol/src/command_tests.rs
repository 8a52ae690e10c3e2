//! Every form a command can take, and every way one can be wrong.

use super::*;
use proptest::prelude::*;

fn parse(text: &str) -> Request {
    Request::parse(text).unwrap()
}

#[track_caller]
fn refused(text: &str) -> CommandError {
    Request::parse(text).expect_err(text)
}

fn ch(name: &str) -> Channel {
    Channel::parse(name).unwrap()
}

const CURSOR: &str = "5-1.0000000a";

#[test]
fn reads_each_command() {
    assert_eq!(parse(r#"{"type":"ping"}"#).command, Command::Ping);
    assert_eq!(parse(r#"{"type":"refresh_stats"}"#).command, Command::RefreshStats);
    assert_eq!(
        parse(r#"{"type":"unsubscribe","channel":"a"}"#).command,
        Command::Unsubscribe(ch("a"))
    );
    let publish = parse(r#"{"type":"publish","channel":"a","data":{"x":1}}"#);
    assert_eq!((publish.command, publish.unknown_fields), (Command::Publish, 0));
}

#[test]
fn reads_one_subscription_with_and_without_a_cursor() {
    let plain = parse(r#"{"type":"subscribe","channel":"a:1"}"#);
    assert_eq!(
        plain.command,
        Command::Subscribe(vec![Subscription { channel: ch("a:1"), start: Start::Now }])
    );
    let resumed = parse(&format!(r#"{{"type":"subscribe","channel":"a","since":"{CURSOR}"}}"#));
    let start = Start::Since(CURSOR.parse().unwrap());
    assert_eq!(resumed.command, Command::Subscribe(vec![Subscription { channel: ch("a"), start }]));
    let null = parse(r#"{"type":"subscribe","channel":"a","since":null}"#);
    assert_eq!(
        null.command,
        Command::Subscribe(vec![Subscription { channel: ch("a"), start: Start::Now }])
    );
}

#[test]
fn reads_many_subscriptions_each_with_its_own_cursor() {
    let text = format!(r#"{{"type":"subscribe","channels":["a","b"],"since":{{"b":"{CURSOR}"}}}}"#);
    let expected = vec![
        Subscription { channel: ch("a"), start: Start::Now },
        Subscription { channel: ch("b"), start: Start::Since(CURSOR.parse().unwrap()) },
    ];
    assert_eq!(parse(&text).command, Command::Subscribe(expected));
}

#[test]
fn reads_how_many_recent_events_are_wanted() {
    let recent = |count: &str| format!(r#"{{"type":"subscribe","channel":"a","recent":{count}}}"#);
    for count in [1, 17, MAX_RECENT] {
        let start = Start::Recent(count);
        let expected = vec![Subscription { channel: ch("a"), start }];
        assert_eq!(parse(&recent(&count.to_string())).command, Command::Subscribe(expected));
    }
    let both = parse(r#"{"type":"subscribe","channels":["a","b"],"recent":2}"#);
    let each = |name| Subscription { channel: ch(name), start: Start::Recent(2) };
    assert_eq!(both.command, Command::Subscribe(vec![each("a"), each("b")]));
    assert_eq!(both.unknown_fields, 0);
    let null = parse(r#"{"type":"subscribe","channel":"a","recent":null}"#);
    let now = vec![Subscription { channel: ch("a"), start: Start::Now }];
    assert_eq!(null.command, Command::Subscribe(now));
    for bad in ["0", "1001", "-1", "1.5", "\"3\"", "true", "{}", "18446744073709551616"] {
        let error = refused(&recent(bad));
        assert_eq!(error.code, ErrorCode::BadRequest);
        assert!(error.message.contains("`recent`"), "{bad}: {error}");
    }
    let since = format!(r#"{{"type":"subscribe","channel":"a","recent":3,"since":"{CURSOR}"}}"#);
    assert!(refused(&since).message.contains("not both"));
    let since = r#"{"type":"subscribe","channels":["a"],"recent":3,"since":{}}"#;
    assert!(refused(since).message.contains("not both"));
}

#[test]
fn echoes_string_and_number_ids_and_reports_them_with_errors() {
    let request = parse(r#"{"type":"ping","id":"k1"}"#);
    assert_eq!(serde_json::to_string(&request.id).unwrap(), r#""k1""#);
    let request = parse(r#"{"type":"ping","id":18446744073709551615}"#);
    assert_eq!(serde_json::to_string(&request.id).unwrap(), "18446744073709551615");
    let error = refused(r#"{"type":"dance","id":7}"#);
    assert_eq!(serde_json::to_string(&error.id).unwrap(), "7");
    assert_eq!(parse(r#"{"type":"ping","id":null}"#).id, None);
    let longest = "x".repeat(62);
    assert!(Request::parse(&format!(r#"{{"type":"ping","id":"{longest}"}}"#)).is_ok());
    refused(&format!(r#"{{"type":"ping","id":"{longest}x"}}"#));
    refused(r#"{"type":"ping","id":{}}"#);
    refused(r#"{"type":"ping","id":true}"#);
}

// Math.random() makes such ids, and a client looks the echo up among what it sent.
// serde_json reads the last bit right only with its feature `float_roundtrip`.
#[test]
fn echoes_a_fraction_to_the_last_bit() {
    for sent in ["1.8446744955161586e22", "0.9073038322028689", "0.48183792520110524", "-0.0"] {
        let request = parse(&format!(r#"{{"type":"ping","id":{sent}}}"#));
        let echo = serde_json::to_string(&request.id).unwrap();
        let [sent, echo] = [sent, &echo].map(|text| text.parse::<f64>().unwrap().to_bits());
        assert_eq!(echo, sent);
    }
}

#[test]
fn counts_fields_it_does_not_know() {
    assert_eq!(parse(r#"{"type":"ping","new":1,"newer":{}}"#).unknown_fields, 2);
    assert_eq!(parse(r#"{"type":"ping"}"#).unknown_fields, 0);
    assert_eq!(parse(r#"{"type":"subscribe","channel":"a","later":[]}"#).unknown_fields, 1);
}

#[test]
fn names_what_is_wrong() {
    for (text, part) in [
        ("", "not JSON"),
        ("{", "not JSON"),
        ("[]", "JSON object"),
        ("1", "JSON object"),
        ("{}", "has a `type`"),
        (r#"{"type":5}"#, "`type` is a string"),
        (r#"{"type":"dance"}"#, "\"dance\""),
        (r#"{"type":"subscribe"}"#, "`channel` or `channels`"),
        (r#"{"type":"subscribe","channel":5}"#, "not a string"),
        (r#"{"type":"subscribe","channel":"a b"}"#, "' '"),
        (r#"{"type":"subscribe","channel":""}"#, "empty"),
        (r#"{"type":"subscribe","channel":"a","channels":["b"]}"#, "not both"),
        (r#"{"type":"subscribe","channels":[]}"#, "at least one"),
        (r#"{"type":"subscribe","channels":"a"}"#, "at least one"),
        (r#"{"type":"subscribe","channels":["a",1]}"#, "`channels`"),
        (r#"{"type":"subscribe","channel":"a","since":"x"}"#, "not a cursor"),
        (r#"{"type":"subscribe","channel":"a","since":5}"#, "not a cursor"),
        (r#"{"type":"subscribe","channels":["a"],"since":"5-1.0000000a"}"#, "object"),
        (r#"{"type":"subscribe","channels":["a"],"since":{"b":"5-1.0000000a"}}"#, "\"b\""),
        (r#"{"type":"unsubscribe"}"#, "needs a `channel`"),
        (r#"{"type":"unsubscribe","channel":"*"}"#, "'*'"),
    ] {
        let error = refused(text);
        assert_eq!(error.code, ErrorCode::BadRequest, "{text}");
        assert!(error.message.contains(part), "{text}: {}", error.message);
        assert_eq!(error.to_string(), error.message);
    }
}

#[test]
fn quotes_at_most_40_characters_back() {
    let error = refused(&format!(r#"{{"type":"{}"}}"#, "é".repeat(3000)));
    assert!(error.message.len() < 120, "{}", error.message);
}

proptest! {
    #[test]
    fn never_panics(text in "\\PC{0,200}") {
        let _ = Request::parse(&text);
    }

    #[test]
    fn never_panics_on_almost_commands(
        kind in "(subscribe|unsubscribe|ping|publish|[a-z]{0,8})",
        key in "(channel|channels|since|id|data)",
        value in "(\"[a-z*: ]{0,9}\"|\\[\"[a-z]{0,4}\"\\]|\\{\\}|[0-9]{1,20}|null|true)",
    ) {
        let _ = Request::parse(&format!(r#"{{"type":"{kind}","{key}":{value}}}"#));
    }
}
