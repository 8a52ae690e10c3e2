//! What a client may say: JSON objects with a `type`, the same in every mode.
//!
//! Unknown fields are ignored and counted, so that a newer client can talk to an
//! older instance during a rolling update. Everything else that does not fit is
//! an error that names the field; the connection goes on.

use serde_json::{Map, Value};

use crate::{Channel, Cursor, ErrorCode};

/// The longest `id` a command may carry, as JSON text in bytes.
const MAX_ID_LEN: usize = 64;
/// The most events of each channel that `recent` may ask for.
pub const MAX_RECENT: usize = 1000;

/// One parsed command with what belongs around it.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// The client's own name for this command, echoed in the acknowledgement.
    pub id: Option<CommandId>,
    /// What the client wants.
    pub command: Command,
    /// How many fields were ignored because this version does not know them.
    pub unknown_fields: usize,
}

/// What a client may ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Join one or more channels.
    Subscribe(Vec<Subscription>),
    /// Leave a channel.
    Unsubscribe(Channel),
    /// Ask for a `pong`, because browsers can't see protocol pings.
    Ping,
    /// Ask for the endpoint's snapshot.
    RefreshStats,
    /// Publish an event.
    Publish,
}

/// One channel to join, and where to begin in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscription {
    /// The channel to join.
    pub channel: Channel,
    /// Which of its events come first.
    pub start: Start,
}

/// Where a client that joins a channel begins.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Start {
    /// With the next event.
    #[default]
    Now,
    /// With the event after this one, the last that the client has seen.
    Since(Cursor),
    /// With the last events, so many of them; 1 to [`MAX_RECENT`].
    Recent(usize),
}

/// A command's `id`: a JSON string or number. The echo is the same string, or the
/// same number as a 64-bit integer or else as a double.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
#[serde(transparent)]
pub struct CommandId(Value);

/// Why a text is not a command.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{message}")]
pub struct CommandError {
    /// The error code the client gets.
    pub code: ErrorCode,
    /// One sentence that names the field.
    pub message: String,
    /// The command's `id`, when that much could be read.
    pub id: Option<CommandId>,
}

impl Request {
    /// Reads one text message from a client.
    pub fn parse(text: &str) -> Result<Self, CommandError> {
        let mut fields = match serde_json::from_str(text) {
            Ok(Value::Object(fields)) => fields,
            Ok(_) => return Err(bad_request("a command is a JSON object")),
            Err(error) => return Err(bad_request(format!("not JSON: {error}"))),
        };
        let id = take_id(&mut fields)?;
        let command =
            take_command(&mut fields).map_err(|error| CommandError { id: id.clone(), ..error })?;
        Ok(Self { id, command, unknown_fields: fields.len() })
    }
}

fn take_id(fields: &mut Map<String, Value>) -> Result<Option<CommandId>, CommandError> {
    match fields.remove("id") {
        None | Some(Value::Null) => Ok(None),
        Some(id @ (Value::String(_) | Value::Number(_))) if id.to_string().len() <= MAX_ID_LEN => {
            Ok(Some(CommandId(id)))
        }
        Some(_) => {
            Err(bad_request(format!("`id` is a string or a number of at most {MAX_ID_LEN} bytes")))
        }
    }
}

fn take_command(fields: &mut Map<String, Value>) -> Result<Command, CommandError> {
    let kind = match fields.remove("type") {
        Some(Value::String(kind)) => kind,
        Some(_) => return Err(bad_request("`type` is a string")),
        None => return Err(bad_request("a command has a `type`")),
    };
    match kind.as_str() {
        "subscribe" => take_subscriptions(fields).map(Command::Subscribe),
        "unsubscribe" => match fields.remove("channel") {
            Some(name) => channel(name, "channel").map(Command::Unsubscribe),
            None => Err(bad_request("`unsubscribe` needs a `channel`")),
        },
        "ping" => Ok(Command::Ping),
        "refresh_stats" => Ok(Command::RefreshStats),
        "publish" => {
            fields.remove("channel");
            fields.remove("data");
            Ok(Command::Publish)
        }
        unknown => Err(bad_request(format!("unknown command {:?}", shortened(unknown)))),
    }
}

fn take_subscriptions(fields: &mut Map<String, Value>) -> Result<Vec<Subscription>, CommandError> {
    let since = fields.remove("since").filter(|since| !since.is_null());
    let recent = fields.remove("recent").filter(|recent| !recent.is_null());
    let recent = recent.map(|count| number_of_events(&count)).transpose()?;
    if since.is_some() && recent.is_some() {
        return Err(bad_request("give `since` or `recent`, not both"));
    }
    let elsewhere = recent.map_or(Start::Now, Start::Recent);
    match (fields.remove("channel"), fields.remove("channels")) {
        (Some(name), None) => {
            let start = since.map_or(Ok(elsewhere), |text| cursor(&text).map(Start::Since))?;
            Ok(vec![Subscription { channel: channel(name, "channel")?, start }])
        }
        (None, Some(Value::Array(names))) if !names.is_empty() => many(names, since, elsewhere),
        (None, Some(_)) => Err(bad_request("`channels` is a list of at least one channel name")),
        (Some(_), Some(_)) => Err(bad_request("give `channel` or `channels`, not both")),
        (None, None) => Err(bad_request("`subscribe` needs a `channel` or `channels`")),
    }
}

fn many(
    names: Vec<Value>,
    since: Option<Value>,
    elsewhere: Start,
) -> Result<Vec<Subscription>, CommandError> {
    let mut cursors = match since {
        None => Map::new(),
        Some(Value::Object(cursors)) => cursors,
        Some(_) => {
            return Err(bad_request("with `channels`, `since` is an object of channel and cursor"));
        }
    };
    let mut wanted = Vec::with_capacity(names.len());
    for name in names {
        let channel = channel(name, "channels")?;
        let since = cursors.remove(channel.as_str());
        let start = since.map_or(Ok(elsewhere), |text| cursor(&text).map(Start::Since))?;
        wanted.push(Subscription { channel, start });
    }
    match cursors.keys().next() {
        None => Ok(wanted),
        Some(stray) => {
            Err(bad_request(format!("`since` names {:?}, `channels` does not", shortened(stray))))
        }
    }
}

fn number_of_events(count: &Value) -> Result<usize, CommandError> {
    let count = count.as_u64().and_then(|count| usize::try_from(count).ok());
    count
        .filter(|count| (1..=MAX_RECENT).contains(count))
        .ok_or_else(|| bad_request(format!("`recent` is a whole number from 1 to {MAX_RECENT}")))
}

fn channel(name: Value, field: &str) -> Result<Channel, CommandError> {
    let Value::String(name) = name else {
        return Err(bad_request(format!("`{field}` holds a channel name that is not a string")));
    };
    Channel::parse(&name).map_err(|error| bad_request(format!("`{field}`: {error}")))
}

fn cursor(text: &Value) -> Result<Cursor, CommandError> {
    let parsed = text.as_str().map(str::parse);
    match parsed {
        Some(Ok(cursor)) => Ok(cursor),
        _ => Err(bad_request(
            "`since`: not a cursor; give back the `id` of the last event unchanged",
        )),
    }
}

fn bad_request(message: impl Into<String>) -> CommandError {
    CommandError { code: ErrorCode::BadRequest, message: message.into(), id: None }
}

// What a client sent is quoted back shortened: an error is no echo service.
fn shortened(text: &str) -> String {
    text.chars().take(40).collect()
}

#[cfg(test)]
#[path = "command_tests.rs"]
mod tests;
