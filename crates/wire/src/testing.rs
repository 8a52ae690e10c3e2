//! A client for the tests: it makes frames, and collects what the decoder says.
//!
//! It masks byte by byte and writes lengths by hand, so that it shares no code
//! with what it tests.

use flate2::{Compress, Compression, FlushCompress};

use crate::{Decoder, Flow, Inflater, Limits, Message, WireError};

pub(crate) const FIN: u8 = 0x80;
pub(crate) const RSV1: u8 = 0x40;
pub(crate) const CONTINUATION: u8 = 0;
pub(crate) const TEXT: u8 = 1;
pub(crate) const BINARY: u8 = 2;
pub(crate) const CLOSE: u8 = 8;
pub(crate) const PING: u8 = 9;
pub(crate) const PONG: u8 = 10;
pub(crate) const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// A masked frame; `first` is its first byte: FIN, reserved bits and opcode.
pub(crate) fn client_frame_with(first: u8, payload: &[u8], key: [u8; 4]) -> Vec<u8> {
    let mut frame = header(first, payload.len() as u64);
    frame.extend(key);
    frame.extend(payload.iter().enumerate().map(|(i, byte)| byte ^ key[i % 4]));
    frame
}

pub(crate) fn client_frame(first: u8, payload: impl AsRef<[u8]>) -> Vec<u8> {
    client_frame_with(first, payload.as_ref(), KEY)
}

/// A stream of the blocks that zlib makes of `data`.
pub(crate) fn deflated(data: &[u8], level: u32, flush: FlushCompress) -> Vec<u8> {
    let mut stream = Compress::new(Compression::new(level), false);
    let mut output = Vec::with_capacity(data.len() + data.len() / 8 + 1000);
    stream.compress_vec(data, &mut output, flush).unwrap();
    assert_eq!(stream.total_in(), data.len() as u64);
    output
}

/// `data` as a client compresses a message.
pub(crate) fn compressed(data: impl AsRef<[u8]>, level: u32) -> Vec<u8> {
    let output = deflated(data.as_ref(), level, FlushCompress::Sync);
    output.strip_suffix(b"\x00\x00\xff\xff").unwrap().to_vec()
}

/// Bytes in which nothing comes again.
pub(crate) fn noise(len: usize, seed: u64) -> Vec<u8> {
    let mut state = seed | 1;
    let next = || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    std::iter::repeat_with(next).take(len).collect()
}

/// A header with the mask bit and no key, in as few bytes as possible.
pub(crate) fn header(first: u8, len: u64) -> Vec<u8> {
    let bytes = len.to_be_bytes();
    match len {
        0..126 => vec![first, 0x80 | bytes[7]],
        126..65536 => vec![first, 0x80 | 126, bytes[6], bytes[7]],
        _ => [&[first, 0x80 | 127][..], &bytes].concat(),
    }
}

/// A message that outlives the call it came in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Owned {
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(Option<(u16, String)>),
}

impl From<Message<'_>> for Owned {
    fn from(message: Message<'_>) -> Self {
        match message {
            Message::Text(text) => Self::Text(text.to_owned()),
            Message::Binary(bytes) => Self::Binary(bytes.to_owned()),
            Message::Ping(bytes) => Self::Ping(bytes.to_owned()),
            Message::Pong(bytes) => Self::Pong(bytes.to_owned()),
            Message::Close(close) => {
                Self::Close(close.map(|(code, reason)| (code, reason.to_owned())))
            }
        }
    }
}

pub(crate) fn text(text: &str) -> Owned {
    Owned::Text(text.to_owned())
}

/// What a stream of bytes came to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) messages: Vec<Owned>,
    pub(crate) error: Option<WireError>,
    pub(crate) idle: bool,
}

/// Feeds `pieces` one after the other to a new decoder.
pub(crate) fn decode_pieces<'a>(
    pieces: impl IntoIterator<Item = &'a [u8]>,
    limits: &Limits,
) -> Outcome {
    decode_pieces_with(pieces, limits, None)
}

/// The same; with an inflater, compression was agreed on.
pub(crate) fn decode_pieces_with<'a>(
    pieces: impl IntoIterator<Item = &'a [u8]>,
    limits: &Limits,
    mut inflater: Option<&mut Inflater>,
) -> Outcome {
    let mut decoder = Decoder::new();
    let mut messages = Vec::new();
    let mut error = None;
    for piece in pieces {
        let result =
            decoder.feed(&mut piece.to_vec(), limits, inflater.as_deref_mut(), &mut |message| {
                messages.push(message.into());
                Flow::Continue
            });
        error = error.or(result.err());
    }
    Outcome { messages, error, idle: decoder.is_idle() }
}

pub(crate) fn decode(bytes: &[u8], limits: &Limits) -> Outcome {
    decode_pieces([bytes], limits)
}
