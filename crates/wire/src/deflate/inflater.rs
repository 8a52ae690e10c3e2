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
        self.with_stream(|stream, output| push_message(stream, payload, output, limit))
    }

    /// Lends the stream to `work`, and keeps it only if that succeeds: the next message
    /// may be another client's, and after an error or a panic nobody knows what state a
    /// stream is in. Whoever causes an error loses the connection, so that making a new
    /// stream each time costs little.
    fn with_stream(
        &mut self,
        work: impl FnOnce(&mut Decompress, &mut Vec<u8>) -> Result<(), WireError>,
    ) -> Result<(), WireError> {
        let mut stream = self.stream.take().unwrap_or_else(|| Decompress::new(false));
        work(&mut stream, &mut self.output)?;
        self.stream = Some(stream);
        Ok(())
    }
}

/// Inflates a whole message. If that succeeds, a last block has ended and the stream is
/// as new.
fn push_message(
    stream: &mut Decompress,
    payload: &[u8],
    output: &mut Vec<u8>,
    limit: usize,
) -> Result<(), WireError> {
    if push(stream, payload, output, limit)? {
        return Ok(());
    }
    if !payload.ends_with(&TAIL) {
        push(stream, &TAIL, output, limit)?;
    }
    let ended = push(stream, &LAST_BLOCK, output, limit)?;
    if ended { Ok(()) } else { Err(WireError::NotDeflate) }
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
        // Only where none is left, or a message of many small last blocks, which take a
        // pass each, would be copied at every one of them.
        if output.len() == output.capacity() {
            let free = limit.saturating_add(1).saturating_sub(output.len());
            output.reserve_exact(free.min(output.len().max(CHUNK)));
        }
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
