//! The frames of a server, split off a byte slice: RFC 6455 §5.2, unmasked only.

/// One whole frame, or the lack of it.
#[derive(Debug, PartialEq, Eq)]
pub enum Split<'a> {
    /// A frame and the bytes after it.
    Frame {
        /// The opcode, 0 to 15.
        opcode: u8,
        /// Whether the payload is compressed: RSV1 (RFC 7692 section 6).
        compressed: bool,
        /// The payload.
        payload: &'a [u8],
        /// What follows the frame.
        rest: &'a [u8],
    },
    /// More bytes are needed.
    Partial,
    /// No server may send this: a mask, RSV2, RSV3, or a fragment of an event
    /// that fits one frame.
    Corrupt,
}

/// Opcode of a text frame.
pub const TEXT: u8 = 1;
/// Opcode of a binary frame.
pub const BINARY: u8 = 2;
/// Opcode of a close frame.
pub const CLOSE: u8 = 8;
/// Opcode of a ping.
pub const PING: u8 = 9;
/// Opcode of a pong.
pub const PONG: u8 = 10;

const FIN: u8 = 0x80;
const RSV1: u8 = 0x40;
const MASKED: u8 = 0x80;

/// The head of a frame, and the bytes after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head<'a> {
    /// The opcode, 0 to 15.
    pub opcode: u8,
    /// Whether the payload is compressed: RSV1.
    pub compressed: bool,
    /// The length of the payload.
    pub length: usize,
    /// The payload as far as it is there, and what follows it.
    pub body: &'a [u8],
}

/// Splits the first frame off `bytes`.
pub fn split(bytes: &[u8]) -> Split<'_> {
    if let &[first, second, ..] = bytes
        && (first & !RSV1 & 0xF0 != FIN || second & MASKED != 0)
    {
        return Split::Corrupt;
    }
    let Some(head) = split_head(bytes) else { return Split::Partial };
    let Head { opcode, compressed, length, body } = head;
    match body.split_at_checked(length) {
        Some((payload, rest)) => Split::Frame { opcode, compressed, payload, rest },
        None => Split::Partial,
    }
}

/// Splits the head off the first frame of `bytes`; none if it is not all there.
pub fn split_head(bytes: &[u8]) -> Option<Head<'_>> {
    let &[first, second, ref after @ ..] = bytes else { return None };
    let (length, body) = match second {
        126 => after
            .split_first_chunk()
            .map(|(length, body)| (u16::from_be_bytes(*length).into(), body))?,
        127 => {
            after.split_first_chunk().map(|(length, body)| (u64::from_be_bytes(*length), body))?
        }
        short => (u64::from(short), after),
    };
    let length = usize::try_from(length).ok()?;
    Some(Head { opcode: first & 0x0F, compressed: first & RSV1 != 0, length, body })
}

/// A client's pong that answers a ping of `payload`.
pub fn pong(payload: &[u8]) -> Vec<u8> {
    masked(PONG, payload.get(..125).unwrap_or(payload))
}

/// A client's frame of `payload`, at most 65,535 bytes, masked with the key 0.
pub fn masked(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![FIN | opcode];
    match u8::try_from(payload.len()) {
        Ok(length @ 0..126) => frame.push(MASKED | length),
        _ => {
            frame.push(MASKED | 126);
            frame.extend(u16::try_from(payload.len()).unwrap_or(u16::MAX).to_be_bytes());
        }
    }
    frame.extend([0; 4]);
    frame.extend_from_slice(payload);
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_of_each_length_form_is_split_off() {
        for length in [0, 1, 125, 126, 200, 65_535, 65_536] {
            let payload = vec![b'x'; length];
            let mut bytes = vec![FIN | TEXT];
            match length {
                0..126 => bytes.push(length as u8),
                126..65_536 => {
                    bytes.push(126);
                    bytes.extend((length as u16).to_be_bytes());
                }
                _ => {
                    bytes.push(127);
                    bytes.extend((length as u64).to_be_bytes());
                }
            }
            bytes.extend(&payload);
            for cut in [1, 2, bytes.len() - 1] {
                if cut < bytes.len() {
                    assert_eq!(split(&bytes[..cut]), Split::Partial, "{length} bytes cut at {cut}");
                }
            }
            bytes.extend(b"next");
            assert_eq!(
                split(&bytes),
                Split::Frame { opcode: TEXT, compressed: false, payload: &payload, rest: b"next" }
            );
        }
    }

    #[test]
    fn a_compressed_frame_is_told() {
        let split = split(&[FIN | RSV1 | TEXT, 1, b'x']);
        assert_eq!(
            split,
            Split::Frame { opcode: TEXT, compressed: true, payload: b"x", rest: b"" }
        );
    }

    #[test]
    fn masks_fragments_and_reserved_bits_are_corrupt() {
        assert_eq!(split(&[FIN | TEXT, MASKED | 1, 0, 0, 0, 0, 0]), Split::Corrupt);
        assert_eq!(split(&[TEXT, 0]), Split::Corrupt);
        assert_eq!(split(&[FIN | 0x20 | TEXT, 0]), Split::Corrupt);
        assert_eq!(split(&[FIN | 0x10 | TEXT, 0]), Split::Corrupt);
    }

    #[test]
    fn a_pong_repeats_the_pings_payload() {
        assert_eq!(pong(b"hi"), [0x8A, 0x82, 0, 0, 0, 0, b'h', b'i']);
        let long = masked(TEXT, &[b'x'; 300]);
        assert_eq!((&long[..4], long.len()), (&[0x81, 0xFE, 1, 44][..], 308));
    }
}
