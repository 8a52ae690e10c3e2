//! The AsyncAPI document of the WebSocket frames and of the contract with Redis. What the
//! code has a list of is filled into a template, which has the rest.

use redcast_protocol::{CloseCode, ErrorCode, GapReason, MAX_CHANNEL_LEN, MAX_RECENT, ResetReason};
use serde_json::{Value, json};

const TEMPLATE: &str = include_str!("asyncapi.json");

/// The document, for a gateway of this version with these endpoints.
pub(super) fn document(version: &str, endpoints: &[&str]) -> String {
    format!("{:#}", filled(version, endpoints))
}

fn filled(version: &str, endpoints: &[&str]) -> Value {
    // A test reads the template, so what can't be read is never seen.
    let mut document: Value = serde_json::from_str(TEMPLATE).unwrap_or_default();
    for (place, value) in filling(version, endpoints) {
        if let Some(blank) = document.pointer_mut(place) {
            *blank = value;
        }
    }
    document
}

/// What is filled in, and where (RFC 6901).
fn filling(version: &str, endpoints: &[&str]) -> [(&'static str, Value); 9] {
    [
        ("/info/version", json!(version)),
        ("/channels/endpoint/parameters/path/enum", json!(endpoints)),
        ("/channels/endpoint/parameters/path/default", json!(endpoints.first())),
        ("/channels/endpoint/x-close-codes", json!(close_codes())),
        ("/components/schemas/ChannelName/maxLength", json!(MAX_CHANNEL_LEN)),
        ("/components/schemas/Recent/maximum", json!(MAX_RECENT)),
        ("/components/schemas/ErrorCode/enum", json!(ErrorCode::ALL.map(ErrorCode::label))),
        ("/components/schemas/GapReason/enum", json!(GapReason::ALL.map(GapReason::label))),
        ("/components/schemas/ResetReason/enum", json!(ResetReason::ALL.map(ResetReason::label))),
    ]
}

/// Those that we send: the others have no reason to tell.
fn close_codes() -> Vec<Value> {
    let sent = CloseCode::ALL.into_iter().filter(|code| !code.reason().is_empty());
    sent.map(|code| json!({ "code": code.code(), "reason": code.reason() })).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_blank_of_the_template_is_filled() {
        let template: Value = serde_json::from_str(TEMPLATE).unwrap();
        let document = filled("1.2.3", &["/ws/a", "/ws/b"]);
        for (place, value) in filling("1.2.3", &["/ws/a", "/ws/b"]) {
            let blank = template.pointer(place).unwrap_or_else(|| panic!("no {place}"));
            assert!(matches!(blank, Value::Array(a) if a.is_empty()) || blank == "" || blank == 0);
            assert_eq!(document.pointer(place), Some(&value), "{place}");
        }
    }

    #[test]
    fn every_reply_and_command_has_a_message() {
        let document = filled("1.2.3", &["/ws"]);
        let messages = document["components"]["messages"].as_object().unwrap();
        for name in
            ["Welcome", "Event", "Ack", "Pong", "Error", "Gap", "Reset", "Cursor", "Snapshot"]
        {
            assert!(messages.contains_key(name), "{name}");
        }
        assert!(close_codes().len() > 10);
    }
}
