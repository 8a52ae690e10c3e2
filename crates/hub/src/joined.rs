//! The frames of a turn's events one behind the other, for members that all get the
//! same: one buffer per encoding, filled when the first member with it is met.

use crate::broadcast::{Broadcast, Encoding};
use crate::turn::TURN_BYTES;

/// Buffers that live as long as the shard, so that a turn allocates nothing.
#[derive(Default)]
pub(crate) struct Joined([Buffer; Encoding::COUNT]);

#[derive(Default)]
struct Buffer {
    bytes: Vec<u8>,
    is_filled: bool,
}

impl Joined {
    /// Forgets the turn before.
    pub(crate) fn clear(&mut self) {
        for buffer in &mut self.0 {
            if buffer.is_filled {
                buffer.is_filled = false;
                buffer.bytes.clear();
                buffer.bytes.shrink_to(TURN_BYTES);
            }
        }
    }

    /// What a member with this encoding gets of `events`, which must be the same ones
    /// until [`Self::clear`]. None for a single event: it is its own buffer and needs no
    /// copy.
    pub(crate) fn of(&mut self, events: &[Broadcast], encoding: Encoding) -> Option<&[u8]> {
        if events.len() < 2 {
            return None;
        }
        let buffer = &mut self.0[encoding.index()];
        if !buffer.is_filled {
            buffer.is_filled = true;
            for frame in events.iter().filter_map(|event| event.frames.get(encoding)) {
                buffer.bytes.extend_from_slice(frame);
            }
        }
        Some(&buffer.bytes)
    }

    /// Length and capacity of the buffers, by the encoding's index.
    #[cfg(test)]
    pub(crate) fn sizes(&self) -> [(usize, usize); Encoding::COUNT] {
        std::array::from_fn(|index| {
            let bytes = &self.0[index].bytes;
            (bytes.len(), bytes.capacity())
        })
    }
}
