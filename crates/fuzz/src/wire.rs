//! Any bytes into the decoder, in any pieces, with stops at any message.
//!
//! An input is one control byte, the lengths of the pieces, and the stream:
//! bits 0 and 1 choose the limits, bits 2 to 4 are the number of lengths, and
//! bits 5 to 7 say at which of three messages the reader stops. Each stream is
//! read twice, as that of a client that agreed on compression and of one that
//! did not.

use redcast_wire::{Decoder, Flow, Inflater, Limits, Message, WireError};

use crate::deflate::longest_compressed;
use crate::frames::{self, CLOSE, FIN, PING, PONG, RSV1, RawHeader, Said, TEXT};

/// The limits that an input can choose.
pub const LIMITS: [Limits; 4] = [
    // The usual ones; written out, because a default is no constant.
    Limits { max_message_size: 4096, max_fragments: 1024 },
    Limits { max_message_size: 300, max_fragments: 5 },
    Limits { max_message_size: 16, max_fragments: 2 },
    Limits { max_message_size: usize::MAX, max_fragments: u32::MAX },
];

/// A stream up to this long is also fed byte by byte.
const BYTE_BY_BYTE: usize = 2048;
/// Longer than any legal header with a control frame's payload.
const MAX_HEADER: usize = 14;
const MAX_CONTROL: u64 = 125;
/// Where an input chooses no limit, a few bytes could inflate to millions.
const MOST_INFLATED: usize = 1 << 16;

/// What a stream of bytes came to.
#[derive(Debug, PartialEq, Eq)]
pub struct Outcome {
    /// What was delivered, in order.
    pub messages: Vec<Said>,
    /// Why the rest was refused.
    pub error: Option<WireError>,
    /// Whether the decoder then held nothing.
    pub idle: bool,
}

/// One input, taken apart.
struct Case<'a> {
    limits: Limits,
    lengths: &'a [u8],
    stops: u8,
    stream: &'a [u8],
}

impl<'a> Case<'a> {
    fn read(data: &'a [u8]) -> Option<Self> {
        let (&control, rest) = data.split_first()?;
        let (lengths, stream) = rest.split_at_checked(usize::from(control >> 2 & 7))?;
        let limits = LIMITS[usize::from(control & 3)];
        Some(Self { limits, lengths, stops: control >> 5, stream })
    }

    /// The stream, cut at the given lengths over and over; 0 stands for 256.
    fn pieces(&self) -> Vec<&'a [u8]> {
        let mut lengths = self.lengths.iter().cycle();
        let mut pieces = Vec::new();
        let mut rest = self.stream;
        while let (Some(&length), false) = (lengths.next(), rest.is_empty()) {
            let length = if length == 0 { 256 } else { usize::from(length) };
            let (piece, behind) = rest.split_at(length.min(rest.len()));
            pieces.push(piece);
            rest = behind;
        }
        pieces.push(rest);
        pieces
    }
}

/// The body of the target `wire`.
pub fn run(data: &[u8]) {
    let Some(case) = Case::read(data) else { return };
    check(&case, None);
    let max_message_size = case.limits.max_message_size.min(MOST_INFLATED);
    let limits = Limits { max_message_size, ..case.limits };
    check(&Case { limits, ..case }, Some(&mut Inflater::new()));
}

fn check(case: &Case<'_>, mut inflater: Option<&mut Inflater>) {
    let limits = &case.limits;
    let inflated_limit = inflater.is_some().then_some(limits.max_message_size);
    let mut feed = |pieces: &[&[u8]], stops| feed(pieces, limits, inflater.as_deref_mut(), stops);
    let whole = feed(&[case.stream], 0);
    check_messages(&whole, limits);
    check_against_naive(&whole, case.stream, limits, inflated_limit);
    assert_eq!(feed(&case.pieces(), case.stops), whole, "in other pieces");
    assert_eq!(feed(&[case.stream], case.stops), whole, "with stops");
    if case.stream.len() <= BYTE_BY_BYTE {
        let bytes: Vec<&[u8]> = case.stream.chunks(1).collect();
        assert_eq!(feed(&bytes, 0), whole, "byte by byte");
    }
}

/// Decodes `stream` in one piece, for a client that agreed on no compression.
pub fn decode(stream: &[u8], limits: &Limits) -> Outcome {
    feed(&[stream], limits, None, 0)
}

/// Feeds the pieces to a new decoder, resuming after each stop, and then a frame
/// more if they were refused: a refusal is final.
fn feed(
    pieces: &[&[u8]],
    limits: &Limits,
    mut inflater: Option<&mut Inflater>,
    stops: u8,
) -> Outcome {
    let mut decoder = Decoder::new();
    assert!(decoder.is_idle());
    let mut messages: Vec<Said> = Vec::new();
    let mut on_message = |message: Message<'_>| {
        let stops_here = stops >> (messages.len() % 3) & 1 == 1;
        messages.push(message.into());
        if stops_here { Flow::Stop } else { Flow::Continue }
    };
    let mut error = None;
    for piece in pieces {
        let (mut piece, inflater) = (piece.to_vec(), &mut inflater);
        let mut result = decoder.feed(&mut piece, limits, inflater.as_deref_mut(), &mut on_message);
        while result == Ok(Flow::Stop) {
            result = decoder.resume(limits, inflater.as_deref_mut(), &mut on_message);
        }
        error = error.or(result.err());
    }
    let idle = decoder.is_idle();
    if error.is_some() {
        let mut late = frames::frame(FIN | PING, b"late", [0; 4]);
        let result = decoder.feed(&mut late, limits, inflater, &mut on_message);
        assert_eq!(result, Ok(Flow::Continue), "what comes after a refusal is dropped");
        assert!(messages.last() != Some(&Said::new(PING, b"late")), "heard after a refusal");
    }
    Outcome { messages, error, idle }
}

/// Every message keeps the rules that the rest of the gateway relies on.
fn check_messages(outcome: &Outcome, limits: &Limits) {
    for (i, Said { opcode, payload }) in outcome.messages.iter().enumerate() {
        match *opcode {
            PING | PONG => assert!(payload.len() as u64 <= MAX_CONTROL),
            CLOSE => {
                assert_eq!(i + 1, outcome.messages.len(), "something came after a goodbye");
                check_close(payload);
            }
            _ => assert!(payload.len() <= limits.max_message_size),
        }
    }
    if let Some(error) = &outcome.error {
        assert!(matches!(error.close_code().code(), 1002 | 1007 | 1008 | 1009));
        assert!(!error.to_string().is_empty());
        assert!(outcome.idle, "a refused client's bytes are kept");
    }
}

fn check_close(payload: &[u8]) {
    assert!(payload.len() as u64 <= MAX_CONTROL);
    let Some((code, reason)) = payload.split_first_chunk() else {
        assert!(payload.is_empty(), "half a code");
        return;
    };
    let code = u16::from_be_bytes(*code);
    assert!(frames::is_close_code(code), "{code} may not be sent");
    assert!(std::str::from_utf8(reason).is_ok());
}

/// What was delivered is what the frames hold, and what is held fits the limits.
fn check_against_naive(
    outcome: &Outcome,
    stream: &[u8],
    limits: &Limits,
    inflated_limit: Option<usize>,
) {
    let naive = frames::read(stream, inflated_limit);
    if let Some(error) = &outcome.error {
        assert!(naive.messages.starts_with(&outcome.messages), "not what the frames hold");
        if *error == WireError::NotDeflate {
            assert!(naive.refusal.is_some(), "refused what could be inflated");
        }
        return;
    }
    assert_eq!(naive.refusal, None);
    assert_eq!(outcome.messages, naive.messages);
    let is_text = |said: &Said| said.opcode == TEXT && std::str::from_utf8(&said.payload).is_err();
    assert!(!naive.messages.iter().any(is_text), "text that is none");
    let holds_nothing = naive.closed || (naive.rest == 0 && naive.open.is_none());
    assert_eq!(outcome.idle, holds_nothing);
    if holds_nothing {
        return;
    }
    let open = naive.open.as_ref().map_or(0, |open| open.payload.len());
    let cut = RawHeader::read(&stream[stream.len() - naive.rest..]);
    let is_compressed = match cut {
        Some(cut) if naive.open.is_none() => cut.first & RSV1 != 0,
        _ => naive.is_compressed,
    };
    let max = limits.max_message_size;
    let max = if is_compressed { longest_compressed(max) } else { max };
    assert!(open <= max, "{open} bytes of fragments are held");
    match cut {
        Some(cut) if cut.is_control() => assert!(cut.declared <= MAX_CONTROL),
        Some(cut) => {
            let size = cut.declared.saturating_add(open as u64);
            assert!(size <= max as u64, "waits for {size} bytes");
        }
        None => assert!(naive.rest < MAX_HEADER),
    }
}
