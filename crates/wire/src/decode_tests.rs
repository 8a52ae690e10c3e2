//! The rules of the protocol, each with the code that answers its breach.

use super::*;
use crate::testing::{
    BINARY, CLOSE, CONTINUATION, FIN, KEY, Outcome, Owned, PING, PONG, TEXT, client_frame, decode,
    decode_pieces, header, text,
};
use std::time::{Duration, Instant};

const LIMITS: Limits = Limits { max_message_size: 4096, max_fragments: 4 };

/// Decodes `frames` whole and byte by byte, which must come to the same.
#[track_caller]
fn outcome(frames: &[Vec<u8>]) -> Outcome {
    let bytes = frames.concat();
    let whole = decode(&bytes, &LIMITS);
    assert_eq!(decode_pieces(bytes.chunks(1), &LIMITS), whole, "byte by byte");
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
    let mut surrounded = vec![client_frame(FIN | TEXT, "before")];
    surrounded.extend_from_slice(frames);
    surrounded.push(client_frame(FIN | TEXT, "behind"));
    let expected = Outcome { messages: vec![text("before")], error: Some(error), idle: true };
    assert_eq!(outcome(&surrounded), expected);
}

#[test]
fn the_examples_of_the_rfc() {
    let hello = b"\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58";
    delivers(&[[b"\x81", &hello[..]].concat()], &[text("Hello")]);
    delivers(&[[b"\x8a", &hello[..]].concat()], &[Owned::Pong(b"Hello".to_vec())]);
    delivers(&[[b"\x89", &hello[..]].concat()], &[Owned::Ping(b"Hello".to_vec())]);
    delivers(&[client_frame(TEXT, "Hel"), client_frame(FIN, "lo")], &[text("Hello")]);
    let bytes = vec![9; 256];
    delivers(&[client_frame(FIN | BINARY, &bytes)], &[Owned::Binary(bytes)]);
    for unmasked in [&b"\x81\x05Hello"[..], b"\x01\x03Hel", b"\x89\x05Hello"] {
        refuses(&[unmasked.to_vec()], WireError::Unmasked, 1002);
    }
}

#[test]
fn a_message_of_64_kib_has_a_long_length() {
    let limits = Limits { max_message_size: 65536, ..LIMITS };
    let bytes = vec![9; 65536];
    let outcome = decode(&client_frame(FIN | BINARY, &bytes), &limits);
    assert_eq!((outcome.messages, outcome.error), (vec![Owned::Binary(bytes)], None));
}

#[test]
fn what_one_header_forbids_is_1002() {
    refuses(&[client_frame(FIN | 0x40 | TEXT, "")], WireError::ReservedBit, 1002);
    refuses(&[client_frame(FIN | 3, "")], WireError::ReservedOpcode(3), 1002);
    refuses(&[client_frame(FIN | 11, "")], WireError::ReservedOpcode(11), 1002);
    refuses(&[client_frame(PING, "")], WireError::FragmentedControl, 1002);
    refuses(&[client_frame(FIN | PING, [1; 126])], WireError::ControlTooLong(126), 1002);
    let long_zero = [&[FIN | TEXT, 0xfe, 0, 0][..], &KEY].concat();
    refuses(&[long_zero], WireError::LengthNotMinimal, 1002);
}

#[test]
fn empty_messages_are_messages() {
    let empty = |opcode| client_frame(FIN | opcode, "");
    let expected = [
        text(""),
        Owned::Binary(vec![]),
        Owned::Ping(vec![]),
        Owned::Pong(vec![]),
        Owned::Close(None),
    ];
    delivers(&[TEXT, BINARY, PING, PONG, CLOSE].map(empty), &expected);
    delivers(&[client_frame(BINARY, ""), client_frame(FIN, "")], &[Owned::Binary(vec![])]);
}

#[test]
fn control_frames_may_come_between_fragments() {
    delivers(
        &[
            client_frame(TEXT, "a"),
            client_frame(FIN | PING, "p"),
            client_frame(CONTINUATION, "b"),
            client_frame(FIN | PONG, "q"),
            client_frame(FIN | CONTINUATION, "c"),
            client_frame(FIN | BINARY, "d"),
        ],
        &[
            Owned::Ping(b"p".to_vec()),
            Owned::Pong(b"q".to_vec()),
            text("abc"),
            Owned::Binary(b"d".to_vec()),
        ],
    );
}

#[test]
fn fragments_out_of_order_are_1002() {
    for first in [CONTINUATION, FIN | CONTINUATION] {
        refuses(&[client_frame(first, "a")], WireError::UnexpectedContinuation, 1002);
        let after = [client_frame(TEXT, "a"), client_frame(FIN, "b"), client_frame(first, "c")];
        let outcome = outcome(&after);
        assert_eq!(outcome.messages, [text("ab")]);
        assert_eq!(outcome.error, Some(WireError::UnexpectedContinuation));
    }
    for second in [TEXT, FIN | TEXT, BINARY, FIN | BINARY] {
        let frames = [client_frame(TEXT, "a"), client_frame(second, "b")];
        refuses(&frames, WireError::InterruptedMessage, 1002);
    }
}

#[test]
fn a_message_over_the_limit_is_1009() {
    let exact = "a".repeat(4096);
    delivers(&[client_frame(FIN | TEXT, &exact)], &[text(&exact)]);
    delivers(
        &[client_frame(TEXT, &exact[..4000]), client_frame(FIN, &exact[..96])],
        &[text(&exact)],
    );
    let too_big = |size| WireError::TooBig { size, limit: 4096 };
    refuses(&[client_frame(FIN | TEXT, [b'a'; 4097])], too_big(4097), 1009);
    refuses(&[client_frame(BINARY, [b'a'; 4097])], too_big(4097), 1009);
    let summed = [client_frame(BINARY, [1; 4000]), client_frame(FIN, [1; 97])];
    refuses(&summed, too_big(4097), 1009);
}

#[test]
fn a_declared_length_is_refused_before_a_byte_of_it_is_kept() {
    for len in [4097, 1 << 32, (1 << 63) - 1, 1 << 63, u64::MAX] {
        let mut decoder = Decoder::new();
        let mut bytes = [header(FIN | BINARY, len), KEY.to_vec()].concat();
        let result = decoder.feed(&mut bytes, &LIMITS, None, &mut |_| Flow::Continue);
        assert_eq!(result, Err(WireError::TooBig { size: len, limit: 4096 }));
        assert_eq!((decoder.is_idle(), decoder.held_bytes()), (true, 0));
    }
}

#[test]
fn a_declared_length_and_the_fragments_before_it_never_overflow() {
    let frames = [client_frame(BINARY, [1; 9]), [header(FIN, u64::MAX), KEY.to_vec()].concat()];
    refuses(&frames, WireError::TooBig { size: u64::MAX, limit: 4096 }, 1009);
}

#[test]
fn a_declared_length_reserves_nothing() {
    let limits = Limits { max_message_size: usize::MAX, ..LIMITS };
    let mut decoder = Decoder::new();
    let mut bytes = [header(FIN | BINARY, u64::MAX), KEY.to_vec(), vec![1; 100]].concat();
    let result = decoder.feed(&mut bytes, &limits, None, &mut |_| Flow::Continue);
    assert_eq!((result, decoder.held_bytes()), (Ok(Flow::Continue), 114));
    assert!(decoder.partial.unwrap().unread.capacity() < 1024);
}

#[test]
fn at_most_one_message_and_one_control_frame_are_held() {
    let mut decoder = Decoder::new();
    let almost_ping = &client_frame(FIN | PING, [1; 125])[..130];
    let mut bytes = [&client_frame(BINARY, [1; 4096]), almost_ping].concat();
    decoder.feed(&mut bytes, &LIMITS, None, &mut |_| Flow::Continue).unwrap();
    assert_eq!(decoder.held_bytes(), 4096 + 130);
}

#[test]
fn more_fragments_than_allowed_are_1008_even_if_they_are_empty() {
    let empty = client_frame(CONTINUATION, "");
    let error = WireError::TooManyFragments { limit: 4 };
    let start = client_frame(TEXT, "");
    let last = client_frame(FIN, "end");
    let four = [start.clone(), empty.clone(), empty.clone(), last.clone()];
    delivers(&four, &[text("end")]);
    let five = [start.clone(), empty.clone(), empty.clone(), empty, last];
    refuses(&five, error, 1008);
    // The count begins again with each message, and control frames do not count.
    let ping = client_frame(FIN | PING, "");
    let pings = [start, ping.clone(), ping.clone(), ping.clone(), ping, client_frame(FIN, "x")];
    let outcome = outcome(&[four.concat(), pings.concat()]);
    assert_eq!((outcome.messages.len(), outcome.error), (6, None));
    // Without any fragment allowed, whole messages still pass.
    let none = Limits { max_fragments: 0, ..LIMITS };
    assert_eq!(decode(&client_frame(FIN | TEXT, "a"), &none).error, None);
    let error = WireError::TooManyFragments { limit: 0 };
    assert_eq!(decode(&client_frame(TEXT, "a"), &none).error, Some(error));
}

#[test]
fn text_that_is_not_utf8_is_1007() {
    refuses(&[client_frame(FIN | TEXT, b"\xff")], WireError::InvalidUtf8, 1007);
    refuses(&[client_frame(FIN | TEXT, b"a\xe2\x82")], WireError::InvalidUtf8, 1007);
    // Already the first fragment fails: the message never ends.
    refuses(&[client_frame(TEXT, b"a\xc0")], WireError::InvalidUtf8, 1007);
    let cut = [client_frame(TEXT, b"\xed"), client_frame(CONTINUATION, b"\xa0")];
    refuses(&cut, WireError::InvalidUtf8, 1007);
    let unfinished = [client_frame(TEXT, b"\xe2"), client_frame(FIN, b"\x82")];
    refuses(&unfinished, WireError::InvalidUtf8, 1007);
    let three = [client_frame(TEXT, b"\xe2"), client_frame(0, b"\x82"), client_frame(FIN, b"\xac")];
    delivers(&three, &[text("€")]);
    delivers(&[client_frame(FIN | BINARY, b"\xff")], &[Owned::Binary(vec![0xff])]);
}

#[test]
fn a_close_frame_is_judged() {
    let close = |payload: &[u8]| client_frame(FIN | CLOSE, payload);
    refuses(&[close(b"\x03")], WireError::HalfCloseCode, 1002);
    refuses(&[close(b"\x03\xed")], WireError::BadCloseCode(1005), 1002);
    refuses(&[close(b"\x03\xe8\xff")], WireError::InvalidUtf8, 1007);
    delivers(&[close(b"\x03\xe8bye")], &[Owned::Close(Some((1000, "bye".into())))]);
}

#[test]
fn nothing_is_decoded_after_a_close_frame() {
    let close = client_frame(FIN | CLOSE, "");
    let text = client_frame(FIN | TEXT, "late");
    delivers(&[close.clone(), text.clone(), b"\x00".to_vec()], &[Owned::Close(None)]);
    // Inside a message too: what had come of it is dropped.
    delivers(&[client_frame(TEXT, "a"), close.clone(), text.clone()], &[Owned::Close(None)]);
    // And if the reader stops at it: there is nothing to resume.
    for piece_len in [1, 7, 100] {
        let mut decoder = Decoder::new();
        let mut count = 0;
        for piece in [close.clone(), text.clone()].concat().chunks_mut(piece_len) {
            let mut stop = |_: Message<'_>| {
                count += 1;
                Flow::Stop
            };
            decoder.feed(piece, &LIMITS, None, &mut stop).unwrap();
            assert_eq!(decoder.resume(&LIMITS, None, &mut stop), Ok(Flow::Continue));
        }
        assert_eq!((count, decoder.held_bytes(), decoder.is_idle()), (1, 0, true));
    }
}

#[test]
fn an_idle_decoder_is_a_null_pointer() {
    assert_eq!(size_of::<Decoder>(), 8);
    let mut decoder = Decoder::new();
    assert!(decoder.is_idle());
    let mut go_on = |_: Message<'_>| Flow::Continue;
    let frames = [client_frame(BINARY, "a"), client_frame(FIN, "b")].concat();
    for (i, piece) in frames.chunks(1).enumerate() {
        decoder.feed(&mut piece.to_vec(), &LIMITS, None, &mut go_on).unwrap();
        let is_last = i + 1 == frames.len();
        assert_eq!((decoder.is_idle(), decoder.partial.is_none()), (is_last, is_last), "{i}");
    }
    // Between two fragments no byte is unread, and yet something is held.
    decoder.feed(&mut client_frame(BINARY, ""), &LIMITS, None, &mut go_on).unwrap();
    assert!(!decoder.is_idle());
}

#[test]
fn a_whole_message_is_borrowed_from_the_input() {
    let mut input = [client_frame(FIN | TEXT, "one"), client_frame(FIN | BINARY, "two")].concat();
    let memory = input.as_ptr_range();
    let mut seen = 0;
    let mut on_message = |message: Message<'_>| {
        let bytes = match message {
            Message::Text(text) => text.as_bytes(),
            Message::Binary(bytes) => bytes,
            other => panic!("{other:?}"),
        };
        assert!(memory.contains(&bytes.as_ptr()));
        seen += 1;
        Flow::Continue
    };
    Decoder::new().feed(&mut input, &LIMITS, None, &mut on_message).unwrap();
    assert_eq!(seen, 2);
}

#[test]
fn only_the_incomplete_frame_is_copied_not_the_one_behind_it() {
    for cut in 1..100 {
        let mut bytes =
            [client_frame(FIN | TEXT, "a".repeat(94)), client_frame(FIN | TEXT, "two")].concat();
        let (first, second) = bytes.split_at_mut(cut);
        let memory = second.as_ptr_range();
        let mut borrowed = Vec::new();
        let mut on_message = |message: Message<'_>| {
            let Message::Text(text) = message else { panic!("{message:?}") };
            borrowed.push(memory.contains(&text.as_ptr()));
            Flow::Continue
        };
        let mut decoder = Decoder::new();
        decoder.feed(first, &LIMITS, None, &mut on_message).unwrap();
        assert_eq!(decoder.held_bytes(), cut);
        decoder.feed(second, &LIMITS, None, &mut on_message).unwrap();
        assert_eq!(borrowed, [false, true], "cut at {cut}");
        assert!(decoder.is_idle());
    }
}

#[test]
fn a_stop_keeps_the_rest_and_a_resume_goes_on() {
    let mut input: Vec<u8> =
        ["a", "b", "c"].iter().flat_map(|text| client_frame(FIN | TEXT, text)).collect();
    input.extend(&client_frame(FIN | TEXT, "d")[..3]);
    let mut seen = String::new();
    let mut one = |message: Message<'_>| {
        let Message::Text(text) = message else { panic!("{message:?}") };
        seen.push_str(text);
        Flow::Stop
    };
    let mut decoder = Decoder::new();
    assert_eq!(decoder.feed(&mut input, &LIMITS, None, &mut one), Ok(Flow::Stop));
    assert_eq!((decoder.held_bytes(), decoder.is_idle()), (17, false));
    assert_eq!(decoder.resume(&LIMITS, None, &mut one), Ok(Flow::Stop));
    // More input before the next resume goes behind what is kept.
    let mut rest = client_frame(FIN | TEXT, "d")[3..].to_vec();
    assert_eq!(decoder.feed(&mut rest, &LIMITS, None, &mut one), Ok(Flow::Stop));
    assert_eq!(decoder.held_bytes(), 7);
    assert_eq!(decoder.resume(&LIMITS, None, &mut one), Ok(Flow::Stop));
    assert!(decoder.is_idle() && decoder.partial.is_none());
    assert_eq!(decoder.resume(&LIMITS, None, &mut one), Ok(Flow::Continue));
    assert_eq!(seen, "abcd");
}

#[test]
fn an_error_frees_everything_and_is_final() {
    let mut decoder = Decoder::new();
    let mut never = |message: Message<'_>| panic!("{message:?}");
    decoder.feed(&mut client_frame(TEXT, "a"), &LIMITS, None, &mut never).unwrap();
    assert!(decoder.feed(&mut client_frame(TEXT, "b"), &LIMITS, None, &mut never).is_err());
    assert_eq!((decoder.is_idle(), decoder.held_bytes()), (true, 0));
    let mut more = client_frame(FIN | TEXT, "c");
    assert_eq!(decoder.feed(&mut more, &LIMITS, None, &mut never), Ok(Flow::Continue));
    assert_eq!(decoder.held_bytes(), 0);
}

/// Feeds `bytes` in pieces, resuming after a stop at each message.
///
/// The bound on time is a hundred times what linear work takes; work that grows
/// with the square of the input takes minutes.
#[track_caller]
fn is_linear(bytes: &[u8], piece_len: usize, limits: &Limits, messages: usize) {
    let begun = Instant::now();
    let mut decoder = Decoder::new();
    let mut count = 0;
    for piece in bytes.to_vec().chunks_mut(piece_len) {
        let mut stop = |_: Message<'_>| {
            count += 1;
            Flow::Stop
        };
        let mut flow = decoder.feed(piece, limits, None, &mut stop).unwrap();
        while flow == Flow::Stop {
            flow = decoder.resume(limits, None, &mut stop).unwrap();
        }
        assert!(begun.elapsed() < Duration::from_secs(10), "not linear");
    }
    assert_eq!((count, decoder.is_idle()), (messages, true));
}

#[test]
fn large_messages_in_small_pieces_cost_linear_time() {
    let limits = Limits { max_message_size: 16 << 20, max_fragments: u32::MAX };
    let large = client_frame(FIN | BINARY, vec![7; 16 << 20]);
    is_linear(&large, 64 << 10, &limits, 1);
    is_linear(&large, 256, &limits, 1);
    let halves = [client_frame(BINARY, vec![7; 8 << 20]), client_frame(FIN, vec![7; 8 << 20])];
    is_linear(&halves.concat(), 256, &limits, 1);
}

#[test]
fn many_small_frames_cost_linear_time() {
    let limits = Limits { max_message_size: 16 << 20, max_fragments: u32::MAX };
    let continuation = client_frame(CONTINUATION, "é".repeat(8));
    let text = [client_frame(TEXT, ""), continuation.repeat(1 << 16), client_frame(FIN, "")];
    is_linear(&text.concat(), 64 << 10, &limits, 1);
    // One message at a time out of a large unread rest.
    is_linear(&client_frame(FIN | PING, "").repeat(1 << 19), 4 << 20, &limits, 1 << 19);
}
