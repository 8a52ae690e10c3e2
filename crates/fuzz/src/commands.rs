//! Any text as a client's command, and any bytes as an event's payload.

use redcast_protocol::{
    Channel, Command, CommandError, CommandId, Cursor, ErrorCode, Reply, Request, Start,
};
use serde_json::Value;
use serde_json::value::RawValue;

/// An error quotes at most 40 characters of the client's, each at most ten long
/// where it has to be escaped; the rest is ours.
const MAX_ERROR_LEN: usize = 600;
const MAX_ID_LEN: usize = 64;

/// The body of the target `commands`.
pub fn run(data: &[u8]) {
    check_event(data);
    // The decoder lets nothing else through.
    let Ok(text) = std::str::from_utf8(data) else { return };
    match Request::parse(text) {
        Ok(request) => check_request(&request, text),
        Err(error) => check_error(&error),
    }
}

fn check_request(request: &Request, text: &str) {
    let sent: Value = serde_json::from_str(text).unwrap_or_default();
    assert!(sent.is_object(), "a command that is no object");
    check_id(request.id.as_ref(), &sent["id"]);
    let fields = sent.as_object().map_or(0, serde_json::Map::len);
    assert!(request.unknown_fields < fields, "`type` is no unknown field");
    match &request.command {
        Command::Subscribe(subscriptions) => {
            assert!(!subscriptions.is_empty(), "a subscription to nothing");
            for subscription in subscriptions {
                check_channel(&subscription.channel, text);
                if let Start::Since(cursor) = subscription.start {
                    check_cursor(cursor);
                }
            }
        }
        Command::Unsubscribe(channel) => check_channel(channel, text),
        Command::Ping | Command::RefreshStats | Command::Publish => {}
    }
}

/// The acknowledgement of a command carries its `id` as it came.
fn check_id(id: Option<&CommandId>, sent: &Value) {
    let Some(id) = id else {
        assert!(sent.is_null(), "the id {sent} got lost");
        return;
    };
    let ack = json(&Reply::Ack { id, cursors: &[] }.encode());
    assert_eq!(ack["type"], "ack");
    assert_eq!(&ack["id"], sent);
    assert!(sent.to_string().len() <= MAX_ID_LEN);
}

/// Only what needs escaping nowhere: not in Redis, not in a log, not in JSON.
fn check_channel(channel: &Channel, text: &str) {
    let name = channel.as_str();
    let letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.:@-";
    assert!(name.chars().all(|c| letters.contains(c)), "{name:?}");
    assert!((1..=255).contains(&name.len()), "{name:?}");
    // A client may escape a letter, which then does not stand there as itself.
    assert!(text.contains(name) || text.contains('\\'), "{name:?} was not asked for");
}

fn check_cursor(cursor: Cursor) {
    assert_eq!(cursor.to_string().parse(), Ok(cursor));
}

/// An error says in one bounded line which part of the command is wrong.
fn check_error(error: &CommandError) {
    let message = &error.message;
    assert_eq!(error.code, ErrorCode::BadRequest);
    assert!(message.len() <= MAX_ERROR_LEN, "{} bytes: {message}", message.len());
    assert!(!message.contains(char::is_control), "{message:?}");
    let names = ["`", "JSON", "unknown command "];
    assert!(names.iter().any(|name| message.contains(name)), "{message:?} names nothing");
    let reply = Reply::Error { code: error.code, message, id: error.id.as_ref() };
    let told = json(&reply.encode());
    assert_eq!((&told["type"], &told["code"]), (&"error".into(), &"bad_request".into()));
    assert_eq!(told["message"], **message);
    assert_eq!(told["id"].is_null(), error.id.is_none());
}

/// Any payload travels inside an envelope without breaking it.
fn check_event(payload: &[u8]) {
    let Ok(channel) = Channel::parse("a:1") else { return };
    let encoded = Reply::encode_event(&channel, None, payload);
    // A payload may be nested deeper than `Value` goes.
    assert!(serde_json::from_slice::<&RawValue>(&encoded).is_ok(), "not JSON");
    assert!(encoded.starts_with(br#"{"type":"event","channel":"a:1","data":"#));
}

fn json(text: &[u8]) -> Value {
    let parsed = serde_json::from_slice(text);
    assert!(parsed.is_ok(), "not JSON: {parsed:?}");
    parsed.unwrap_or_default()
}
