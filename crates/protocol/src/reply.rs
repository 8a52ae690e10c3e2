//! What we answer: everything that Redcast itself says to a client is a JSON
//! object with a `type`, and so is every event in envelope mode.

use data_encoding::BASE64;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use crate::{Channel, CommandId, Cursor};

/// One message from Redcast to a client.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Reply<'a> {
    /// First message of an envelope connection.
    Welcome {
        /// Which instance answered.
        instance: &'a str,
        /// The version it runs.
        version: &'a str,
    },
    /// A command with an `id` was carried out.
    Ack {
        /// The command's `id`.
        id: &'a CommandId,
        /// Of a subscribe, the place in each stream channel from which its events follow.
        #[serde(skip_serializing_if = "<[_]>::is_empty", serialize_with = "by_channel")]
        cursors: &'a [(Channel, Cursor)],
    },
    /// Answer to `ping`.
    Pong,
    /// A command was refused; the connection goes on.
    Error {
        /// What kind of refusal.
        code: ErrorCode,
        /// One sentence for a person.
        message: &'a str,
        /// The command's `id`, if it had one.
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<&'a CommandId>,
    },
    /// Events of this channel may have been missed between two moments.
    Gap {
        /// The channel.
        channel: &'a str,
        /// When the blind time began, Unix milliseconds.
        from: u64,
        /// When it ended, Unix milliseconds.
        to: u64,
        /// Why.
        reason: GapReason,
        /// How many events are known to be lost, where that is known.
        #[serde(skip_serializing_if = "Option::is_none")]
        dropped: Option<u64>,
    },
    /// A client can't go on in a channel exactly where it was.
    Reset {
        /// The channel.
        channel: &'a str,
        /// Why.
        reason: ResetReason,
        /// Where it goes on instead; none in a channel that keeps no history.
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<Cursor>,
    },
    /// How far a raw connection has come in a channel.
    Cursor {
        /// The channel.
        channel: &'a str,
        /// The last event that was sent before this.
        id: Cursor,
    },
}

fn by_channel<S: Serializer>(
    cursors: &&[(Channel, Cursor)],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_map(cursors.iter().map(|(channel, cursor)| (channel.as_str(), cursor)))
}

/// The kinds of refusal a client can branch on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorCode {
    /// The command does not fit its form.
    BadRequest,
    /// This endpoint, or Redis, does not permit it.
    Forbidden,
    /// The connection is not subscribed to that channel.
    UnknownChannel,
    /// Too many at once, or too many in all.
    RateLimited,
    /// More than may be sent in one piece.
    TooLarge,
    /// This version does not offer it.
    NotSupported,
    /// Redis is away, and this can't be done without it.
    Unavailable,
    /// A fault of ours.
    Internal,
}

/// Why events may have been missed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum GapReason {
    /// The link to Redis was down.
    RedisDisconnected,
    /// A queue was full: this instance or this client was too slow.
    Overflow,
    /// An event was over `max_event_size`.
    TooLarge,
}

impl ErrorCode {
    /// Every kind of refusal.
    pub const ALL: [Self; 8] = [
        Self::BadRequest,
        Self::Forbidden,
        Self::UnknownChannel,
        Self::RateLimited,
        Self::TooLarge,
        Self::NotSupported,
        Self::Unavailable,
        Self::Internal,
    ];

    /// The value of the `code` label in the metrics, the same as on the wire.
    pub const fn label(self) -> &'static str {
        match self {
            Self::BadRequest => "bad_request",
            Self::Forbidden => "forbidden",
            Self::UnknownChannel => "unknown_channel",
            Self::RateLimited => "rate_limited",
            Self::TooLarge => "too_large",
            Self::NotSupported => "not_supported",
            Self::Unavailable => "unavailable",
            Self::Internal => "internal",
        }
    }
}

impl GapReason {
    /// Every reason.
    pub const ALL: [Self; 3] = [Self::RedisDisconnected, Self::Overflow, Self::TooLarge];

    /// The value of the `reason` label in the metrics, the same as on the wire.
    pub const fn label(self) -> &'static str {
        match self {
            Self::RedisDisconnected => "redis_disconnected",
            Self::Overflow => "overflow",
            Self::TooLarge => "too_large",
        }
    }
}

/// Why a resume can't be exact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ResetReason {
    /// The place is older than what Redis keeps.
    Trimmed,
    /// Redis holds another event at that place: a failover lost the client's.
    Forked,
    /// The channel keeps no history, or not that place.
    Unknown,
}

impl ResetReason {
    /// Every reason.
    pub const ALL: [Self; 3] = [Self::Trimmed, Self::Forked, Self::Unknown];

    /// The reason as it stands on the wire.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Trimmed => "trimmed",
            Self::Forked => "forked",
            Self::Unknown => "unknown",
        }
    }
}

#[derive(Serialize)]
struct EventEnvelope<'a> {
    r#type: &'static str,
    channel: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    data: Data<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    encoding: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    received_at: Option<u64>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Data<'a> {
    Json(&'a RawValue),
    Text(&'a str),
    Base64(String),
}

impl Reply<'_> {
    /// The message as JSON text.
    pub fn encode(&self) -> Vec<u8> {
        json(self)
    }

    /// An event in envelope mode: `data` is the payload itself where it is JSON,
    /// a string where it is other text, and base64 where it is not UTF-8.
    pub fn encode_event(channel: &Channel, id: Option<Cursor>, payload: &[u8]) -> Vec<u8> {
        json(&EventEnvelope::new(channel, id, payload))
    }

    /// An event as one line of a record: as in envelope mode, with the time it was
    /// received in Unix milliseconds. JSON that came in several lines is joined to one.
    pub fn encode_event_line(
        channel: &Channel,
        id: Option<Cursor>,
        payload: &[u8],
        received_at: u64,
    ) -> Vec<u8> {
        let event = EventEnvelope::new(channel, id, payload);
        let mut line = json(&EventEnvelope { received_at: Some(received_at), ..event });
        // Inside of strings they are escaped, so these stand between two tokens.
        for byte in line.iter_mut().filter(|byte| matches!(byte, b'\r' | b'\n')) {
            *byte = b' ';
        }
        line
    }
}

impl<'a> EventEnvelope<'a> {
    fn new(channel: &'a Channel, id: Option<Cursor>, payload: &'a [u8]) -> Self {
        let (data, encoding) = match std::str::from_utf8(payload) {
            Ok(text) => match serde_json::from_str::<&RawValue>(text) {
                Ok(value) => (Data::Json(value), None),
                Err(_) => (Data::Text(text), None),
            },
            Err(_) => (Data::Base64(BASE64.encode(payload)), Some("base64")),
        };
        let id = id.map(|cursor| cursor.to_string());
        let channel = channel.as_str();
        Self { r#type: "event", channel, id, data, encoding, received_at: None }
    }
}

// serde_json fails on maps whose keys are no strings and on failing writers;
// neither exists here, so the empty message is never seen.
fn json<T: Serialize>(value: &T) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Request;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    #[track_caller]
    fn check(reply: &Reply<'_>, expected: &Value) {
        assert_eq!(&serde_json::from_slice::<Value>(&reply.encode()).unwrap(), expected);
    }

    #[test]
    fn each_reply_has_the_shape_of_the_protocol() {
        let id = Request::parse(r#"{"type":"ping","id":"k"}"#).unwrap().id.unwrap();
        check(
            &Reply::Welcome { instance: "i", version: "0.1.0" },
            &json!({"type":"welcome","instance":"i","version":"0.1.0"}),
        );
        check(&Reply::Ack { id: &id, cursors: &[] }, &json!({"type":"ack","id":"k"}));
        let place = Cursor { millis: 7, sequence: 1, hash: 0xab };
        let cursors = ["b", "a:1"].map(|name| (Channel::parse(name).unwrap(), place));
        check(
            &Reply::Ack { id: &id, cursors: &cursors },
            &json!({"type":"ack","id":"k","cursors":{"a:1":"7-1.000000ab","b":"7-1.000000ab"}}),
        );
        check(
            &Reply::Cursor { channel: "c", id: place },
            &json!({"type":"cursor","channel":"c","id":"7-1.000000ab"}),
        );
        check(&Reply::Pong, &json!({"type":"pong"}));
        let error = Reply::Error { code: ErrorCode::UnknownChannel, message: "m", id: Some(&id) };
        check(&error, &json!({"type":"error","code":"unknown_channel","message":"m","id":"k"}));
        let error = Reply::Error { code: ErrorCode::NotSupported, message: "m", id: None };
        check(&error, &json!({"type":"error","code":"not_supported","message":"m"}));
        for reason in ResetReason::ALL {
            let reset = Reply::Reset { channel: "c", reason, id: None };
            check(&reset, &json!({"type":"reset","channel":"c","reason":reason.label()}));
            let reset = Reply::Reset { channel: "c", reason, id: Some(Cursor::BEGINNING) };
            let id = "0-0.00000000";
            check(&reset, &json!({"type":"reset","channel":"c","reason":reason.label(),"id":id}));
        }
    }

    #[test]
    fn an_error_has_one_name_on_the_wire_and_in_the_metrics() {
        for code in ErrorCode::ALL {
            let label = code.label();
            let error = Reply::Error { code, message: "m", id: None };
            check(&error, &json!({"type":"error","code":label,"message":"m"}));
        }
    }

    #[test]
    fn a_gap_names_its_times_and_its_count_where_known() {
        for reason in GapReason::ALL {
            let gap = Reply::Gap { channel: "c", from: 1, to: 2, reason, dropped: None };
            let label = reason.label();
            check(&gap, &json!({"type":"gap","channel":"c","from":1,"to":2,"reason":label}));
        }
        let reason = GapReason::Overflow;
        let gap = Reply::Gap { channel: "c", from: 1, to: 2, reason, dropped: Some(3) };
        let expected = json!({
            "type":"gap","channel":"c","from":1,"to":2,"reason":"overflow","dropped":3
        });
        check(&gap, &expected);
    }

    fn event(payload: &[u8]) -> String {
        let channel = Channel::parse("a:1").unwrap();
        String::from_utf8(Reply::encode_event(&channel, None, payload)).unwrap()
    }

    #[test]
    fn event_data_is_json_as_it_came_or_a_string_or_base64() {
        let precise = br#"{"n": 1.000000000000000000001, "n": 2}"#;
        assert_eq!(
            event(precise),
            r#"{"type":"event","channel":"a:1","data":{"n": 1.000000000000000000001, "n": 2}}"#
        );
        assert_eq!(event(b"hi \"x\""), r#"{"type":"event","channel":"a:1","data":"hi \"x\""}"#);
        assert_eq!(event(b""), r#"{"type":"event","channel":"a:1","data":""}"#);
        assert_eq!(
            event(&[0xff, 0]),
            r#"{"type":"event","channel":"a:1","data":"/wA=","encoding":"base64"}"#
        );
        let channel = Channel::parse("a").unwrap();
        let id = Some(Cursor { millis: 1, sequence: 2, hash: 3 });
        assert_eq!(
            String::from_utf8(Reply::encode_event(&channel, id, b"1")).unwrap(),
            r#"{"type":"event","channel":"a","id":"1-2.00000003","data":1}"#
        );
    }

    #[test]
    fn an_event_on_a_line_says_when_it_came_and_stays_on_its_line() {
        let channel = Channel::parse("a").unwrap();
        let line = |payload: &[u8]| {
            String::from_utf8(Reply::encode_event_line(&channel, None, payload, 1_700)).unwrap()
        };
        assert_eq!(
            line(b"{\r\n  \"text\": \"a\\nb\"\n}"),
            r#"{"type":"event","channel":"a","data":{    "text": "a\nb" },"received_at":1700}"#
        );
        assert_eq!(
            line(b"two\nlines"),
            r#"{"type":"event","channel":"a","data":"two\nlines","received_at":1700}"#
        );
        assert_eq!(
            line(&[0xff]),
            r#"{"type":"event","channel":"a","data":"/w==","encoding":"base64","received_at":1700}"#
        );
    }

    proptest! {
        #[test]
        fn any_payload_makes_valid_json_and_comes_back(payload: Vec<u8>) {
            let text = event(&payload);
            let value: Value = serde_json::from_str(&text).unwrap();
            let back = match (value["encoding"].as_str(), value["data"].as_str()) {
                (Some(_), Some(text)) => BASE64.decode(text.as_bytes()).unwrap(),
                (None, Some(text)) if serde_json::from_slice::<Value>(&payload).is_err() => {
                    text.as_bytes().to_vec()
                }
                _ => payload.clone(),
            };
            prop_assert_eq!(back, payload);
        }
    }
}
