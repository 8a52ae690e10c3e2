//! From what is stored to a JSON document.

use redcast_broker::{SnapshotError, Stored};
use serde_json::value::RawValue;

/// Why there is no document.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unreadable {
    /// There is no such key.
    #[error("the key does not exist")]
    Missing,
    /// What is stored can't be a document, or be merged into. The sentence never quotes it.
    #[error("{0}")]
    Malformed(String),
    /// The broker is away.
    #[error("{0}")]
    Unavailable(String),
}

impl From<SnapshotError> for Unreadable {
    fn from(error: SnapshotError) -> Self {
        let text = error.to_string();
        match error {
            SnapshotError::Unavailable(_) => Self::Unavailable(text),
            SnapshotError::Refused(_) | SnapshotError::TooLarge { .. } => Self::Malformed(text),
        }
    }
}

/// The document as JSON text. A string's own text is not touched: no digit of a number
/// and no order of members is lost.
pub(super) fn document(stored: Stored) -> Result<Box<RawValue>, Unreadable> {
    let text = match stored {
        Stored::Text(bytes) => String::from_utf8(bytes.into())
            .map_err(|_| Unreadable::Malformed("it is not UTF-8 text".to_owned()))?,
        Stored::Hash(fields) => object_of(fields),
    };
    RawValue::from_string(text).map_err(|error| {
        // By its place alone: the words of an error may quote what is stored.
        let (line, column) = (error.line(), error.column());
        Unreadable::Malformed(format!("it is not JSON at line {line} column {column}"))
    })
}

/// A hash as an object, its members sorted by name. What is not UTF-8 is left out.
fn object_of(fields: Vec<(bytes::Bytes, bytes::Bytes)>) -> String {
    let text = |bytes: bytes::Bytes| String::from_utf8(bytes.into()).ok();
    let fields = fields.into_iter();
    let mut fields: Vec<(String, String)> =
        fields.filter_map(|(name, value)| Some((text(name)?, text(value)?))).collect();
    fields.sort();
    let mut object = String::from("{");
    for (index, (name, value)) in fields.iter().enumerate() {
        if index > 0 {
            object.push(',');
        }
        object.push_str(&quoted(name));
        object.push(':');
        match reads_as_json(value) {
            true => object.push_str(value),
            false => object.push_str(&quoted(value)),
        }
    }
    object.push('}');
    object
}

/// Whether a field's value is meant as JSON: a number, a list or an object. Everything
/// else is text, also `true` and `null`, which a producer may have meant as words.
fn reads_as_json(value: &str) -> bool {
    match value.as_bytes().first() {
        // Not what no double can hold, which readers make infinity of.
        Some(b'-' | b'0'..=b'9') => value.parse::<serde_json::Number>().is_ok(),
        Some(b'[' | b'{') => serde_json::from_str::<&RawValue>(value).is_ok(),
        _ => false,
    }
}

/// The text as a JSON string.
pub(super) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn hash(fields: &[(&'static [u8], &'static [u8])]) -> String {
        let fields = fields
            .iter()
            .map(|(name, value)| (Bytes::from_static(name), Bytes::from_static(value)));
        document(Stored::Hash(fields.collect())).unwrap().get().to_owned()
    }

    fn value(value: &'static str) -> String {
        let object = hash(&[(b"x", value.as_bytes())]);
        object.strip_prefix("{\"x\":").and_then(|rest| rest.strip_suffix('}')).unwrap().to_owned()
    }

    #[test]
    fn a_string_is_not_touched() {
        let text = " {\"b\": 1.50,\n \"a\":12345678901234567890123, \"b\":[]} ";
        let stored = Stored::Text(Bytes::from_static(text.as_bytes()));
        assert_eq!(document(stored).unwrap().get(), text.trim());
    }

    #[test]
    fn what_is_no_json_is_told_without_quoting_it() {
        for (bytes, told) in [
            (&b"{\"a\":secret}"[..], "it is not JSON at line 1 column 6"),
            (b"", "it is not JSON at line 1 column 0"),
            (b"{}{}", "it is not JSON at line 1 column 3"),
            (b"\"\xff\"", "it is not UTF-8 text"),
        ] {
            let wrong = document(Stored::Text(Bytes::from_static(bytes))).unwrap_err();
            assert_eq!(wrong, Unreadable::Malformed(told.to_owned()));
        }
    }

    #[test]
    fn a_field_that_is_a_number_a_list_or_an_object_becomes_one() {
        for same in ["0", "-1", "1733683200", "1.50", "1e3", "12345678901234567890", "[1, 2]", "{}"]
        {
            assert_eq!(value(same), same);
        }
        for (text, string) in [
            ("", "\"\""),
            ("007", "\"007\""),
            ("1 ", "\"1 \""),
            (" 1", "\" 1\""),
            ("+1", "\"+1\""),
            ("1.", "\"1.\""),
            ("-", "\"-\""),
            ("0x1f", "\"0x1f\""),
            ("1e999", "\"1e999\""),
            ("NaN", "\"NaN\""),
            ("true", "\"true\""),
            ("null", "\"null\""),
            ("[1", "\"[1\""),
            ("{}{}", "\"{}{}\""),
            ("a \"b\"\n", "\"a \\\"b\\\"\\n\""),
        ] {
            assert_eq!(value(text), string);
        }
    }

    #[test]
    fn members_are_sorted_and_what_is_not_utf_8_is_left_out() {
        let object = hash(&[(b"b", b"2"), (b"\xff", b"3"), (b"c", b"\xff"), (b"a", b"1")]);
        assert_eq!(object, r#"{"a":1,"b":2}"#);
        assert_eq!(hash(&[]), "{}");
        assert_eq!(hash(&[(b"a\"b", b"x")]), r#"{"a\"b":"x"}"#);
    }
}
