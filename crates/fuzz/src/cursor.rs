//! Cursors: what parses prints the same, and what was printed parses.

use redcast_protocol::Cursor;

/// The body of the target `cursor`.
pub fn run(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        check_text(text);
    }
    if let Some((millis, rest)) = data.split_first_chunk()
        && let Some((sequence, rest)) = rest.split_first_chunk()
        && let Some(hash) = rest.first_chunk()
    {
        check_value(Cursor {
            millis: u64::from_be_bytes(*millis),
            sequence: u64::from_be_bytes(*sequence),
            hash: u32::from_be_bytes(*hash),
        });
    }
}

/// A place has one spelling: whoever compares cursors as text is right.
fn check_text(text: &str) {
    match text.parse::<Cursor>() {
        Ok(cursor) => {
            assert_eq!(cursor.to_string(), text);
            assert!(looks_like_one(text));
        }
        Err(error) => {
            assert!(!looks_like_one(text), "{text:?} was refused");
            assert!(!error.to_string().is_empty());
        }
    }
}

fn check_value(cursor: Cursor) {
    let text = cursor.to_string();
    assert_eq!(text.parse(), Ok(cursor));
    assert!(looks_like_one(&text));
}

/// The grammar, spelled out a second time.
fn looks_like_one(text: &str) -> bool {
    let Some((id, hash)) = text.rsplit_once('.') else { return false };
    let Some((millis, sequence)) = id.rsplit_once('-') else { return false };
    let is_hex = |c: char| "0123456789abcdef".contains(c);
    is_number(millis) && is_number(sequence) && hash.len() == 8 && hash.chars().all(is_hex)
}

/// Whether `text` is how a u64 prints.
fn is_number(text: &str) -> bool {
    const LARGEST: &str = "18446744073709551615";
    let digits = !text.is_empty() && text.chars().all(|c| "0123456789".contains(c));
    let fits = text.len() < LARGEST.len() || (text.len() == LARGEST.len() && text <= LARGEST);
    digits && fits && (text == "0" || !text.starts_with('0'))
}
