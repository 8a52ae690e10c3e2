//! The rules that one frame breaks or keeps alone.

use super::*;
use crate::testing::{BINARY, CLOSE, CONTINUATION, FIN, KEY, PING, PONG, TEXT, header};

fn parse(mut bytes: Vec<u8>) -> Result<Option<Header>, WireError> {
    bytes.extend(KEY);
    Header::parse(&bytes, false)
}

#[test]
fn every_kind_of_frame_is_known_by_its_opcode() {
    for (opcode, kind) in [
        (CONTINUATION, FrameKind::Continuation),
        (TEXT, FrameKind::Start(DataKind::Text)),
        (BINARY, FrameKind::Start(DataKind::Binary)),
        (CLOSE, FrameKind::Close),
        (PING, FrameKind::Ping),
        (PONG, FrameKind::Pong),
    ] {
        let expected = Header {
            is_final: true,
            kind,
            is_compressed: false,
            payload_len: 5,
            mask: KEY,
            header_len: 6,
        };
        assert_eq!(parse(header(FIN | opcode, 5)), Ok(Some(expected)));
    }
    assert_eq!(parse(header(TEXT, 5)).unwrap().map(|header| header.is_final), Some(false));
}

#[test]
fn reserved_opcodes_are_named() {
    for opcode in (3..8).chain(11..16) {
        assert_eq!(parse(header(FIN | opcode, 0)), Err(WireError::ReservedOpcode(opcode)));
        assert_eq!(kind_of(OpCode::from(opcode)), Err(WireError::ReservedOpcode(opcode)));
    }
}

#[test]
fn each_reserved_bit_alone_is_refused() {
    for bit in [0x40, 0x20, 0x10] {
        assert_eq!(parse(header(FIN | bit | TEXT, 5)), Err(WireError::ReservedBit));
    }
}

#[test]
fn an_unmasked_frame_is_refused() {
    assert_eq!(Header::parse(b"\x81\x05Hello", false), Err(WireError::Unmasked));
}

#[test]
fn a_length_is_written_in_as_few_bytes_as_possible() {
    for len in [0, 125] {
        assert_eq!(parse(vec![0x82, 0xfe, 0, len]), Err(WireError::LengthNotMinimal));
    }
    for len in [0, 125, 126, 65535_u64] {
        let bytes = [&[0x82, 0xff][..], &len.to_be_bytes()].concat();
        assert_eq!(parse(bytes), Err(WireError::LengthNotMinimal));
    }
    for (len, header_len) in [(0, 6), (125, 6), (126, 8), (65535, 8), (65536, 14), (u64::MAX, 14)] {
        let parsed = parse(header(FIN | BINARY, len)).unwrap().unwrap();
        assert_eq!((parsed.payload_len, parsed.header_len), (len, header_len));
    }
}

#[test]
fn a_header_is_awaited_until_its_last_byte() {
    for len in [0, 125, 126, 65536] {
        let bytes = [header(FIN | BINARY, len), KEY.to_vec()].concat();
        for end in 0..bytes.len() {
            assert_eq!(Header::parse(&bytes[..end], false), Ok(None));
        }
        assert!(Header::parse(&bytes, false).unwrap().is_some());
    }
}

#[test]
fn control_frames_are_short_and_in_one_piece() {
    for opcode in [CLOSE, PING, PONG] {
        assert!(parse(header(FIN | opcode, 125)).unwrap().is_some());
        assert_eq!(parse(header(FIN | opcode, 126)), Err(WireError::ControlTooLong(126)));
        assert_eq!(parse(header(opcode, 0)), Err(WireError::FragmentedControl));
    }
}

#[test]
fn the_payload_follows_the_header_and_never_wraps_around() {
    let range = |len| parse(header(FIN | BINARY, len)).unwrap().unwrap().payload_range();
    assert_eq!(range(3), 6..9);
    assert_eq!(range(65536), 14..65550);
    assert_eq!(range(u64::MAX), 14..usize::MAX);
}
