//! Compressed messages among the others: where the first reserved bit may stand,
//! and what is kept of them.

use super::*;
use crate::testing::{
    BINARY, CLOSE, CONTINUATION, FIN, Outcome, Owned, PING, PONG, RSV1, TEXT, client_frame,
    compressed, decode, decode_pieces_with, header, noise, text,
};

const LIMITS: Limits = Limits { max_message_size: 4096, max_fragments: 4 };

/// Decodes `frames` whole and byte by byte, which must come to the same.
#[track_caller]
fn outcome(frames: &[Vec<u8>]) -> Outcome {
    let bytes = frames.concat();
    let mut inflater = Inflater::new();
    let whole = decode_pieces_with([&bytes[..]], &LIMITS, Some(&mut inflater));
    let pieces = decode_pieces_with(bytes.chunks(1), &LIMITS, Some(&mut inflater));
    assert_eq!(pieces, whole, "byte by byte");
    whole
}

#[track_caller]
fn delivers(frames: &[Vec<u8>], messages: &[Owned]) {
    let expected = Outcome { messages: messages.to_vec(), error: None, idle: true };
    assert_eq!(outcome(frames), expected);
}

/// A message before the breach is delivered, one behind it is not.
#[track_caller]
fn refuses(frames: &[Vec<u8>], error: WireError, code: u16) {
    assert_eq!(error.close_code().code(), code);
    let mut surrounded = vec![client_frame(FIN | RSV1 | TEXT, compressed("before", 6))];
    surrounded.extend_from_slice(frames);
    surrounded.push(client_frame(FIN | RSV1 | TEXT, compressed("behind", 6)));
    let expected = Outcome { messages: vec![text("before")], error: Some(error), idle: true };
    assert_eq!(outcome(&surrounded), expected);
}

#[test]
fn the_examples_of_the_rfc() {
    let hello = b"\xf2\x48\xcd\xc9\xc9\x07\x00";
    delivers(&[client_frame(0xc1, hello)], &[text("Hello")]);
    delivers(&[client_frame(0x41, &hello[..3]), client_frame(0x80, &hello[3..])], &[text("Hello")]);
    let stored = b"\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00";
    delivers(&[client_frame(0xc1, stored)], &[text("Hello")]);
}

#[test]
fn a_message_is_compressed_or_not_and_both_may_come() {
    let (long, bytes) = ("grüße und ".repeat(300), noise(1000, 1));
    for level in [0, 1, 9] {
        delivers(
            &[
                client_frame(FIN | TEXT, "plain"),
                client_frame(FIN | RSV1 | TEXT, compressed(&long, level)),
                client_frame(FIN | RSV1 | BINARY, compressed(&bytes, level)),
                client_frame(FIN | RSV1 | TEXT, compressed("", level)),
                client_frame(FIN | BINARY, &bytes),
                client_frame(FIN | CLOSE, ""),
            ],
            &[
                text("plain"),
                text(&long),
                Owned::Binary(bytes.clone()),
                text(""),
                Owned::Binary(bytes.clone()),
                Owned::Close(None),
            ],
        );
    }
}

#[test]
fn the_first_frame_says_that_the_whole_message_is_compressed() {
    let long = "grüße und ".repeat(300);
    let payload = compressed(&long, 1);
    let third = payload.len() / 3;
    delivers(
        &[
            client_frame(RSV1 | TEXT, ""),
            client_frame(CONTINUATION, &payload[..third]),
            client_frame(FIN | PING, "in between"),
            client_frame(CONTINUATION, &payload[third..]),
            client_frame(FIN | CONTINUATION, ""),
            // The next one is plain, in pieces too.
            client_frame(TEXT, "pl"),
            client_frame(FIN | CONTINUATION, "ain"),
        ],
        &[Owned::Ping(b"in between".to_vec()), text(&long), text("plain")],
    );
}

#[test]
fn the_bit_of_compression_elsewhere_is_1002() {
    for opcode in [CONTINUATION, PING, PONG, CLOSE] {
        refuses(&[client_frame(FIN | RSV1 | opcode, "")], WireError::ReservedBit, 1002);
    }
    let begun = client_frame(RSV1 | TEXT, "");
    for last in [RSV1 | CONTINUATION, FIN | RSV1 | CONTINUATION, FIN | RSV1 | PING] {
        refuses(&[begun.clone(), client_frame(last, "")], WireError::ReservedBit, 1002);
    }
    for bit in [0x20, 0x10] {
        refuses(&[client_frame(FIN | bit | TEXT, "")], WireError::ReservedBit, 1002);
        refuses(&[client_frame(FIN | RSV1 | bit | TEXT, "")], WireError::ReservedBit, 1002);
    }
    // Not agreed on.
    let frame = client_frame(FIN | RSV1 | TEXT, compressed("Hello", 6));
    assert_eq!(decode(&frame, &LIMITS).error, Some(WireError::ReservedBit));
    refuses(&[begun, client_frame(TEXT, "")], WireError::InterruptedMessage, 1002);
}

#[test]
fn an_inflater_taken_away_inside_a_message_is_no_way_around_the_rule() {
    let payload = compressed("Hello", 6);
    let mut decoder = Decoder::new();
    let mut never = |_: Message<'_>| panic!("delivered");
    let mut begun = client_frame(RSV1 | TEXT, &payload);
    decoder.feed(&mut begun, &LIMITS, Some(&mut Inflater::new()), &mut never).unwrap();
    let mut last = client_frame(FIN | CONTINUATION, "");
    let result = decoder.feed(&mut last, &LIMITS, None, &mut never);
    assert_eq!(result, Err(WireError::ReservedBit));
}

#[test]
fn what_is_no_deflate_or_no_text_is_1007() {
    let whole = compressed("Hello, and once more Hello", 6);
    for bad in [b"Hello".to_vec(), whole[..5].to_vec(), [&whole[..], b"more"].concat()] {
        refuses(&[client_frame(FIN | RSV1 | TEXT, &bad)], WireError::NotDeflate, 1007);
        let pieces = [client_frame(RSV1 | BINARY, &bad[..2]), client_frame(FIN, &bad[2..])];
        refuses(&pieces, WireError::NotDeflate, 1007);
    }
    for bad in [&b"\xff"[..], b"abc\xed\xa0\x80", b"ends in \xe2\x82"] {
        let payload = compressed(bad, 6);
        refuses(&[client_frame(FIN | RSV1 | TEXT, &payload)], WireError::InvalidUtf8, 1007);
        let pieces = [client_frame(RSV1 | TEXT, &payload[..2]), client_frame(FIN, &payload[2..])];
        refuses(&pieces, WireError::InvalidUtf8, 1007);
        delivers(&[client_frame(FIN | RSV1 | BINARY, &payload)], &[Owned::Binary(bad.to_vec())]);
    }
    // Compressed bytes are no text, wherever a frame cuts them.
    let payload = compressed([0xff; 40], 0);
    let pieces = [client_frame(RSV1 | BINARY, &payload[..9]), client_frame(FIN, &payload[9..])];
    delivers(&pieces, &[Owned::Binary(vec![0xff; 40])]);
    let payload = compressed("é".repeat(40), 0);
    let pieces = [client_frame(RSV1 | TEXT, &payload[..8]), client_frame(FIN, &payload[8..])];
    delivers(&pieces, &[text(&"é".repeat(40))]);
}

#[test]
fn the_limit_is_that_of_the_inflated_message() {
    for data in [vec![b'a'; 4096], noise(4096, 1)] {
        let payload = compressed(&data, 0);
        assert!(payload.len() > 4096);
        for payload in [payload, compressed(&data, 9)] {
            let (first, second) = payload.split_at(payload.len() / 2);
            let whole = client_frame(FIN | RSV1 | BINARY, &payload);
            let pieces = [client_frame(RSV1 | BINARY, first), client_frame(FIN, second)];
            delivers(&[whole], &[Owned::Binary(data.clone())]);
            delivers(&pieces, &[Owned::Binary(data.clone())]);
        }
        let over = [&data[..], b"b"].concat();
        let too_big = WireError::TooBig { size: 4097, limit: 4096 };
        refuses(&[client_frame(FIN | RSV1 | BINARY, compressed(&over, 9))], too_big.clone(), 1009);
        refuses(&[client_frame(FIN | RSV1 | BINARY, compressed(&over, 0))], too_big, 1009);
    }
}

#[test]
fn compressed_bytes_are_bounded_before_they_are_kept() {
    let longest = longest_compressed(4096);
    for first in [RSV1 | TEXT, FIN | RSV1 | BINARY] {
        for size in [longest as u64 + 1, u64::MAX] {
            let declared = [header(first, size), vec![0; 4]].concat();
            refuses(&[declared], WireError::TooBig { size, limit: 4096 }, 1009);
        }
    }
    let pieces = [
        client_frame(RSV1 | BINARY, vec![0; longest]),
        [header(FIN | CONTINUATION, 1), vec![0; 4]].concat(),
    ];
    refuses(&pieces, WireError::TooBig { size: longest as u64 + 1, limit: 4096 }, 1009);

    let mut decoder = Decoder::new();
    let mut begun = client_frame(RSV1 | BINARY, vec![0; longest]);
    let mut inflater = Inflater::new();
    decoder.feed(&mut begun, &LIMITS, Some(&mut inflater), &mut |_| Flow::Continue).unwrap();
    assert_eq!(decoder.held_bytes(), longest);
    // A plain message has no such margin.
    let plain = client_frame(FIN | BINARY, vec![0; 4097]);
    refuses(&[plain], WireError::TooBig { size: 4097, limit: 4096 }, 1009);
}

#[test]
fn a_bomb_is_1009_whole_and_in_pieces() {
    let bomb = compressed(vec![0; 1 << 20], 9);
    let (first, second) = bomb.split_at(bomb.len() / 2);
    let too_big = WireError::TooBig { size: 4097, limit: 4096 };
    refuses(&[client_frame(FIN | RSV1 | TEXT, &bomb)], too_big.clone(), 1009);
    let pieces = [client_frame(RSV1 | TEXT, first), client_frame(FIN, second)];
    refuses(&pieces, too_big, 1009);
}

#[test]
fn fragments_count_whatever_they_inflate_to() {
    let piece = |first| client_frame(first, "");
    let mut frames = vec![piece(RSV1 | TEXT), piece(0), piece(0)];
    let last = client_frame(FIN, compressed("Hello", 6));
    delivers(&[&frames[..], std::slice::from_ref(&last)].concat(), &[text("Hello")]);
    frames.extend([piece(0), last]);
    refuses(&frames, WireError::TooManyFragments { limit: 4 }, 1008);
}

#[test]
fn a_whole_message_leaves_the_decoder_a_null_pointer_and_a_stop_keeps_what_is_behind() {
    let frame = |text: &str| client_frame(FIN | RSV1 | TEXT, compressed(text, 6));
    let mut decoder = Decoder::new();
    let mut inflater = Inflater::new();
    let mut seen = String::new();
    let mut one = |message: Message<'_>| {
        if let Message::Text(text) = message {
            seen.push_str(text);
        }
        Flow::Stop
    };
    let mut input = [frame("first, "), frame("second")].concat();
    assert_eq!(decoder.feed(&mut input, &LIMITS, Some(&mut inflater), &mut one), Ok(Flow::Stop));
    assert_eq!(decoder.held_bytes(), frame("second").len());
    assert_eq!(decoder.resume(&LIMITS, Some(&mut inflater), &mut one), Ok(Flow::Stop));
    assert!(decoder.partial.is_none());
    assert_eq!(decoder.resume(&LIMITS, Some(&mut inflater), &mut one), Ok(Flow::Continue));
    assert_eq!(seen, "first, second");
}
