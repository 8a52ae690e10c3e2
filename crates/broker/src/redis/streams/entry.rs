//! The answers of Redis's stream commands, read into what they mean. Anything that is not
//! as the documentation of Redis says is an error, never a panic.

use bytes::Bytes;
use redcast_protocol::Cursor;
use redis::{ErrorKind, RedisError, RedisResult, Value};

use super::tail::{Census, EntryId, StreamState};

/// The field of an entry that holds the event.
pub(crate) const DATA: &str = "data";

/// One entry of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Its ID.
    pub(crate) id: EntryId,
    /// The event; none if the entry has no such field.
    pub(crate) data: Option<Bytes>,
    /// What tells it from another entry with its ID: the hash of the event, or of all fields
    /// of an entry that is none.
    hash: u32,
    /// What it takes on the wire, about.
    pub(crate) size: usize,
}

impl Entry {
    /// Its cursor.
    pub(crate) fn cursor(&self) -> Cursor {
        let (millis, sequence) = self.id;
        Cursor { millis, sequence, hash: self.hash }
    }
}

/// Reads the answer of `XRANGE` and `XREVRANGE`.
pub(crate) fn entries(value: Value) -> RedisResult<Vec<Entry>> {
    match value {
        Value::Array(entries) => entries.into_iter().map(entry).collect(),
        Value::Nil => Ok(Vec::new()),
        _ => Err(strange("entries")),
    }
}

/// Reads the answer of `XREAD`: the entries of each stream that has any.
pub(crate) fn streams(value: Value) -> RedisResult<Vec<(String, Vec<Entry>)>> {
    match value {
        Value::Nil => Ok(Vec::new()),
        Value::Map(streams) => streams.into_iter().map(stream).collect(),
        Value::Array(streams) => {
            let pairs = streams.into_iter().map(|pair| match pair {
                Value::Array(pair) => <[Value; 2]>::try_from(pair)
                    .map_err(|_| strange("a stream"))
                    .and_then(|[name, entries]| stream((name, entries))),
                _ => Err(strange("a stream")),
            });
            pairs.collect()
        }
        _ => Err(strange("streams")),
    }
}

/// Reads the answer of `XINFO STREAM`, which is an error where there is no such key.
pub(crate) fn census(reply: RedisResult<Value>) -> RedisResult<Census> {
    let value = match reply {
        Err(error) if is_no_such_key(&error) => return Ok(Census::Absent),
        reply => reply?,
    };
    let mut state = StreamState::default();
    for (name, value) in fields(value)? {
        let Value::BulkString(name) = name else { continue };
        match name.as_slice() {
            b"length" => state.length = number(&value)?,
            b"entries-added" => state.added = Some(number(&value)?),
            b"last-generated-id" => state.last_id = id(&value)?,
            b"first-entry" => state.first = edge(value)?.map(|entry| entry.id),
            b"last-entry" => state.last = edge(value)?.map(|entry| entry.cursor()),
            _ => {}
        }
    }
    Ok(Census::Present(state))
}

/// Reads the answer of `XLEN`.
pub(crate) fn number(value: &Value) -> RedisResult<u64> {
    match value {
        Value::Int(number) => u64::try_from(*number).map_err(|_| strange("a number")),
        _ => Err(strange("a number")),
    }
}

/// An ID as Redis reads it.
pub(crate) fn spell((millis, sequence): EntryId) -> String {
    format!("{millis}-{sequence}")
}

fn is_no_such_key(error: &RedisError) -> bool {
    error.detail().is_some_and(|detail| detail.contains("no such key"))
}

fn stream((name, entries_of): (Value, Value)) -> RedisResult<(String, Vec<Entry>)> {
    let Value::BulkString(name) = name else { return Err(strange("a stream's name")) };
    let name = String::from_utf8(name).map_err(|_| strange("a stream's name"))?;
    Ok((name, entries(entries_of)?))
}

fn edge(value: Value) -> RedisResult<Option<Entry>> {
    match value {
        Value::Nil => Ok(None),
        value => entry(value).map(Some),
    }
}

fn entry(value: Value) -> RedisResult<Entry> {
    let Value::Array(parts) = value else { return Err(strange("an entry")) };
    let [at, content] = <[Value; 2]>::try_from(parts).map_err(|_| strange("an entry"))?;
    let mut entry = Entry { id: id(&at)?, data: None, hash: 0, size: 0 };
    let mut others = Vec::new();
    for (name, value) in fields(content)? {
        let (Value::BulkString(name), Value::BulkString(value)) = (name, value) else {
            return Err(strange("a field"));
        };
        entry.size += name.len() + value.len();
        // Of several fields of this name the first is the event.
        if name == DATA.as_bytes() && entry.data.is_none() {
            entry.hash = hash(&value);
            entry.data = Some(Bytes::from(value));
        } else if entry.data.is_none() {
            others.extend([hash(&name), hash(&value)].into_iter().flat_map(u32::to_be_bytes));
        }
    }
    if entry.data.is_none() {
        // 0 is for places at which no entry is known.
        entry.hash = hash(&others).max(1);
    }
    Ok(entry)
}

fn hash(bytes: &[u8]) -> u32 {
    Cursor::of(0, 0, bytes).hash
}

/// Names and values, which stand in a map (RESP3) or in turn in a list (RESP2).
fn fields(value: Value) -> RedisResult<Vec<(Value, Value)>> {
    match value {
        Value::Map(fields) => Ok(fields),
        Value::Array(flat) => {
            let mut fields = Vec::with_capacity(flat.len() / 2);
            let mut flat = flat.into_iter();
            while let (Some(name), Some(value)) = (flat.next(), flat.next()) {
                fields.push((name, value));
            }
            Ok(fields)
        }
        _ => Err(strange("fields")),
    }
}

fn id(value: &Value) -> RedisResult<EntryId> {
    let Value::BulkString(text) = value else { return Err(strange("an ID")) };
    let halves = std::str::from_utf8(text).ok().and_then(|text| text.split_once('-'));
    let id =
        halves.and_then(|(millis, sequence)| Some((millis.parse().ok()?, sequence.parse().ok()?)));
    id.ok_or_else(|| strange("an ID"))
}

fn strange(what: &'static str) -> RedisError {
    let detail = format!("instead of {what} it answered something else");
    (ErrorKind::UnexpectedReturnType, "not a stream's answer", detail).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(id: &str, fields: &[&str]) -> Entry {
        let text = |text: &str| Value::BulkString(text.as_bytes().to_vec());
        let fields = Value::Array(fields.iter().map(|field| text(field)).collect());
        let answer = Value::Array(vec![Value::Array(vec![text(id), fields])]);
        entries(answer).unwrap().remove(0)
    }

    #[test]
    fn an_event_is_known_by_its_first_data_alone() {
        let entry = read("7-1", &["at", "3", "data", "a", "data", "b"]);
        assert_eq!(entry.data.as_deref(), Some(&b"a"[..]));
        assert_eq!((entry.cursor(), entry.size), (Cursor::of(7, 1, b"a"), 13));
        assert_eq!(read("7-1", &["data", "a"]).cursor(), entry.cursor());
    }

    #[test]
    fn what_is_no_event_is_known_by_all_its_fields() {
        let entry = read("7-1", &["at", "3"]);
        assert_eq!(entry.data, None);
        assert_eq!(entry.cursor(), read("7-1", &["at", "3"]).cursor());
        let others = [&["at", "4"][..], &["a", "t3"], &["3", "at"], &["at", "3", "", ""], &[]];
        for other in others.map(|fields| read("7-1", fields).cursor()) {
            assert_ne!(entry.cursor(), other);
            assert_ne!(other.hash, 0, "an entry is no place without one");
        }
    }
}
