use redcast_protocol::{GapReason, Reply, Request};
use redcast_wire::{close_frame, ping_frame, text_frame};

use super::*;

fn translator() -> Translator {
    Translator::new(Cursors::default(), false)
}

fn translated(translator: &mut Translator, frames: &[Bytes]) -> String {
    translator.feed(BytesMut::from(&frames.concat()[..]));
    let pieces = std::iter::from_fn(|| {
        let piece = translator.next_piece().unwrap();
        (!piece.is_empty()).then_some(piece)
    });
    String::from_utf8(pieces.collect::<Vec<_>>().concat()).unwrap()
}

fn event(channel: &str, cursor: Option<&str>, payload: &[u8]) -> Bytes {
    let cursor = cursor.map(|cursor| cursor.parse().unwrap());
    text_frame(&Reply::encode_event(&Channel::parse(channel).unwrap(), cursor, payload))
}

fn text(text: &str) -> Bytes {
    text_frame(text.as_bytes())
}

#[test]
fn an_event_is_its_payload() {
    for (payload, block) in [
        (&br#"{"n": 1.00, "n": 2}"#[..], "data: {\"n\": 1.00, \"n\": 2}\n\n"),
        (b"{\n  \"a\": 1\n}", "data: {\ndata:   \"a\": 1\ndata: }\n\n"),
        (b"plain \"text\"", "data: plain \"text\"\n\n"),
        (b"two\r\nlines", "data: two\ndata: lines\n\n"),
        (b"", "data: \n\n"),
        ("gr\u{fc}\u{df} \u{1f600}".as_bytes(), "data: gr\u{fc}\u{df} \u{1f600}\n\n"),
        (b"\xff\0", "event: binary\ndata: /wA=\n\n"),
        (b"null", "data: null\n\n"),
    ] {
        let got = translated(&mut translator(), &[event("a", None, payload)]);
        assert_eq!(got, block, "{payload:?}");
    }
}

#[test]
fn an_id_is_the_place_in_every_channel() {
    let mut translator = translator();
    let got = translated(
        &mut translator,
        &[
            event("a", Some("1-0.0000000a"), b"1"),
            event("pubsub", None, b"2"),
            event("b:x", Some("2-0.0000000b"), b"3"),
            event("a", Some("3-0.0000000c"), b"4"),
        ],
    );
    let expected = "id: a:1-0.0000000a\ndata: 1\n\n\
        data: 2\n\n\
        id: a:1-0.0000000a,b:x:2-0.0000000b\ndata: 3\n\n\
        id: a:3-0.0000000c,b:x:2-0.0000000b\ndata: 4\n\n";
    assert_eq!(got, expected);
}

#[test]
fn a_resumed_place_is_kept_until_its_channel_has_moved() {
    let resumed = Cursors::parse("a:1-0.0000000a,b:1-0.0000000b").unwrap();
    let mut translator = Translator::new(resumed, false);
    let got = translated(&mut translator, &[event("b", Some("2-0.0000000c"), b"1")]);
    assert_eq!(got, "id: a:1-0.0000000a,b:2-0.0000000c\ndata: 1\n\n");
}

#[test]
fn an_acknowledgement_gives_places_and_is_no_event() {
    let ack = text(r#"{"type":"ack","id":"sse","cursors":{"a":"0-0.00000000"}}"#);
    let got = translated(&mut translator(), &[ack]);
    assert_eq!(got, "id: a:0-0.00000000\n\n");
    let id = Request::parse(r#"{"type":"ping","id":"sse"}"#).unwrap().id.unwrap();
    let ack = text_frame(&Reply::Ack { id: &id, cursors: &[] }.encode());
    assert_eq!(translated(&mut translator(), &[ack]), "");
}

#[test]
fn a_reset_moves_the_place_or_takes_it_away() {
    let mut translator = Translator::new(Cursors::parse("a:1-0.0000000a").unwrap(), false);
    let moved = r#"{"type":"reset","channel":"a","reason":"trimmed","id":"5-0.00000000"}"#;
    let got = translated(&mut translator, &[text(moved)]);
    assert_eq!(got, format!("id: a:5-0.00000000\nevent: reset\ndata: {moved}\n\n"));
    let unknown = r#"{"type":"reset","channel":"a","reason":"unknown"}"#;
    let got = translated(&mut translator, &[text(unknown)]);
    assert_eq!(got, format!("id: \nevent: reset\ndata: {unknown}\n\n"));
}

#[test]
fn what_redcast_says_has_its_own_type() {
    let gap =
        Reply::Gap { channel: "a", from: 1, to: 2, reason: GapReason::Overflow, dropped: None };
    let json = String::from_utf8(gap.encode()).unwrap();
    let got = translated(&mut translator(), &[text(&json)]);
    assert_eq!(got, format!("event: gap\ndata: {json}\n\n"));
    // A snapshot's document may be anything, also what looks like one of our fields.
    let stats = r#"{"type":"initial_stats","data":{"id":7,"type":"event"}}"#;
    let got = translated(&mut translator(), &[text(stats)]);
    assert_eq!(got, format!("event: initial_stats\ndata: {stats}\n\n"));
    let strange = translated(&mut translator(), &[text("[1]")]);
    assert_eq!(strange, "data: [1]\n\n");
}

#[test]
fn envelopes_come_whole_where_they_are_wanted() {
    let mut translator = Translator::new(Cursors::default(), true);
    let got = translated(
        &mut translator,
        &[event("a", Some("1-0.0000000a"), b"\xff"), event("b", None, b"x")],
    );
    let expected = concat!(
        "id: a:1-0.0000000a\n",
        r#"data: {"type":"event","channel":"a","id":"1-0.0000000a","data":"/w==","encoding":"base64"}"#,
        "\n\n",
        r#"data: {"type":"event","channel":"b","data":"x"}"#,
        "\n\n",
    );
    assert_eq!(got, expected);
}

#[test]
fn a_ping_is_a_comment() {
    assert_eq!(translated(&mut translator(), &[ping_frame(b"")]), ": ping\n\n");
}

#[test]
fn a_close_is_the_last_event() {
    let drain = close_frame(CloseCode::ServiceRestart, r#"{"reconnect_after_ms":321}"#);
    let mut translator = translator();
    let got = translated(&mut translator, &[drain, event("a", None, b"never")]);
    let expected = concat!(
        "retry: 321\nevent: close\n",
        r#"data: {"code":1012,"reason":"service restart","reconnect_after_ms":321}"#,
        "\n\n",
    );
    assert_eq!(got, expected);
    assert!(translator.has_closed());
    let slow = close_frame(CloseCode::SlowConsumer, CloseCode::SlowConsumer.reason());
    let got = translated(&mut self::translator(), &[slow]);
    assert_eq!(got, "event: close\ndata: {\"code\":4409,\"reason\":\"slow consumer\"}\n\n");
    let bare = close_frame(CloseCode::NoStatus, "");
    let got = translated(&mut self::translator(), &[bare]);
    assert_eq!(got, "event: close\ndata: {\"code\":1005,\"reason\":\"\"}\n\n");
}

#[test]
fn much_comes_in_pieces() {
    let frames: Vec<_> = (0..1000).map(|_| event("a", None, &[b'x'; 1000])).collect();
    let mut translator = translator();
    translator.feed(BytesMut::from(&frames.concat()[..]));
    let piece = translator.next_piece().unwrap();
    assert!((PIECE_BYTES..PIECE_BYTES + 2000).contains(&piece.len()), "{}", piece.len());
    let rest = translated(&mut translator, &[]);
    let events =
        rest.matches("data: ").count() + piece.windows(6).filter(|w| w == b"data: ").count();
    assert_eq!(events, 1000);
}
