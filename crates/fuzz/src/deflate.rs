//! Offers of compression, what we compress, and what a client claims to have
//! compressed.
//!
//! An input is a control byte, the length of the offers, the offers with a line for
//! each header, and the data: bits 0 to 3 choose the level and bit 4 a limit.

use redcast_inflate::{Refusal, inflate};
use redcast_wire::{
    Decoder, Deflater, Flow, Inflater, Limits, Message, Window, WireError, negotiate,
};

use crate::frames::{self, BINARY, FIN, RSV1};

/// The limits that an input can choose, bytes.
const MAX_MESSAGE_SIZES: [usize; 2] = [300, 64 << 10];
/// A server frame's payload begins here, by the length in its second byte.
const SHORT_HEADER: usize = 2;

/// The longest payload that the gateway takes for a message of `limit` bytes.
pub(crate) fn longest_compressed(limit: usize) -> usize {
    limit.saturating_add(limit / 4).saturating_add(64)
}

/// The body of the target `deflate`.
pub fn run(data: &[u8]) {
    let [control, length, rest @ ..] = data else { return };
    let (offers, data) = rest.split_at(rest.len().min(usize::from(*length)));
    check_offers(offers);
    check_round_trip(u32::from(control & 0xf), data);
    check_stream(data, MAX_MESSAGE_SIZES[usize::from(control >> 4 & 1)]);
}

/// Whatever is agreed on was offered.
fn check_offers(offers: &[u8]) {
    let Ok(offers) = std::str::from_utf8(offers) else { return };
    let Some(agreement) = negotiate(offers.lines()) else { return };
    assert!(offers.contains("permessage-deflate"), "nothing was offered");
    assert!(agreement.answer().starts_with("permessage-deflate; server_no_context_takeover; "));
    let named = agreement.answer().split_once("server_max_window_bits=");
    match named {
        Some((_, bits)) => {
            assert!(offers.contains("server_max_window_bits"), "nobody asked for a window");
            assert_eq!(bits, agreement.window.bits().to_string());
        }
        None => assert_eq!(agreement.window, Window::Wide),
    }
}

/// What the deflater makes of `data` is read back, by us and by a plain reader, and
/// refers no farther back than was promised.
pub fn check_round_trip(level: u32, data: &[u8]) {
    let mut deflater = Deflater::new(level);
    // Each twice: the second must not know the first.
    let frames = [(); 2].map(|()| Window::ALL.map(|window| deflater.binary_frame(data, window)));
    assert_eq!(frames[0], frames[1], "level {level}: not the same again");
    for (window, frame) in Window::ALL.into_iter().zip(&frames[0]) {
        let Some(frame) = frame else { continue };
        let payload = server_payload(frame);
        assert!(payload.len() < data.len(), "level {level}: no shorter than it was");
        let plain = inflate(payload, data.len());
        let farthest = plain.as_ref().map_or(0, |plain| plain.farthest);
        let is_same = plain.is_ok_and(|plain| plain.is_exact && plain.bytes == data);
        assert!(is_same, "level {level}, {window:?}: not what was compressed");
        let size = match window {
            Window::Narrow => 512,
            Window::Wide => 32 << 10,
        };
        assert!(farthest <= size, "level {level}: {farthest} bytes back, of {size}");
        assert_eq!(read(payload, data.len()).as_deref(), Ok(data));
    }
}

/// What a client sends as compressed is read as the plain reader does, or refused.
fn check_stream(payload: &[u8], limit: usize) {
    let ours = read(payload, limit);
    if payload.len() > longest_compressed(limit) {
        let size = payload.len() as u64;
        assert_eq!(ours, Err(WireError::TooBig { size, limit }), "it was to be refused unread");
        return;
    }
    match inflate(payload, limit) {
        Ok(plain) => assert_eq!(ours, Ok(plain.bytes)),
        Err(Refusal::NotDeflate) => assert_eq!(ours, Err(WireError::NotDeflate)),
        // Too much and then rubbish may be refused for either.
        Err(Refusal::TooLong) => assert!(
            matches!(ours, Err(WireError::TooBig { .. } | WireError::NotDeflate)),
            "{} bytes passed a limit of {limit}",
            ours.map_or(0, |bytes| bytes.len())
        ),
    }
}

/// Feeds a compressed message to a decoder.
fn read(payload: &[u8], max_message_size: usize) -> Result<Vec<u8>, WireError> {
    let limits = Limits { max_message_size, ..Limits::default() };
    let mut message = Vec::new();
    let mut frame = frames::frame(FIN | RSV1 | BINARY, payload, [0; 4]);
    let mut inflater = Inflater::new();
    Decoder::new().feed(&mut frame, &limits, Some(&mut inflater), &mut |heard| {
        if let Message::Binary(bytes) = heard {
            message.extend_from_slice(bytes);
        }
        Flow::Continue
    })?;
    Ok(message)
}

fn server_payload(frame: &[u8]) -> &[u8] {
    assert_eq!(frame[0], FIN | RSV1 | BINARY);
    match frame[1] {
        126 => &frame[SHORT_HEADER + 2..],
        127 => &frame[SHORT_HEADER + 8..],
        _ => &frame[SHORT_HEADER..],
    }
}
