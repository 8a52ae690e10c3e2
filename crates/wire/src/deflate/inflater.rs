//! A client's compressed messages, and how far they may grow.

use flate2::{Decompress, FlushDecompress, Status};

use super::TAIL;
use crate::WireError;

/// The least by which the output grows, bytes.
const CHUNK: usize = 4 << 10;
/// Output up to this size keeps its buffer for the next message, bytes.
const KEPT_OUTPUT: usize = 16 << 10;
/// An empty last block. A stream that stands between two blocks ends with it, any
/// other does not; zlib has no simpler way to ask.
const LAST_BLOCK: [u8; 2] = [0x03, 0x00];

/// Inflates messages. One serves any number of connections in turn, because no
/// message refers to one before it; allocates nothing before the first.
///
/// Holds at most 64 KiB between messages.
#[derive(Debug, Default)]
pub struct Inflater {
    stream: Option<Decompress>,
    output: Vec<u8>,
}

impl Inflater {
    /// An inflater that has not been used.
    pub const fn new() -> Self {
        Self { stream: None, output: Vec::new() }
    }

    /// Hands the message of a whole compressed `payload` to `read`; its memory is
    /// free again afterwards.
    ///
    /// # Errors
    /// [`WireError::TooBig`] as soon as it is over `limit` bytes,
    /// [`WireError::NotDeflate`], and what `read` says.
    pub(crate) fn inflate<T>(
        &mut self,
        payload: &[u8],
        limit: usize,
        read: impl FnOnce(&[u8]) -> Result<T, WireError>,
    ) -> Result<T, WireError> {
        let result = self.fill(payload, limit).and_then(|()| read(&self.output));
        self.output.clear();
        self.output.shrink_to(KEPT_OUTPUT);
        result
    }

    fn fill(&mut self, payload: &[u8], limit: usize) -> Result<(), WireError> {
        // A reader that panicked left its message here, and it may be another's turn.
        self.output.clear();
        let stream = self.stream.get_or_insert_with(|| Decompress::new(false));
        stream.reset(false);
        if push(stream, payload, &mut self.output, limit)? {
            return Ok(());
        }
        let has_tail = payload.ends_with(&TAIL);
        if !has_tail {
            push(stream, &TAIL, &mut self.output, limit)?;
        }
        let ended = push(stream, &LAST_BLOCK, &mut self.output, limit)?;
        if ended { Ok(()) } else { Err(WireError::NotDeflate) }
    }
}

/// Inflates all of `input`; whether a last block ended where it ends.
fn push(
    stream: &mut Decompress,
    mut input: &[u8],
    output: &mut Vec<u8>,
    limit: usize,
) -> Result<bool, WireError> {
    let mut ended = true;
    while !input.is_empty() || (!ended && output.len() == output.capacity()) {
        let free = limit.saturating_add(1).saturating_sub(output.len());
        output.reserve_exact(free.min(output.len().max(CHUNK)));
        let (before_in, before_out) = (stream.total_in(), output.len());
        let status = stream
            .decompress_vec(input, output, FlushDecompress::Sync)
            .map_err(|_| WireError::NotDeflate)?;
        if output.len() > limit {
            return Err(WireError::TooBig { size: output.len() as u64, limit });
        }
        let used = usize::try_from(stream.total_in() - before_in).unwrap_or(usize::MAX);
        input = input.get(used..).unwrap_or_default();
        ended = status == Status::StreamEnd;
        if ended {
            // Another block may follow a last one (RFC 7692 7.2.3.4).
            stream.reset(false);
        } else if used == 0 && output.len() == before_out {
            break;
        }
    }
    Ok(ended)
}

#[cfg(test)]
#[path = "inflater_tests.rs"]
mod tests;
