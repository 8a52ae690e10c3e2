//! Reads the frames that we ourselves have made for a WebSocket: whole messages without a
//! mask, which arrive joined and split as the hub's writes happen to be.

use bytes::{Buf, Bytes, BytesMut};

// RFC 6455 section 5.2.
const FIN: u8 = 0x80;
const TEXT: u8 = 0x1;
const CLOSE: u8 = 0x8;
const PING: u8 = 0x9;
const LENGTH_IN_TWO_BYTES: u8 = 126;
const LENGTH_IN_EIGHT_BYTES: u8 = 127;

/// One whole frame of the server's.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ServerFrame {
    Text(Bytes),
    /// The code and the reason; no code in an empty frame.
    Close(Option<u16>, Bytes),
    Ping,
}

/// A frame that no code of ours makes for a connection in envelope mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a frame that begins with {0:#04x} {1:#04x} has no form in an event stream")]
pub(crate) struct StrangeFrame(u8, u8);

/// What has arrived and was not read yet.
#[derive(Debug, Default)]
pub(crate) struct FrameReader {
    bytes: BytesMut,
}

impl FrameReader {
    /// Adds what has arrived.
    pub(crate) fn feed(&mut self, bytes: BytesMut) {
        if self.bytes.is_empty() {
            self.bytes = bytes;
        } else {
            self.bytes.extend_from_slice(&bytes);
        }
    }

    /// The next frame, if it has arrived as a whole.
    pub(crate) fn next(&mut self) -> Result<Option<ServerFrame>, StrangeFrame> {
        let Some((header_len, payload_len)) = self.lengths()? else {
            return Ok(None);
        };
        if self.bytes.len() - header_len < payload_len {
            // Once instead of piece by piece.
            self.bytes.reserve(header_len + payload_len - self.bytes.len());
            return Ok(None);
        }
        let (first, second) = (self.bytes[0], self.bytes[1]);
        self.bytes.advance(header_len);
        let mut payload = self.bytes.split_to(payload_len).freeze();
        if self.bytes.is_empty() {
            // An idle connection holds no buffer.
            self.bytes = BytesMut::new();
        }
        match first & !FIN {
            TEXT => Ok(Some(ServerFrame::Text(payload))),
            PING => Ok(Some(ServerFrame::Ping)),
            CLOSE => {
                let code = (payload.len() >= 2).then(|| payload.get_u16());
                Ok(Some(ServerFrame::Close(code, payload)))
            }
            _ => Err(StrangeFrame(first, second)),
        }
    }

    /// How long the header and the payload of the next frame are.
    fn lengths(&self) -> Result<Option<(usize, usize)>, StrangeFrame> {
        let [first, second, rest @ ..] = &self.bytes[..] else { return Ok(None) };
        let strange = StrangeFrame(*first, *second);
        // In envelope mode every message is text, and nobody sends a ping to be answered.
        if !matches!(first & !FIN, TEXT | CLOSE | PING) || first & FIN == 0 {
            return Err(strange);
        }
        let lengths = match *second {
            LENGTH_IN_TWO_BYTES => {
                rest.first_chunk().map(|len| (4, u16::from_be_bytes(*len).into()))
            }
            LENGTH_IN_EIGHT_BYTES => rest.first_chunk().map(|len| (10, u64::from_be_bytes(*len))),
            len if len < LENGTH_IN_TWO_BYTES => Some((2, len.into())),
            _ => return Err(strange),
        };
        let Some((header_len, payload_len)) = lengths else { return Ok(None) };
        let payload_len = usize::try_from(payload_len).map_err(|_| strange)?;
        Ok(Some((header_len, payload_len)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use redcast_protocol::CloseCode;
    use redcast_wire::{close_frame, ping_frame, text_frame};

    use super::*;

    fn read_all(reader: &mut FrameReader) -> Vec<ServerFrame> {
        std::iter::from_fn(|| reader.next().unwrap()).collect()
    }

    fn text(payload: &[u8]) -> ServerFrame {
        ServerFrame::Text(Bytes::copy_from_slice(payload))
    }

    #[test]
    fn reads_frames_of_every_length_joined_and_byte_by_byte() {
        let payloads = [0, 1, 125, 126, 65_535, 65_536].map(|len| vec![b'x'; len]);
        let mut stream = Vec::new();
        let mut expected = Vec::new();
        for payload in &payloads {
            stream.extend_from_slice(&text_frame(payload));
            stream.extend_from_slice(&ping_frame(b""));
            expected.extend([text(payload), ServerFrame::Ping]);
        }
        stream.extend_from_slice(&close_frame(CloseCode::ServiceRestart, "bye"));
        expected.push(ServerFrame::Close(Some(1012), Bytes::from_static(b"bye")));
        let mut reader = FrameReader::default();
        reader.feed(BytesMut::from(&stream[..]));
        assert_eq!(read_all(&mut reader), expected);
        assert_eq!(reader.bytes.capacity(), 0, "an idle reader holds nothing");
        let mut read = Vec::new();
        for byte in stream {
            reader.feed(BytesMut::from(&[byte][..]));
            read.extend(read_all(&mut reader));
        }
        assert_eq!(read, expected);
    }

    #[test]
    fn a_close_frame_may_be_empty() {
        let mut reader = FrameReader::default();
        reader.feed(BytesMut::from(&close_frame(CloseCode::NoStatus, "")[..]));
        assert_eq!(read_all(&mut reader), [ServerFrame::Close(None, Bytes::new())]);
    }

    #[test]
    fn what_is_never_sent_here_is_an_error() {
        // A masked frame, a fragment, a compressed one, a binary one and a pong.
        for bytes in [&b"\x81\x81"[..], b"\x01\x01x", b"\xc1\x01x", b"\x82\x00", b"\x8a\x00"] {
            let mut reader = FrameReader::default();
            reader.feed(BytesMut::from(bytes));
            assert_eq!(reader.next(), Err(StrangeFrame(bytes[0], bytes[1])), "{bytes:x?}");
        }
    }

    proptest! {
        #[test]
        fn pieces_of_any_size_give_the_same_frames(
            payloads in prop::collection::vec(prop::collection::vec(b'a'..=b'z', 0..300), 1..20),
            cuts in prop::collection::vec(1_usize..400, 1..20),
        ) {
            let stream: Vec<u8> = payloads.iter().flat_map(|each| text_frame(each)).collect();
            let mut rest = &stream[..];
            let mut reader = FrameReader::default();
            let mut read = Vec::new();
            for cut in cuts.iter().cycle() {
                if rest.is_empty() {
                    break;
                }
                let (piece, later) = rest.split_at(rest.len().min(*cut));
                reader.feed(BytesMut::from(piece));
                read.extend(read_all(&mut reader));
                rest = later;
            }
            let expected: Vec<_> = payloads.iter().map(|each| text(each)).collect();
            prop_assert_eq!(read, expected);
        }
    }
}
