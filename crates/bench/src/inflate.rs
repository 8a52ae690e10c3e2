//! Compressed messages of a server, RFC 7692, as a client reads them: each on its
//! own, as agreed on with server_no_context_takeover.

use anyhow::{Context, Result};
use flate2::{Decompress, FlushDecompress};

/// What the client offers, as the value of Sec-WebSocket-Extensions.
pub const OFFER: &str = "permessage-deflate";

/// What the server cut off the end of each message (RFC 7692 section 7.2.1).
const TAIL: [u8; 4] = [0x00, 0x00, 0xFF, 0xFF];

/// The largest event that is expected; a message that inflates to more is corrupt.
const LARGEST: usize = 64 * 1024;

/// Inflates one message after the other, without allocating.
#[derive(Debug)]
pub struct Inflater {
    stream: Decompress,
    input: Vec<u8>,
    output: Box<[u8]>,
}

impl Default for Inflater {
    fn default() -> Self {
        let stream = Decompress::new(false);
        Self { stream, input: Vec::new(), output: vec![0; LARGEST].into_boxed_slice() }
    }
}

impl Inflater {
    /// The message that was compressed to `payload`.
    pub fn inflate(&mut self, payload: &[u8]) -> Result<&[u8]> {
        self.stream.reset(false);
        self.input.clear();
        self.input.extend_from_slice(payload);
        self.input.extend_from_slice(&TAIL);
        self.stream
            .decompress(&self.input, &mut self.output, FlushDecompress::Sync)
            .context("a compressed message is corrupt")?;
        let (taken, made) = (self.stream.total_in() as usize, self.stream.total_out() as usize);
        anyhow::ensure!(taken == self.input.len(), "a compressed message is too long");
        Ok(&self.output[..made])
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::DeflateEncoder;

    use super::*;

    fn compress(message: &[u8]) -> Vec<u8> {
        let mut stream = DeflateEncoder::new(Vec::new(), Compression::default());
        stream.write_all(message).unwrap();
        stream.flush().unwrap();
        let compressed = stream.get_ref();
        compressed[..compressed.len() - TAIL.len()].to_vec()
    }

    #[test]
    fn each_message_is_inflated_on_its_own() {
        let mut inflater = Inflater::default();
        for message in [&b"first"[..], b"second second second", b"", &[b'x'; LARGEST - 1]] {
            assert_eq!(inflater.inflate(&compress(message)).unwrap(), message);
        }
    }

    #[test]
    fn a_message_that_refers_to_the_one_before_is_an_error() {
        let message = b"the same twenty-four bytes";
        let mut stream = DeflateEncoder::new(Vec::new(), Compression::default());
        stream.write_all(message).unwrap();
        stream.flush().unwrap();
        let first = stream.get_ref().len();
        stream.write_all(message).unwrap();
        stream.flush().unwrap();
        let (first, second) = stream.get_ref().split_at(first);
        let without_tail = |bytes: &[u8]| bytes[..bytes.len() - TAIL.len()].to_vec();

        let mut inflater = Inflater::default();
        assert_eq!(inflater.inflate(&without_tail(first)).unwrap(), message);
        assert!(inflater.inflate(&without_tail(second)).is_err());
    }

    #[test]
    fn what_is_corrupt_or_too_long_is_an_error_and_spoils_nothing() {
        let mut inflater = Inflater::default();
        assert!(inflater.inflate(&[0xFF; 20]).is_err());
        assert!(inflater.inflate(&compress(&[b'x'; 2 * LARGEST])).is_err());
        assert_eq!(inflater.inflate(&compress(b"good")).unwrap(), b"good");
    }
}
