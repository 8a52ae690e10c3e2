//! An event's cursor: where a client that saw this event goes on.
//!
//! `<milliseconds>-<sequence>.<8 hex digits>`: the Redis stream ID and a 32-bit
//! hash of the payload. The ID alone would be fooled by a failover, after which
//! the same ID may belong to another event.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};
use xxhash_rust::xxh32::xxh32;

/// A place in a stream channel. Opaque to clients: they give back what they got.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Cursor {
    /// First half of the stream ID, Unix milliseconds.
    pub millis: u64,
    /// Second half of the stream ID.
    pub sequence: u64,
    /// XXH32 of the event's payload.
    pub hash: u32,
}

impl Cursor {
    /// Where a stream begins: the cursor of whoever joined while it was empty.
    pub const BEGINNING: Self = Self { millis: 0, sequence: 0, hash: 0 };

    /// The cursor of the entry with this ID and payload.
    pub fn of(millis: u64, sequence: u64, payload: &[u8]) -> Self {
        Self { millis, sequence, hash: xxh32(payload, 0) }
    }

    /// The stream ID: what orders the entries of one stream.
    pub fn id(&self) -> (u64, u64) {
        (self.millis, self.sequence)
    }
}

/// A text that no cursor of ours looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a cursor; give back the `id` of the last event unchanged")]
pub struct CursorError;

impl FromStr for Cursor {
    type Err = CursorError;

    fn from_str(text: &str) -> Result<Self, CursorError> {
        let (id, hash) = text.split_once('.').ok_or(CursorError)?;
        let (millis, sequence) = id.split_once('-').ok_or(CursorError)?;
        if hash.len() != 8 || !hash.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(CursorError);
        }
        Ok(Self {
            millis: decimal(millis)?,
            sequence: decimal(sequence)?,
            hash: u32::from_str_radix(hash, 16).map_err(|_| CursorError)?,
        })
    }
}

// One spelling for each number: `u64::from_str` would also take "+1" and "007".
fn decimal(text: &str) -> Result<u64, CursorError> {
    let canonical = text == "0" || !text.starts_with('0');
    if canonical && text.bytes().all(|b| b.is_ascii_digit()) {
        text.parse().map_err(|_| CursorError)
    } else {
        Err(CursorError)
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}.{:08x}", self.millis, self.sequence, self.hash)
    }
}

impl Serialize for Cursor {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_what_it_prints() {
        let cursor = Cursor { millis: 1_733_683_200_123, sequence: 4, hash: 0x00ab_cdef };
        assert_eq!(cursor.to_string(), "1733683200123-4.00abcdef");
        assert_eq!("1733683200123-4.00abcdef".parse(), Ok(cursor));
    }

    #[test]
    fn holds_the_payload_s_xxh32() {
        // The reference values of the hash's author (xxHash specification, seed 0).
        assert_eq!(Cursor::of(1, 2, b"").to_string(), "1-2.02cc5d05");
        assert_eq!(Cursor::of(1, 2, b"abc").to_string(), "1-2.32d153ff");
    }

    #[test]
    fn has_one_spelling() {
        for bad in [
            "",
            ".",
            "-",
            "1-1",
            "1.00000000",
            "1-1.0000000",
            "1-1.000000000",
            "1-1.0000000G",
            "1-1.0000000A",
            "+1-1.00000000",
            "01-1.00000000",
            "1-01.00000000",
            "-1.00000000",
            "1-.00000000",
            "1-1.+0000000",
            "18446744073709551616-0.00000000",
            " 1-1.00000000",
        ] {
            assert_eq!(bad.parse::<Cursor>(), Err(CursorError), "{bad:?}");
        }
        assert!("0-0.00000000".parse::<Cursor>().is_ok());
    }

    proptest! {
        #[test]
        fn round_trips(millis: u64, sequence: u64, hash: u32) {
            let cursor = Cursor { millis, sequence, hash };
            prop_assert_eq!(cursor.to_string().parse(), Ok(cursor));
        }

        #[test]
        fn whatever_parses_prints_the_same(text in "[0-9+-]{0,6}-?[0-9]{0,3}\\.?[0-9a-fA-F]{0,9}") {
            if let Ok(cursor) = text.parse::<Cursor>() {
                prop_assert_eq!(cursor.to_string(), text);
            }
        }
    }
}
