//! What we send: whole server frames, header and payload in one buffer.
//!
//! A server's frames carry no mask, so a frame is the same for every client and
//! can be shared among them: it is encoded once (invariant 6).

use bytes::Bytes;
use redcast_protocol::CloseCode;
use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{Control, Data, OpCode};

use crate::close::may_be_sent;
use crate::header::MAX_CONTROL_PAYLOAD;

/// A text frame. The caller knows that `payload` is UTF-8.
pub fn text_frame(payload: &[u8]) -> Bytes {
    debug_assert!(std::str::from_utf8(payload).is_ok(), "a text frame that is not UTF-8");
    frame(OpCode::Data(Data::Text), payload)
}

/// A binary frame.
pub fn binary_frame(payload: &[u8]) -> Bytes {
    frame(OpCode::Data(Data::Binary), payload)
}

/// An event as it was published: a text frame if it is UTF-8, else a binary one.
pub fn event_frame(payload: &[u8]) -> Bytes {
    match std::str::from_utf8(payload) {
        Ok(_) => text_frame(payload),
        Err(_) => binary_frame(payload),
    }
}

/// How many bytes an uncompressed frame with `payload_len` bytes of payload has.
pub fn frame_len(payload_len: usize) -> usize {
    FrameHeader::default().len(payload_len as u64) + payload_len
}

/// A ping frame. A payload over 125 bytes is the caller's mistake, and is cut.
pub fn ping_frame(payload: &[u8]) -> Bytes {
    control_frame(Control::Ping, payload)
}

/// A pong frame. A payload over 125 bytes is the caller's mistake, and is cut.
pub fn pong_frame(payload: &[u8]) -> Bytes {
    control_frame(Control::Pong, payload)
}

/// A close frame; `reason` is cut to the 123 bytes that fit, between characters.
///
/// A code that may not be sent, such as [`CloseCode::NoStatus`], gives an empty
/// close frame, which is what it stands for (RFC 6455 7.1.5).
pub fn close_frame(code: CloseCode, reason: &str) -> Bytes {
    let code = code.code();
    if !may_be_sent(code) {
        return control_frame(Control::Close, b"");
    }
    let code = code.to_be_bytes();
    let reason = cut_between_characters(reason, MAX_CONTROL_PAYLOAD - code.len());
    control_frame(Control::Close, &[&code, reason.as_bytes()].concat())
}

fn control_frame(control: Control, payload: &[u8]) -> Bytes {
    debug_assert!(payload.len() <= MAX_CONTROL_PAYLOAD, "a control frame over 125 bytes");
    frame(OpCode::Control(control), cut_to_control(payload))
}

// A longer frame would be illegal, and the client would have to end the connection.
fn cut_to_control(payload: &[u8]) -> &[u8] {
    payload.get(..MAX_CONTROL_PAYLOAD).unwrap_or(payload)
}

fn cut_between_characters(text: &str, limit: usize) -> &str {
    // The empty prefix is always one, so the search always ends.
    (0..=limit).rev().find_map(|end| text.get(..end.min(text.len()))).unwrap_or_default()
}

/// A text frame whose payload is compressed already.
pub(crate) fn compressed_text_frame(payload: &[u8]) -> Bytes {
    compressed_frame(Data::Text, payload)
}

/// A binary frame whose payload is compressed already.
pub(crate) fn compressed_binary_frame(payload: &[u8]) -> Bytes {
    compressed_frame(Data::Binary, payload)
}

// The first reserved bit says it (RFC 7692 6).
fn compressed_frame(data: Data, payload: &[u8]) -> Bytes {
    let opcode = OpCode::Data(data);
    frame_with(&FrameHeader { opcode, rsv1: true, ..FrameHeader::default() }, payload)
}

fn frame(opcode: OpCode, payload: &[u8]) -> Bytes {
    frame_with(&FrameHeader { opcode, ..FrameHeader::default() }, payload)
}

fn frame_with(header: &FrameHeader, payload: &[u8]) -> Bytes {
    let payload_len = payload.len() as u64;
    // The exact capacity lets Bytes take the buffer over without another copy.
    let mut frame = Vec::with_capacity(header.len(payload_len) + payload.len());
    let written = header.format(payload_len, &mut frame);
    debug_assert!(written.is_ok(), "writing to a Vec can't fail");
    frame.extend_from_slice(payload);
    frame.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_the_examples_of_the_rfc() {
        assert_eq!(text_frame(b"Hello"), &b"\x81\x05Hello"[..]);
        assert_eq!(ping_frame(b"Hello"), &b"\x89\x05Hello"[..]);
        assert_eq!(pong_frame(b"Hello"), &b"\x8a\x05Hello"[..]);
        assert_eq!(binary_frame(&[7; 256])[..5], [0x82, 0x7e, 0x01, 0x00, 7]);
        let large = binary_frame(&[7; 65536]);
        assert_eq!(large[..11], [0x82, 0x7f, 0, 0, 0, 0, 0, 1, 0, 0, 7]);
        assert_eq!(large.len(), 10 + 65536);
    }

    #[test]
    fn lengths_take_as_few_bytes_as_possible() {
        for (len, header) in [
            (0, &[0x82, 0][..]),
            (125, &[0x82, 125]),
            (126, &[0x82, 126, 0, 126]),
            (65535, &[0x82, 126, 0xff, 0xff]),
            (65536, &[0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0]),
        ] {
            let payload = vec![9; len];
            let frame = [header, &payload].concat();
            assert_eq!(binary_frame(&payload), frame);
            assert_eq!(frame_len(len), frame.len());
        }
    }

    #[test]
    fn an_event_is_text_where_it_can_be() {
        assert_eq!(event_frame("grüß".as_bytes()), &b"\x81\x06gr\xc3\xbc\xc3\x9f"[..]);
        assert_eq!(event_frame(b""), &b"\x81\x00"[..]);
        assert_eq!(event_frame(b"\xff"), &b"\x82\x01\xff"[..]);
        assert_eq!(event_frame(b"a\xe2\x82"), &b"\x82\x03a\xe2\x82"[..]);
    }

    #[test]
    fn a_control_payload_is_cut_to_what_is_legal() {
        assert_eq!(cut_to_control(&[1; 126]), [1; 125]);
        assert_eq!(cut_to_control(&[1; 125]), [1; 125]);
        assert_eq!(cut_to_control(&[1; 3]), [1; 3]);
        assert_eq!(ping_frame(&[1; 125]).len(), 127);
    }

    #[test]
    fn a_close_frame_has_its_code_and_its_reason() {
        assert_eq!(close_frame(CloseCode::Normal, "bye"), &b"\x88\x05\x03\xe8bye"[..]);
        assert_eq!(close_frame(CloseCode::SlowConsumer, ""), &b"\x88\x02\x11\x39"[..]);
    }

    #[test]
    fn a_close_code_that_may_not_be_sent_gives_an_empty_frame() {
        for code in [CloseCode::NoStatus, CloseCode::Abnormal, CloseCode::Other] {
            assert_eq!(close_frame(code, "ignored"), &b"\x88\x00"[..]);
        }
    }

    #[test]
    fn a_long_reason_is_cut_between_characters() {
        let reason_of = |reason: &str| close_frame(CloseCode::Policy, reason)[4..].to_vec();
        assert_eq!(reason_of(&"a".repeat(123)), "a".repeat(123).as_bytes());
        assert_eq!(reason_of(&"a".repeat(124)), "a".repeat(123).as_bytes());
        // 122 bytes and then a character of two, three or four that would not fit.
        for wide in ["é", "€", "😀"] {
            let reason = format!("{}{wide}", "a".repeat(122));
            assert_eq!(reason_of(&reason), "a".repeat(122).as_bytes());
        }
        let exact = format!("{}é", "a".repeat(121));
        assert_eq!(reason_of(&exact), exact.as_bytes());
    }
}
