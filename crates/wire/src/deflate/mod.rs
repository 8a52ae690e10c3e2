//! permessage-deflate (RFC 7692), without context takeover in either direction:
//! each message is compressed on its own, so that one frame serves everybody and
//! a connection keeps no window.
//!
//! - `offer`: what a client offers in its handshake, and our answer.
//! - `deflater`: our messages as compressed frames.
//! - `inflater`: a client's compressed messages, and how far they may grow.

mod deflater;
mod inflater;
mod offer;

pub use deflater::Deflater;
pub use inflater::Inflater;
pub use offer::{Agreement, negotiate};

/// What ends a flushed stream, and is left out of a message (RFC 7692 7.2.1).
const TAIL: [u8; 4] = [0x00, 0x00, 0xff, 0xff];

/// How far back our compressed messages may refer.
///
/// Two sizes are enough: each one that is in use costs a compression of every
/// event, and a client that offers one in between can read the narrow form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Window {
    /// 512 bytes (9 bits), the least that zlib can be held to.
    Narrow,
    /// 32 KiB (15 bits), the most that DEFLATE knows and the usual one.
    Wide,
}

impl Window {
    /// Every size, the narrow one first.
    pub const ALL: [Self; 2] = [Self::Narrow, Self::Wide];

    /// The base-2 logarithm of its size in bytes.
    pub fn bits(self) -> u8 {
        match self {
            Self::Narrow => 9,
            Self::Wide => 15,
        }
    }
}

/// The most compressed bytes that `len` bytes become, if they are compressed badly:
/// nine bits each where nothing repeats, and something for each block.
pub(crate) fn longest_compressed(len: usize) -> usize {
    len.saturating_add(len / 4).saturating_add(64)
}
