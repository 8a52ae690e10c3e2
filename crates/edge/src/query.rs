//! What the query of a handshake may ask for in raw mode: `since=CHANNEL:CURSOR`,
//! repeatable, to go on after the last event seen, and `cursor=1`, to be told how far one
//! has come.

use redcast_protocol::{Channel, Cursor};

use crate::error::Refusal;

/// What a query asks for.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Query {
    /// From where to go on, by channel.
    pub(crate) since: Vec<(Channel, Cursor)>,
    /// Whether to tell how far the connection has come.
    pub(crate) cursors: bool,
}

impl Query {
    /// Reads the query of a handshake. Parameters we don't know are the application's, and
    /// so is a `cursor` that says anything else.
    pub(crate) fn read(text: Option<&str>) -> Result<Self, Refusal> {
        let mut query = Self::default();
        let pairs = text.unwrap_or_default().split('&').filter_map(|pair| pair.split_once('='));
        for (name, value) in pairs {
            match name {
                "since" => query.since.push(resume_point(value)?),
                "cursor" => query.cursors |= value == "1",
                _ => {}
            }
        }
        Ok(query)
    }
}

// The channel may hold colons, the cursor can't: split at the last one.
fn resume_point(value: &str) -> Result<(Channel, Cursor), Refusal> {
    let value = String::from_utf8(percent_decoded(value)).unwrap_or_default();
    let parsed = value
        .rsplit_once(':')
        .and_then(|(channel, cursor)| Some((Channel::parse(channel).ok()?, cursor.parse().ok()?)));
    parsed.ok_or_else(|| Refusal::BadRequest("`since` must be CHANNEL:CURSOR".to_owned()))
}

/// Undoes what browsers do to a value in a query (RFC 3986 section 2.1). What is no
/// escape stays as it is.
pub(crate) fn percent_decoded(value: &str) -> Vec<u8> {
    let digit = |byte: &u8| char::from(*byte).to_digit(16).and_then(|d| u8::try_from(d).ok());
    let mut decoded = Vec::with_capacity(value.len());
    let mut rest = value.as_bytes();
    while let [first, after @ ..] = rest {
        rest = after;
        let escaped = match after {
            [high, low, after @ ..] if *first == b'%' => {
                digit(high).zip(digit(low)).map(|(high, low)| (high << 4 | low, after))
            }
            _ => None,
        };
        match escaped {
            Some((byte, after)) => {
                decoded.push(byte);
                rest = after;
            }
            None => decoded.push(*first),
        }
    }
    decoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_at_the_last_colon() {
        let read = |query| Query::read(query).map(|query| query.since);
        let points = read(Some("x=1&since=a:b:5-1.0000000a&since=%63%3A6%2D0.00000001")).unwrap();
        assert_eq!(points[0].0.as_str(), "a:b");
        assert_eq!(points[0].1.to_string(), "5-1.0000000a");
        assert_eq!(points[1].0.as_str(), "c");
        assert!(read(None).unwrap().is_empty());
        for bad in
            ["since=", "since=a", "since=a:", "since=a b:5-1.0000000a", "since=:5-1.0000000a"]
        {
            assert!(read(Some(bad)).is_err(), "{bad}");
        }
    }

    #[test]
    fn cursors_are_for_those_who_ask_for_them() {
        let wants = |query| Query::read(Some(query)).unwrap().cursors;
        assert!(wants("cursor=1") && wants("a=b&cursor=1&since=a:5-1.0000000a"));
        for query in ["", "cursor", "cursor=", "cursor=0", "cursor=11", "xcursor=1"] {
            assert!(!wants(query), "{query}");
        }
    }

    #[test]
    fn escapes_are_undone_and_nothing_else() {
        for (value, decoded) in [
            ("a%3Ab%3a", "a:b:"),
            ("%", "%"),
            ("%4", "%4"),
            ("%zz+", "%zz+"),
            ("%2541", "%41"),
            ("%+1", "%+1"),
        ] {
            assert_eq!(percent_decoded(value), decoded.as_bytes(), "{value}");
        }
    }
}
