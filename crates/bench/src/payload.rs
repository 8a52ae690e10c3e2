//! What an event of the benchmark looks like: JSON of a chosen size whose fields
//! stand at fixed places, so that a million a second can be read back cheaply.

use std::ops::Range;

use rustix::time::{ClockId, clock_gettime};

const START: &[u8] = br#"{"kind":""#;
const KIND: Range<usize> = 9..14;
const SEQUENCE: Range<usize> = 23..39;
const SENT: Range<usize> = 47..63;
const TEMPLATE: &[u8] = br#"{"kind":"-----","seq":"0000000000000000","at":"0000000000000000","#;

/// What an event is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Shows that a client is served; not counted.
    Probe,
    /// Counted and checked.
    Event,
}

/// What a payload says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// What it is for.
    pub kind: Kind,
    /// Its number, from 0.
    pub sequence: u64,
    /// When it was published, by [`now_ns`].
    pub sent_ns: u64,
}

/// Where the fields of a payload stand in what carries it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    /// Where the five letters of its kind begin.
    pub kind: usize,
    /// Where the digits of its number begin.
    pub sequence: usize,
    /// Where the digits of its time begin.
    pub sent: usize,
}

/// The layout of the payload itself.
pub const JSON: Layout = Layout { kind: KIND.start, sequence: SEQUENCE.start, sent: SENT.start };

/// Now, in nanoseconds of a clock that all processes of the machine share, so that one
/// may publish what another receives.
pub fn now_ns() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    // Both parts count up from the start of the machine and are never negative.
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

/// A payload of `size` bytes (at least the fields) to be stamped.
pub fn blank(size: usize) -> Vec<u8> {
    let around = TEMPLATE.len() + r#""pad":""}"#.len();
    blank_with(&format!(r#""pad":"{}""#, "x".repeat(size.saturating_sub(around))))
}

/// A payload to be stamped that holds `fields`, members of a JSON object, too.
pub fn blank_with(fields: &str) -> Vec<u8> {
    [TEMPLATE, fields.as_bytes(), b"}"].concat()
}

/// Writes `stamp` into a payload made by [`blank`].
pub fn write(payload: &mut [u8], stamp: Stamp) {
    write_at(payload, JSON, stamp);
}

/// Writes `stamp` where its fields stand in `carrier`.
pub fn write_at(carrier: &mut [u8], layout: Layout, stamp: Stamp) {
    let Layout { kind, sequence, sent } = layout;
    carrier[kind..kind + KIND.len()].copy_from_slice(match stamp.kind {
        Kind::Probe => b"probe",
        Kind::Event => b"event",
    });
    write_hex(&mut carrier[sequence..sequence + SEQUENCE.len()], stamp.sequence);
    write_hex(&mut carrier[sent..sent + SENT.len()], stamp.sent_ns);
}

/// Reads the stamp; none if this is not a payload of the benchmark.
pub fn read(payload: &[u8]) -> Option<Stamp> {
    if payload.len() < TEMPLATE.len() || !payload.starts_with(START) {
        return None;
    }
    let kind = match &payload[KIND] {
        b"event" => Kind::Event,
        b"probe" => Kind::Probe,
        _ => return None,
    };
    let sequence = read_hex(&payload[SEQUENCE])?;
    let sent_ns = read_hex(&payload[SENT])?;
    Some(Stamp { kind, sequence, sent_ns })
}

fn write_hex(digits: &mut [u8], mut value: u64) {
    for digit in digits.iter_mut().rev() {
        *digit = b"0123456789abcdef"[(value & 15) as usize];
        value >>= 4;
    }
}

fn read_hex(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0, |value, &digit| {
        let nibble = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(value << 4 | u64::from(nibble))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_is_read_back_from_valid_json_of_the_size_asked_for() {
        let stamp = Stamp { kind: Kind::Event, sequence: 0x1234_5678_9abc, sent_ns: u64::MAX };
        for size in [200, 1024, 16 * 1024] {
            let mut payload = blank(size);
            write(&mut payload, stamp);
            assert_eq!(payload.len(), size);
            assert_eq!(read(&payload), Some(stamp));
            assert!(serde_json::from_slice::<serde_json::Value>(&payload).is_ok());
        }
    }

    #[test]
    fn other_texts_have_no_stamp() {
        assert_eq!(read(br#"{"type":"gap","channel":"analytics"}"#), None);
        assert_eq!(read(&blank(200)), None);
    }
}
