//! Standard input, cut into events: one per line, byte for byte.

use std::io;

use bytes::Bytes;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader};

/// The most that is published in one write: what Redis answers at once is waited for
/// at once.
const MAX_LINES: usize = 512;
const MAX_BYTES: usize = 1 << 20;
const BUFFER: usize = 64 << 10;

/// Lines that are not longer than an event may be.
pub(crate) struct Lines<R> {
    reader: BufReader<R>,
    limit: usize,
    failed: Option<LineError>,
}

/// Why there is no next line.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LineError {
    /// It was not read to its end: it may have none.
    #[error("an event has at most {limit} bytes (limits.max_event_size), this line has more")]
    TooLong {
        /// The limit, bytes.
        limit: usize,
    },
    /// Reading failed.
    #[error("standard input can't be read: {0}")]
    Input(#[from] io::Error),
}

impl<R: AsyncRead + Unpin> Lines<R> {
    /// Reads lines of at most `limit` bytes.
    pub(crate) fn new(input: R, limit: usize) -> Self {
        Self { reader: BufReader::with_capacity(BUFFER, input), limit, failed: None }
    }

    /// Waits for a line and takes with it those that are there already; none at the end.
    /// Lines in front of an error come first.
    pub(crate) async fn next_batch(&mut self) -> Result<Vec<Bytes>, LineError> {
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        let mut batch = Vec::new();
        let mut bytes = 0;
        while batch.len() < MAX_LINES && bytes < MAX_BYTES {
            // Only the first line may be waited for: what is here must not wait for
            // what may never come.
            if !batch.is_empty() && !self.reader.buffer().contains(&b'\n') {
                break;
            }
            match self.next_line().await {
                Ok(Some(line)) => {
                    bytes += line.len();
                    batch.push(line);
                }
                Ok(None) => break,
                Err(error) if batch.is_empty() => return Err(error),
                Err(error) => {
                    self.failed = Some(error);
                    break;
                }
            }
        }
        Ok(batch)
    }

    async fn next_line(&mut self) -> Result<Option<Bytes>, LineError> {
        let limit = self.limit;
        let mut line = Vec::new();
        let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
        let read = (&mut self.reader).take(most).read_until(b'\n', &mut line).await?;
        if read == 0 {
            return Ok(None);
        }
        if line.last() == Some(&b'\n') {
            line.pop();
        }
        if line.len() > limit { Err(LineError::TooLong { limit }) } else { Ok(Some(line.into())) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(input: &[u8], limit: usize) -> (Vec<Bytes>, Option<String>) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let mut lines = Lines::new(input, limit);
        let mut all = Vec::new();
        loop {
            match runtime.block_on(lines.next_batch()) {
                Ok(batch) if batch.is_empty() => return (all, None),
                Ok(batch) => all.extend(batch),
                Err(error) => return (all, Some(error.to_string())),
            }
        }
    }

    #[test]
    fn nothing_but_the_line_feed_is_taken_off() {
        let (lines, error) = read(b" a \r\n\n\xff\0\nlast", 5);
        assert_eq!(lines, [&b" a \r"[..], b"", b"\xff\0", b"last"]);
        assert_eq!(error, None);
        assert_eq!(read(b"", 5), (vec![], None));
        assert_eq!(read(b"\n", 5), (vec![Bytes::new()], None));
    }

    #[test]
    fn the_longest_line_passes_and_a_longer_one_is_an_error_behind_those_before_it() {
        assert_eq!(read(b"12345\n12345", 5), (vec!["12345".into(), "12345".into()], None));
        for input in [&b"ok\n123456\nafter\n"[..], b"ok\n123456", b"ok\n1234567890"] {
            let (lines, error) = read(input, 5);
            assert_eq!(lines, ["ok"]);
            assert!(error.unwrap().contains("at most 5 bytes"));
        }
    }

    proptest! {
        #[test]
        fn joined_again_the_lines_are_the_input(lines: Vec<Vec<u8>>) {
            let mut input = lines.join(&b'\n');
            input.push(b'\n');
            let expected: Vec<Bytes> = input[..input.len() - 1]
                .split(|byte| *byte == b'\n')
                .map(Bytes::copy_from_slice)
                .collect();
            prop_assert_eq!(read(&input, usize::MAX), (expected, None));
        }
    }
}
