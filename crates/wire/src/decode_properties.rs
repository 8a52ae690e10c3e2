//! What holds for every stream of bytes, and agreement with a second opinion:
//! tungstenite's own server.

use std::io::{Cursor, Read, Write};

use proptest::collection::vec;
use proptest::prelude::*;
use tungstenite::Message as TheirMessage;
use tungstenite::error::{Error, ProtocolError};
use tungstenite::protocol::{Role, WebSocket, WebSocketConfig};

use super::*;
use crate::testing::{
    BINARY, CLOSE, CONTINUATION, FIN, Outcome, Owned, PING, PONG, TEXT, client_frame_with, decode,
    decode_pieces, header,
};

const LIMITS: Limits = Limits { max_message_size: 300, max_fragments: 5 };

/// Messages in the order they are complete, and the frames they travel in.
type Sent = (Vec<Owned>, Vec<Vec<u8>>);

/// A data message of up to `max_len` bytes, cut anywhere (inside characters too),
/// with pings between its fragments.
fn data_message(max_len: usize) -> impl Strategy<Value = Sent> {
    let data = prop_oneof![
        ".{0,60}".prop_map(Owned::Text),
        vec(any::<u8>(), 0..=max_len).prop_map(Owned::Binary),
    ];
    let pings = vec((any::<bool>(), vec(any::<u8>(), 0..126)), 3);
    (data, vec(0..max_len, 0..4), pings, any::<[u8; 4]>()).prop_map(|(data, cuts, pings, key)| {
        let (opcode, bytes) = match &data {
            Owned::Text(text) => (TEXT, text.as_bytes()),
            Owned::Binary(bytes) => (BINARY, &bytes[..]),
            other => panic!("{other:?}"),
        };
        let (mut messages, mut frames) = (Vec::new(), Vec::new());
        let mut pings = pings.into_iter();
        for fragment in cut_into_frames(opcode, bytes, cuts, key) {
            if let (false, Some((true, ping))) = (frames.is_empty(), pings.next()) {
                frames.push(client_frame_with(FIN | PING, &ping, key));
                messages.push(Owned::Ping(ping));
            }
            frames.push(fragment);
        }
        messages.push(data);
        (messages, frames)
    })
}

fn message() -> impl Strategy<Value = Sent> {
    let pong = (vec(any::<u8>(), 0..126), any::<[u8; 4]>()).prop_map(|(bytes, key)| {
        let frame = client_frame_with(FIN | PONG, &bytes, key);
        (vec![Owned::Pong(bytes)], vec![frame])
    });
    prop_oneof![3 => data_message(300), 1 => pong]
}

/// What a client may come up with: mostly messages, some over the limit, now and
/// then a frame that is wrong in itself or in its place.
fn any_stream() -> impl Strategy<Value = Vec<u8>> {
    let frames = prop_oneof![
        6 => message().prop_map(|(_, frames)| frames),
        1 => data_message(400).prop_map(|(_, frames)| frames),
        1 => any_frame().prop_map(|frame| vec![frame]),
    ];
    vec(frames, 0..8).prop_map(|frames| frames.concat().concat())
}

fn cut_into_frames(opcode: u8, bytes: &[u8], mut cuts: Vec<usize>, key: [u8; 4]) -> Vec<Vec<u8>> {
    cuts.iter_mut().for_each(|cut| *cut = (*cut).min(bytes.len()));
    cuts.sort_unstable();
    let starts = std::iter::once(0).chain(cuts.iter().copied());
    let ends = cuts.iter().copied().chain([bytes.len()]);
    starts
        .zip(ends)
        .enumerate()
        .map(|(i, (start, end))| {
            let opcode = if i == 0 { opcode } else { CONTINUATION };
            let fin = if i == cuts.len() { FIN } else { 0 };
            client_frame_with(fin | opcode, &bytes[start..end], key)
        })
        .collect()
}

/// Cuts `bytes` into pieces of the given lengths, over and over.
fn pieces<'a>(mut bytes: &'a [u8], lengths: &[usize]) -> Vec<&'a [u8]> {
    let mut pieces = Vec::new();
    for length in lengths.iter().cycle() {
        if bytes.is_empty() {
            break;
        }
        let (piece, rest) = bytes.split_at((*length).min(bytes.len()));
        pieces.push(piece);
        bytes = rest;
    }
    pieces
}

/// Frames of any kind: mostly legal, in orders that mostly are not.
fn any_frame() -> impl Strategy<Value = Vec<u8>> {
    let opcode = prop_oneof![
        8 => prop::sample::select(vec![CONTINUATION, TEXT, BINARY, PING, PONG]),
        3 => Just(CLOSE),
        1 => 0..16_u8,
    ];
    let flags = prop_oneof![8 => Just(FIN), 8 => Just(0), 1 => (0..16_u8).prop_map(|f| f << 4)];
    let payload = prop_oneof![
        4 => ".{0,8}".prop_map(String::into_bytes),
        // The halves of a character, so that some text is cut inside one.
        2 => prop::sample::select(vec![b"\xe2".to_vec(), b"\x82".to_vec(), b"\xac".to_vec()]),
        1 => (0..5000_u16, ".{0,4}").prop_map(|(code, reason)| {
            [&code.to_be_bytes()[..], reason.as_bytes()].concat()
        }),
        1 => (990..1020_u16).prop_map(|code| code.to_be_bytes().to_vec()),
        1 => vec(any::<u8>(), 0..350),
    ];
    (opcode, flags, payload, any::<[u8; 4]>()).prop_map(|(opcode, flags, payload, key)| {
        // Most control frames are in one piece, or nearly every stream ends early.
        let flags = if opcode >= CLOSE && flags == 0 { FIN } else { flags };
        let mut frame = client_frame_with(flags | opcode, &payload, key);
        // No mask, seldom: the lengths then disagree, but nobody reads so far.
        if key[0] < 8 {
            frame[1] &= 0x7f;
        }
        frame
    })
}

/// A stream that holds what a client sent, then ends, and takes any answer.
struct Recorded(Cursor<Vec<u8>>);

impl Read for Recorded {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Write for Recorded {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// What tungstenite makes of the bytes: its messages, and whether it refused.
fn their_opinion(bytes: &[u8], limits: &Limits) -> (Vec<Owned>, bool) {
    let config = WebSocketConfig::default()
        .max_message_size(Some(limits.max_message_size))
        .max_frame_size(Some(limits.max_message_size.max(125)));
    let stream = Recorded(Cursor::new(bytes.to_vec()));
    let mut socket = WebSocket::from_raw_socket(stream, Role::Server, Some(config));
    let mut messages = Vec::new();
    loop {
        match socket.read() {
            Ok(TheirMessage::Text(text)) => messages.push(Owned::Text(text.to_string())),
            Ok(TheirMessage::Binary(bytes)) => messages.push(Owned::Binary(bytes.to_vec())),
            Ok(TheirMessage::Ping(bytes)) => messages.push(Owned::Ping(bytes.to_vec())),
            Ok(TheirMessage::Pong(bytes)) => messages.push(Owned::Pong(bytes.to_vec())),
            Ok(TheirMessage::Close(frame)) => messages.push(Owned::Close(
                frame.map(|frame| (frame.code.into(), frame.reason.to_string())),
            )),
            Ok(other) => panic!("{other:?}"),
            // The end of the recording, and the end after a close frame.
            Err(Error::Protocol(ProtocolError::ResetWithoutClosingHandshake))
            | Err(Error::ConnectionClosed) => return (messages, false),
            Err(_) => return (messages, true),
        }
    }
}

/// Their verdict in our words, where the two are meant to differ.
///
/// - They deliver a forbidden close code as 1002 "Protocol violation"; we refuse it.
/// - They think 1014 forbidden; it has been registered since (bad gateway).
fn in_our_words(ours: &Outcome, mut theirs: (Vec<Owned>, bool)) -> (Vec<Owned>, bool) {
    let replaced = Owned::Close(Some((1002, "Protocol violation".to_owned())));
    if theirs.0.last() == Some(&replaced) {
        theirs.0.pop();
        match (&ours.error, ours.messages.last()) {
            (Some(WireError::BadCloseCode(_)), _) => theirs.1 = true,
            (None, Some(Owned::Close(Some((1014, reason))))) => {
                theirs.0.push(Owned::Close(Some((1014, reason.clone()))));
            }
            _ => theirs.0.push(replaced),
        }
    }
    theirs
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn messages_come_out_as_they_went_in_wherever_the_stream_is_cut(
        messages in vec(message(), 0..6),
        lengths in vec(1..200_usize, 1..8),
    ) {
        let (messages, frames): (Vec<_>, Vec<_>) = messages.into_iter().unzip();
        let (messages, bytes) = (messages.concat(), frames.concat().concat());
        let expected = Outcome { messages, error: None, idle: true };
        prop_assert_eq!(&decode(&bytes, &LIMITS), &expected);
        prop_assert_eq!(&decode_pieces(pieces(&bytes, &lengths), &LIMITS), &expected);
    }

    #[test]
    fn any_frames_come_to_the_same_in_any_pieces(
        bytes in any_stream(),
        lengths in vec(1..50_usize, 1..8),
    ) {
        let whole = decode(&bytes, &LIMITS);
        prop_assert_eq!(&decode_pieces(pieces(&bytes, &lengths), &LIMITS), &whole);
        prop_assert_eq!(&decode_pieces(bytes.chunks(1), &LIMITS), &whole);
    }

    #[test]
    fn stopping_anywhere_changes_nothing_but_the_time(
        bytes in any_stream(),
        lengths in vec(1..100_usize, 1..8),
        stops in vec(any::<bool>(), 1..8),
    ) {
        let whole = decode(&bytes, &LIMITS);
        let mut messages = Vec::new();
        let mut stops = stops.into_iter().cycle();
        let mut on_message = |message: Message<'_>| {
            messages.push(message.into());
            if stops.next() == Some(true) { Flow::Stop } else { Flow::Continue }
        };
        let mut decoder = Decoder::new();
        let mut error = None;
        for piece in pieces(&bytes, &lengths) {
            let mut result = decoder.feed(&mut piece.to_vec(), &LIMITS, None, &mut on_message);
            while result == Ok(Flow::Stop) {
                result = decoder.resume(&LIMITS, None, &mut on_message);
            }
            error = error.or(result.err());
        }
        let idle = decoder.is_idle();
        prop_assert_eq!(Outcome { messages, error, idle }, whole);
    }

    #[test]
    fn garbage_never_panics_and_holds_little(
        mut bytes in any_stream(),
        declared_len in 0..5000_u64,
        garbage in vec(any::<u8>(), 0..1000),
        spoilt in vec((any::<prop::sample::Index>(), any::<u8>()), 0..3),
        lengths in vec(1..400_usize, 1..8),
        stops in vec(any::<bool>(), 1..8),
    ) {
        bytes.extend(header(FIN | BINARY, declared_len));
        bytes.extend(garbage);
        for (index, byte) in spoilt {
            let index = index.index(bytes.len());
            bytes[index] = byte;
        }
        let mut stops = stops.into_iter().cycle();
        let mut decoder = Decoder::new();
        let mut on_message = |_: Message<'_>| {
            if stops.next() == Some(true) { Flow::Stop } else { Flow::Continue }
        };
        for piece in pieces(&bytes, &lengths) {
            let mut result = decoder.feed(&mut piece.to_vec(), &LIMITS, None, &mut on_message);
            // A control frame may be incomplete while a message is nearly full.
            let bound = LIMITS.max_message_size + 125 + 14;
            prop_assert!(decoder.held_bytes() <= bound + piece.len());
            while result == Ok(Flow::Stop) {
                result = decoder.resume(&LIMITS, None, &mut on_message);
            }
            prop_assert!(decoder.held_bytes() <= bound);
        }
    }

    #[test]
    fn tungstenite_agrees(bytes in any_stream()) {
        // They know no limit of fragments.
        let limits = Limits { max_fragments: u32::MAX, ..LIMITS };
        let ours = decode(&bytes, &limits);
        let theirs = in_our_words(&ours, their_opinion(&bytes, &limits));
        prop_assert_eq!((ours.messages, ours.error.is_some()), theirs);
    }
}
