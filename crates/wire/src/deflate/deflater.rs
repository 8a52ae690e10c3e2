//! Our messages as compressed frames, each compressed on its own.

use bytes::Bytes;
use flate2::{Compress, Compression, FlushCompress};

use super::{TAIL, Window, longest_compressed};
use crate::encode::{compressed_binary_frame, compressed_text_frame};

/// Output up to this size keeps its buffer for the next message, bytes.
const KEPT_OUTPUT: usize = 64 << 10;

/// Makes compressed server frames. Meant to be kept: beside the frame itself a
/// message of up to 52 KB allocates nothing once its window had one as large; a
/// larger one takes a buffer of its own size and a quarter, and gives it back.
///
/// Holds at most 350 KiB for each window that was used.
#[derive(Debug)]
pub struct Deflater {
    level: Compression,
    narrow: Option<Compress>,
    wide: Option<Compress>,
    output: Vec<u8>,
}

impl Deflater {
    /// A deflater of `level` 1 (fast) to 9 (small); another is taken as the
    /// nearest of these. Allocates nothing yet.
    pub fn new(level: u32) -> Self {
        let level = Compression::new(level.clamp(1, 9));
        Self { level, narrow: None, wide: None, output: Vec::new() }
    }

    /// A compressed text frame; the caller knows that `payload` is UTF-8. `None`
    /// where the plain frame is as short.
    pub fn text_frame(&mut self, payload: &[u8], window: Window) -> Option<Bytes> {
        self.compress_then(payload, window, compressed_text_frame)
    }

    /// A compressed binary frame. `None` where the plain frame is as short.
    pub fn binary_frame(&mut self, payload: &[u8], window: Window) -> Option<Bytes> {
        self.compress_then(payload, window, compressed_binary_frame)
    }

    /// An event as it was published: text if it is UTF-8, else binary. `None`
    /// where the plain frame is as short.
    pub fn event_frame(&mut self, payload: &[u8], window: Window) -> Option<Bytes> {
        match std::str::from_utf8(payload) {
            Ok(_) => self.text_frame(payload, window),
            Err(_) => self.binary_frame(payload, window),
        }
    }

    fn compress_then(
        &mut self,
        payload: &[u8],
        window: Window,
        frame: fn(&[u8]) -> Bytes,
    ) -> Option<Bytes> {
        let frame = self.compress(payload, window).map(frame);
        self.output.clear();
        self.output.shrink_to(KEPT_OUTPUT);
        frame
    }

    /// The compressed form without its tail, if that is shorter than `payload`.
    fn compress(&mut self, payload: &[u8], window: Window) -> Option<&[u8]> {
        let slot = match window {
            Window::Narrow => &mut self.narrow,
            Window::Wide => &mut self.wide,
        };
        let stream = slot.get_or_insert_with(|| new_stream(self.level, window));
        stream.reset();
        // Room for the worst case, so that each message is finished: a reset of
        // zlib-rs 0.6.8 neither closes a block that was left open nor frees what was
        // pending, and after some such messages it panics.
        self.output.reserve_exact(longest_compressed(payload.len()));
        let compressed = stream.compress_vec(payload, &mut self.output, FlushCompress::Sync);
        if compressed.is_err() || self.output.len() == self.output.capacity() {
            *slot = None;
            return None;
        }
        let compressed = self.output.strip_suffix(&TAIL)?;
        (compressed.len() < payload.len()).then_some(compressed)
    }
}

fn new_stream(level: Compression, window: Window) -> Compress {
    Compress::new_with_window_bits(level, false, window.bits())
}

#[cfg(test)]
#[path = "deflater_tests.rs"]
mod tests;
