//! A message that comes in pieces, and what it has been so far.

use crate::header::DataKind;
use crate::{Message, WireError};

/// The fragments of one message, joined.
pub(crate) struct Fragments {
    kind: DataKind,
    is_compressed: bool,
    bytes: Vec<u8>,
    /// How many of `bytes` are known to be whole UTF-8 characters; plain text only.
    valid: usize,
    count: u32,
}

impl Fragments {
    pub(crate) fn new(kind: DataKind, is_compressed: bool) -> Self {
        Self { kind, is_compressed, bytes: Vec::new(), valid: 0, count: 0 }
    }

    /// Whether they are the pieces of one compressed payload.
    pub(crate) fn is_compressed(&self) -> bool {
        self.is_compressed
    }

    /// Bytes so far.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Fragments so far, empty ones too.
    pub(crate) fn count(&self) -> u32 {
        self.count
    }

    /// Adds one fragment's payload.
    ///
    /// Text fails as soon as no continuation could make it UTF-8. Each byte is
    /// looked at once, but for the at most three of a character cut in two, so
    /// that many small fragments cost no more than one large.
    pub(crate) fn push(&mut self, payload: &[u8]) -> Result<(), WireError> {
        self.count += 1;
        self.bytes.extend_from_slice(payload);
        if self.kind == DataKind::Text && !self.is_compressed {
            self.valid += valid_prefix(&self.bytes[self.valid..])?;
        }
        Ok(())
    }

    /// What they join to, once the last is in.
    pub(crate) fn payload(&self) -> (DataKind, &[u8]) {
        (self.kind, &self.bytes)
    }
}

/// A complete payload as a message.
pub(crate) fn whole_message(kind: DataKind, payload: &[u8]) -> Result<Message<'_>, WireError> {
    match kind {
        DataKind::Text => match std::str::from_utf8(payload) {
            Ok(text) => Ok(Message::Text(text)),
            Err(_) => Err(WireError::InvalidUtf8),
        },
        DataKind::Binary => Ok(Message::Binary(payload)),
    }
}

// An error without a length means that the end is the beginning of a character.
fn valid_prefix(bytes: &[u8]) -> Result<usize, WireError> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(text.len()),
        Err(error) if error.error_len().is_none() => Ok(error.valid_up_to()),
        Err(_) => Err(WireError::InvalidUtf8),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(fragments: &Fragments) -> Result<Message<'_>, WireError> {
        let (kind, payload) = fragments.payload();
        whole_message(kind, payload)
    }

    #[test]
    fn text_is_looked_at_once_and_only_a_cut_character_again() {
        let mut fragments = Fragments::new(DataKind::Text, false);
        for (piece, valid, len) in
            [(&b"ab"[..], 2, 2), (b"c\xf0\x9f", 3, 5), (b"\x98", 3, 6), (b"\x80d", 8, 8)]
        {
            fragments.push(piece).unwrap();
            assert_eq!((fragments.valid, fragments.len()), (valid, len));
        }
        assert_eq!(fragments.count(), 4);
        assert_eq!(message(&fragments), Ok(Message::Text("abc😀d")));
    }

    #[test]
    fn text_fails_at_the_fragment_that_can_never_become_valid() {
        // 0xed 0xa0 would begin a surrogate, 0xf4 0x90 something past U+10FFFF.
        for (first, second) in
            [(&b"\xed"[..], &b"\xa0"[..]), (b"\xf4", b"\x90"), (b"\xe2\x82", b"a")]
        {
            let mut fragments = Fragments::new(DataKind::Text, false);
            assert_eq!(fragments.push(first), Ok(()));
            assert_eq!(fragments.push(second), Err(WireError::InvalidUtf8));
        }
    }

    #[test]
    fn text_that_ends_inside_a_character_is_no_message() {
        let mut fragments = Fragments::new(DataKind::Text, false);
        fragments.push(b"a\xe2\x82").unwrap();
        assert_eq!(message(&fragments), Err(WireError::InvalidUtf8));
    }

    #[test]
    fn binary_is_never_judged() {
        let mut fragments = Fragments::new(DataKind::Binary, false);
        fragments.push(b"\xff").unwrap();
        fragments.push(b"").unwrap();
        fragments.push(b"\xed\xa0").unwrap();
        assert_eq!(message(&fragments), Ok(Message::Binary(b"\xff\xed\xa0")));
        assert_eq!((fragments.valid, fragments.count()), (0, 3));
    }
}
