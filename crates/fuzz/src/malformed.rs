//! Legal streams with one broken frame in them, and the close code it deserves.
//!
//! Everything comes from a seed, so that a failure can be had again.

use fastrand::Rng;
use redcast_wire::Limits;

use crate::frames::{self, BINARY, CLOSE, CONTINUATION, FIN, PING, PONG, TEXT, header};

/// The limits that the streams are made for.
pub const LIMITS: Limits = Limits { max_message_size: 300, max_fragments: 5 };

/// A stream with one broken frame.
#[derive(Debug)]
pub struct Malformed {
    /// What a client would send.
    pub stream: Vec<u8>,
    /// The close code that answers it; `None` where the break may come to nothing.
    pub close_code: Option<u16>,
}

/// Legal frames that end inside no message.
type Frames = Vec<u8>;
/// Makes the broken part.
type Break = fn(&mut Rng) -> Vec<u8>;

/// Every way to break a frame, and the code that answers it.
const BREAKS: [(Break, Option<u16>); 24] = [
    (unmasked, Some(1002)),
    (mask_bit_forgotten, Some(1002)),
    (reserved_bit, Some(1002)),
    (reserved_opcode, Some(1002)),
    (two_byte_length_too_wide, Some(1002)),
    (eight_byte_length_too_wide, Some(1002)),
    (control_in_pieces, Some(1002)),
    (control_too_long, Some(1002)),
    (continuation_of_nothing, Some(1002)),
    (message_inside_a_message, Some(1002)),
    (forbidden_close_code, Some(1002)),
    (half_a_close_code, Some(1002)),
    (close_broken_between_fragments, Some(1002)),
    (text_not_utf8, Some(1007)),
    (fragment_not_utf8, Some(1007)),
    (character_never_ended, Some(1007)),
    (close_reason_not_utf8, Some(1007)),
    (too_many_fragments, Some(1008)),
    (length_over_the_limit, Some(1009)),
    (huge_length, Some(1009)),
    (fragments_over_the_limit, Some(1009)),
    (cut_short, None),
    (bytes_changed, None),
    (garbage, None),
];

/// The stream of this seed.
pub fn stream(seed: u64) -> Malformed {
    let mut rng = Rng::with_seed(seed);
    let (break_frame, close_code) = BREAKS[rng.usize(..BREAKS.len())];
    let mut stream = Vec::new();
    for _ in 0..rng.usize(..3) {
        stream.extend(legal(&mut rng));
    }
    stream.extend(break_frame(&mut rng));
    for _ in 0..rng.usize(..2) {
        stream.extend(legal(&mut rng));
    }
    Malformed { stream, close_code }
}

/// One whole message, perhaps in pieces with a ping between them.
fn legal(rng: &mut Rng) -> Frames {
    match rng.u8(..5) {
        0 => frame(rng, FIN | PING, 125),
        1 => frame(rng, FIN | PONG, 125),
        2 => frame(rng, FIN | BINARY, 300),
        3 => masked(rng, FIN | TEXT, "grüße, 世界".as_bytes()),
        _ => {
            let mut frames = masked(rng, TEXT, b"gr\xc3");
            frames.extend(frame(rng, FIN | PING, 125));
            frames.extend(masked(rng, FIN | CONTINUATION, b"\xbc\xc3\x9fe"));
            frames
        }
    }
}

/// A frame of up to `max` random bytes.
fn frame(rng: &mut Rng, first: u8, max: usize) -> Vec<u8> {
    let payload = bytes(rng, 0, max);
    masked(rng, first, &payload)
}

fn masked(rng: &mut Rng, first: u8, payload: &[u8]) -> Vec<u8> {
    let key = rng.u32(..).to_be_bytes();
    frames::frame(first, payload, key)
}

fn bytes(rng: &mut Rng, min: usize, max: usize) -> Vec<u8> {
    let len = rng.usize(min..=max);
    std::iter::repeat_with(|| rng.u8(..)).take(len).collect()
}

/// A header as it is before the key, then a random key.
fn keyed(rng: &mut Rng, header: &[u8]) -> Vec<u8> {
    [header, &rng.u32(..).to_be_bytes()].concat()
}

fn one_of(rng: &mut Rng, choices: &[u8]) -> u8 {
    choices[rng.usize(..choices.len())]
}

fn unmasked(rng: &mut Rng) -> Vec<u8> {
    let payload = bytes(rng, 0, 125);
    let first = FIN | one_of(rng, &[TEXT, BINARY, PING, PONG, CLOSE]);
    [&[first, payload.len() as u8][..], &payload].concat()
}

fn mask_bit_forgotten(rng: &mut Rng) -> Vec<u8> {
    let mut frame = frame(rng, FIN | BINARY, 125);
    frame[1] &= 0x7f;
    frame
}

fn reserved_bit(rng: &mut Rng) -> Vec<u8> {
    let bits = rng.u8(1..8) << 4;
    let opcode = one_of(rng, &[CONTINUATION, TEXT, BINARY, PING, PONG, CLOSE]);
    frame(rng, FIN | bits | opcode, 125)
}

fn reserved_opcode(rng: &mut Rng) -> Vec<u8> {
    let opcode = one_of(rng, &[3, 4, 5, 6, 7, 11, 12, 13, 14, 15]);
    frame(rng, FIN | opcode, 125)
}

fn two_byte_length_too_wide(rng: &mut Rng) -> Vec<u8> {
    let len = rng.u8(..126);
    let first = FIN | one_of(rng, &[TEXT, BINARY, PING]);
    let mut frame = keyed(rng, &[first, 0x80 | 126, 0, len]);
    frame.resize(frame.len() + usize::from(len), b'a');
    frame
}

fn eight_byte_length_too_wide(rng: &mut Rng) -> Vec<u8> {
    let len = rng.u16(..);
    let header = [&[FIN | BINARY, 0x80 | 127][..], &u64::from(len).to_be_bytes()].concat();
    keyed(rng, &header)
}

fn control_in_pieces(rng: &mut Rng) -> Vec<u8> {
    let opcode = one_of(rng, &[PING, PONG, CLOSE]);
    frame(rng, opcode, 125)
}

fn control_too_long(rng: &mut Rng) -> Vec<u8> {
    let payload = bytes(rng, 126, 400);
    let opcode = one_of(rng, &[PING, PONG, CLOSE]);
    masked(rng, FIN | opcode, &payload)
}

fn continuation_of_nothing(rng: &mut Rng) -> Vec<u8> {
    let fin = one_of(rng, &[0, FIN]);
    frame(rng, fin | CONTINUATION, 300)
}

fn message_inside_a_message(rng: &mut Rng) -> Vec<u8> {
    let second = one_of(rng, &[TEXT, BINARY, FIN | TEXT, FIN | BINARY]);
    [frame(rng, BINARY, 100), frame(rng, second, 100)].concat()
}

fn forbidden_close_code(rng: &mut Rng) -> Vec<u8> {
    let code = match rng.u8(..4) {
        0 => rng.u16(..1000),
        1 => [1004, 1005, 1006, 1015][rng.usize(..4)],
        2 => rng.u16(1016..3000),
        _ => rng.u16(5000..),
    };
    masked(rng, FIN | CLOSE, &[&code.to_be_bytes()[..], b"bye"].concat())
}

fn half_a_close_code(rng: &mut Rng) -> Vec<u8> {
    let half = bytes(rng, 1, 1);
    masked(rng, FIN | CLOSE, &half)
}

fn close_broken_between_fragments(rng: &mut Rng) -> Vec<u8> {
    [frame(rng, BINARY, 100), half_a_close_code(rng)].concat()
}

/// Bytes that no text contains: never in UTF-8, a surrogate, past the last
/// character, longer than needed, out of place.
fn never_text(rng: &mut Rng) -> &'static [u8] {
    const BAD: [&[u8]; 6] =
        [b"\xff", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xc0\xaf", b"\x80", b"\xe2\x82a"];
    BAD[rng.usize(..BAD.len())]
}

fn text_not_utf8(rng: &mut Rng) -> Vec<u8> {
    let text = [b"abc", never_text(rng), b"def"].concat();
    masked(rng, FIN | TEXT, &text)
}

fn fragment_not_utf8(rng: &mut Rng) -> Vec<u8> {
    let bad = never_text(rng);
    let (begun, rest) = bad.split_at(rng.usize(..bad.len()));
    [masked(rng, TEXT, begun), masked(rng, CONTINUATION, rest)].concat()
}

fn character_never_ended(rng: &mut Rng) -> Vec<u8> {
    let begun: &[u8] = [&b"\xe2\x82"[..], b"\xf0\x9f\x98", b"\xc3"][rng.usize(..3)];
    match rng.bool() {
        true => masked(rng, FIN | TEXT, begun),
        false => [masked(rng, TEXT, begun), masked(rng, FIN | CONTINUATION, b"")].concat(),
    }
}

fn close_reason_not_utf8(rng: &mut Rng) -> Vec<u8> {
    let payload = [&1000_u16.to_be_bytes()[..], never_text(rng)].concat();
    masked(rng, FIN | CLOSE, &payload)
}

fn too_many_fragments(rng: &mut Rng) -> Vec<u8> {
    let mut frames = frame(rng, BINARY, 10);
    for _ in 0..LIMITS.max_fragments {
        frames.extend(frame(rng, CONTINUATION, 10));
        frames.extend(frame(rng, FIN | PING, 10));
    }
    frames
}

fn length_over_the_limit(rng: &mut Rng) -> Vec<u8> {
    let payload = bytes(rng, LIMITS.max_message_size + 1, LIMITS.max_message_size + 100);
    masked(rng, FIN | BINARY, &payload)
}

fn huge_length(rng: &mut Rng) -> Vec<u8> {
    let len = rng.u64(65536..) >> rng.u8(..48);
    let len = [len.max(65536), 1 << 63, (1 << 63) - 1, u64::MAX, 1 << 32][rng.usize(..5)];
    let first = one_of(rng, &[BINARY, FIN | TEXT, FIN | BINARY]);
    keyed(rng, &header(first, len))
}

fn fragments_over_the_limit(rng: &mut Rng) -> Vec<u8> {
    let half = LIMITS.max_message_size / 2;
    let (first, second) = (bytes(rng, half + 1, half + 50), bytes(rng, half + 1, half + 50));
    [masked(rng, BINARY, &first), masked(rng, FIN | CONTINUATION, &second)].concat()
}

fn cut_short(rng: &mut Rng) -> Vec<u8> {
    let mut frames = legal(rng);
    frames.truncate(rng.usize(..frames.len()));
    frames
}

fn bytes_changed(rng: &mut Rng) -> Vec<u8> {
    let mut frames = legal(rng);
    for _ in 0..rng.usize(1..4) {
        // Mostly in a header, where it matters.
        let reach = if rng.bool() { frames.len().min(8) } else { frames.len() };
        frames[rng.usize(..reach)] ^= 1 << rng.u8(..8);
    }
    frames
}

fn garbage(rng: &mut Rng) -> Vec<u8> {
    bytes(rng, 1, 200)
}
