//! A batch of events as NDJSON: one JSON text on each line.

use axum::body::Bytes;
use serde_json::value::RawValue;

/// The most events in one batch: one call publishes them all, and Redis does nothing else
/// meanwhile.
pub(crate) const MAX_EVENTS: usize = 1_000;

/// The largest body of a batch, bytes, unless two events of `max_event_size` are more.
pub(crate) const MAX_BYTES: usize = 4 << 20;

/// Why a batch is not published. Lines are counted from 1, blank ones too, as an editor
/// counts them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BatchError {
    /// Nothing but blank lines.
    #[error("the batch holds no event: each line is one, as JSON")]
    Empty,
    /// A line is no JSON text.
    #[error("line {line} is not JSON: it goes wrong at byte {byte}; nothing was published")]
    NotJson {
        /// Which line.
        line: usize,
        /// Where in it, counted from 1.
        byte: usize,
    },
    /// A line is not even text.
    #[error("line {line} is not UTF-8, and so not JSON; nothing was published")]
    NotText {
        /// Which line.
        line: usize,
    },
    /// An event is over `max_event_size`.
    #[error("line {line} has {size} bytes, an event has at most {limit}; nothing was published")]
    EventTooLarge {
        /// Which line.
        line: usize,
        /// How long it is, bytes.
        size: usize,
        /// The limit, bytes.
        limit: usize,
    },
    /// More events than one batch may have.
    #[error(
        "line {line} is one event too many, a batch has at most {MAX_EVENTS}; nothing was published"
    )]
    TooMany {
        /// Which line.
        line: usize,
    },
}

/// How large the body of a batch may be where an event may have `max_event_size` bytes.
pub(crate) fn max_bytes(max_event_size: usize) -> usize {
    MAX_BYTES.max(max_event_size.saturating_mul(2))
}

/// The events of a batch in their order, each the bytes of its line without the line end.
/// Blank lines are none.
pub(crate) fn events(body: &Bytes, max_event_size: usize) -> Result<Vec<Bytes>, BatchError> {
    let mut events = Vec::new();
    for (text, line) in body.split(|byte| *byte == b'\n').zip(1..) {
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        if text.iter().all(|byte| matches!(byte, b' ' | b'\t' | b'\r')) {
            continue;
        }
        if events.len() == MAX_EVENTS {
            return Err(BatchError::TooMany { line });
        }
        if text.len() > max_event_size {
            let (size, limit) = (text.len(), max_event_size);
            return Err(BatchError::EventTooLarge { line, size, limit });
        }
        let readable = std::str::from_utf8(text).map_err(|_| BatchError::NotText { line })?;
        serde_json::from_str::<&RawValue>(readable)
            .map_err(|error| BatchError::NotJson { line, byte: error.column() })?;
        // A slice of the body would hold all of it in memory for as long as the slowest
        // client has this one event waiting.
        events.push(Bytes::copy_from_slice(text));
    }
    if events.is_empty() { Err(BatchError::Empty) } else { Ok(events) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: usize = 20;

    fn read(body: &[u8]) -> Result<Vec<Bytes>, BatchError> {
        events(&Bytes::copy_from_slice(body), LIMIT)
    }

    #[test]
    fn each_line_is_an_event_without_its_end() {
        for body in ["1\n{\"a\": 2}", "1\n{\"a\": 2}\n", "\n1\r\n\r\n \t\n{\"a\": 2}\r\n\n"] {
            assert_eq!(read(body.as_bytes()).unwrap(), ["1", "{\"a\": 2}"], "{body:?}");
        }
        // What stands around it is part of it, to the last byte.
        assert_eq!(read(b" [1] \n").unwrap(), [" [1] "]);
    }

    #[test]
    fn the_line_that_is_wrong_is_named_as_an_editor_counts() {
        let wrong: [(&[u8], BatchError); 8] = [
            (b"1\n2\n\n{\"a\":}\n5", BatchError::NotJson { line: 4, byte: 6 }),
            (b"1\n2 3\n", BatchError::NotJson { line: 2, byte: 3 }),
            (b"{\n}\n", BatchError::NotJson { line: 1, byte: 1 }),
            (b"\xef\xbb\xbf1\n", BatchError::NotJson { line: 1, byte: 1 }),
            (b"NaN", BatchError::NotJson { line: 1, byte: 1 }),
            (b"1\n\"\xff\"\n", BatchError::NotText { line: 2 }),
            (b"1\n\0\x01\n", BatchError::NotJson { line: 2, byte: 1 }),
            (
                b"1\n\"1234567890123456789\"",
                BatchError::EventTooLarge { line: 2, size: 21, limit: 20 },
            ),
        ];
        for (body, error) in wrong {
            assert_eq!(read(body), Err(error), "{:?}", String::from_utf8_lossy(body));
        }
    }

    #[test]
    fn a_batch_has_some_events_and_not_too_many() {
        for body in ["", "\n", " \r\n\t\n"] {
            assert_eq!(read(body.as_bytes()), Err(BatchError::Empty), "{body:?}");
        }
        assert_eq!(read("1\n".repeat(1_000).as_bytes()).map(|events| events.len()), Ok(1_000));
        let error = BatchError::TooMany { line: 1_001 };
        assert_eq!(read("1\n".repeat(1_001).as_bytes()), Err(error));
    }

    #[test]
    fn nesting_without_end_is_read_without_a_stack() {
        let deep = "[".repeat(1 << 20);
        let error = events(&Bytes::from(deep), 2 << 20).unwrap_err();
        assert_eq!(error, BatchError::NotJson { line: 1, byte: 1 << 20 });
    }

    #[test]
    fn a_body_has_room_for_two_of_the_largest_events() {
        assert_eq!(max_bytes(1 << 20), 4 << 20);
        assert_eq!(max_bytes(32 << 20), 64 << 20);
    }
}
