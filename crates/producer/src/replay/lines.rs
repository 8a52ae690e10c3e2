//! An input cut into lines, of whatever bytes.

use std::io::{self, BufRead, BufReader, Read};

/// The longest line, bytes. No server writes longer ones: it refuses such requests.
const MAX_LINE: usize = 64 << 10;
/// How much is read at once, and so the most lines of one chunk.
const BUFFER: usize = 256 << 10;

/// How far into an input, uncompressed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Position {
    /// Lines that are behind.
    pub(super) lines: u64,
    /// Bytes that are behind.
    pub(super) bytes: u64,
}

/// What stood in a line's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Line {
    /// The line, without its end, is in the buffer.
    Read,
    /// It has more than [`MAX_LINE`] bytes, of which none are in the buffer.
    TooLong,
    /// The input ended in the middle of it.
    Cut,
}

/// Reads lines and knows where it is.
pub(super) struct Lines<R> {
    input: BufReader<R>,
    at: Position,
    /// A line that was read and not yet given out, and the position behind it.
    peeked: Option<(Line, Vec<u8>, Position)>,
}

impl<R: Read> Lines<R> {
    /// Reads on from a position: `input` begins there.
    pub(super) fn new(input: R, at: Position) -> Self {
        Self { input: BufReader::with_capacity(BUFFER, input), at, peeked: None }
    }

    /// Where the next line begins.
    pub(super) fn position(&self) -> Position {
        self.at
    }

    /// The next line, which stays the next one; nothing at the end of the input.
    pub(super) fn peek(&mut self) -> io::Result<&[u8]> {
        let before = self.at;
        let mut line = Vec::new();
        if let Some(kind) = self.next(&mut line)? {
            let after = std::mem::replace(&mut self.at, before);
            self.peeked = Some((kind, line, after));
        }
        Ok(self.peeked.as_ref().map_or(&[], |(_, line, _)| line))
    }

    /// Whether there is a whole line that need not be waited for.
    pub(super) fn has_line(&self) -> bool {
        self.peeked.is_some() || self.input.buffer().contains(&b'\n')
    }

    /// Puts the next line into `line`; none at the end of the input. What an error cuts
    /// off is not given out: half a line may look like another one.
    pub(super) fn next(&mut self, line: &mut Vec<u8>) -> io::Result<Option<Line>> {
        if let Some((kind, peeked, after)) = self.peeked.take() {
            *line = peeked;
            self.at = after;
            return Ok(Some(kind));
        }
        line.clear();
        let most = MAX_LINE as u64 + 1;
        let mut read = self.input.by_ref().take(most).read_until(b'\n', line)? as u64;
        if read == 0 {
            return Ok(None);
        }
        let kind = match line.last() {
            Some(b'\n') => Line::Read,
            _ if read < most => Line::Cut,
            _ => {
                read += skip_line(&mut self.input)?;
                line.clear();
                Line::TooLong
            }
        };
        if kind == Line::Read {
            line.pop();
        }
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        self.at.lines += 1;
        self.at.bytes += read;
        Ok(Some(kind))
    }

    /// Passes over what stands before `position`, the beginning of another line than the
    /// next one; answers whether there is one.
    pub(super) fn skip_to(&mut self, position: Position) -> io::Result<bool> {
        if let Some((_, _, after)) = self.peeked.take() {
            self.at = after;
        }
        let Some(wanted) = position.bytes.checked_sub(self.at.bytes) else { return Ok(false) };
        let skipped = io::copy(&mut self.input.by_ref().take(wanted), &mut io::sink())?;
        self.at = position;
        Ok(skipped == wanted)
    }
}

/// Passes over the rest of a line, its end included; answers how many bytes that were.
fn skip_line(input: &mut impl BufRead) -> io::Result<u64> {
    let mut skipped = 0;
    loop {
        let buffer = input.fill_buf()?;
        let end = buffer.iter().position(|byte| *byte == b'\n').map(|at| at + 1);
        let count = end.unwrap_or(buffer.len());
        let is_over = end.is_some() || buffer.is_empty();
        input.consume(count);
        skipped += count as u64;
        if is_over {
            return Ok(skipped);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(input: &[u8]) -> (Vec<(Line, Vec<u8>)>, Position) {
        let mut lines = Lines::new(input, Position::default());
        let (mut found, mut line) = (Vec::new(), Vec::new());
        while let Some(kind) = lines.next(&mut line).unwrap() {
            found.push((kind, line.clone()));
        }
        (found, lines.position())
    }

    #[test]
    fn lines_end_as_they_do_anywhere_and_the_last_may_be_cut() {
        let (lines, at) = all(b"one\r\n\n\xff\0\nlast");
        let expected: [(Line, &[u8]); 4] = [
            (Line::Read, b"one"),
            (Line::Read, b""),
            (Line::Read, b"\xff\0"),
            (Line::Cut, b"last"),
        ];
        assert_eq!(lines, expected.map(|(kind, line)| (kind, line.to_vec())));
        assert_eq!(at, Position { lines: 4, bytes: 13 });
        assert_eq!(all(b""), (vec![], Position::default()));
    }

    #[test]
    fn a_line_without_end_takes_no_memory_and_the_next_one_is_read() {
        let mut input = vec![b'x'; MAX_LINE];
        input.extend(b"\nafter\n");
        assert_eq!(all(&input).0[0], (Line::Read, vec![b'x'; MAX_LINE]));
        for longer in [1, BUFFER, 3 * BUFFER] {
            let mut input = vec![b'x'; MAX_LINE + longer];
            input.extend(b"\nafter\n");
            let (lines, at) = all(&input);
            assert_eq!(lines, [(Line::TooLong, vec![]), (Line::Read, b"after".to_vec())]);
            assert_eq!(at, Position { lines: 2, bytes: input.len() as u64 });
        }
    }

    #[test]
    fn goes_on_where_another_stopped() {
        let input = b"one\ntwo\nthree\n";
        let mut line = Vec::new();
        let mut lines = Lines::new(&input[..], Position::default());
        assert_eq!(lines.peek().unwrap(), b"one");
        assert_eq!(lines.position(), Position::default());
        assert!(lines.skip_to(Position { lines: 2, bytes: 8 }).unwrap());
        lines.next(&mut line).unwrap();
        assert_eq!(
            (line.as_slice(), lines.position()),
            (&b"three"[..], Position { lines: 3, bytes: 14 })
        );
        let mut lines = Lines::new(&input[..], Position::default());
        assert!(!lines.skip_to(Position { lines: 9, bytes: 15 }).unwrap());
        let mut lines = Lines::new(&input[..], Position::default());
        lines.peek().unwrap();
        assert!(!lines.skip_to(Position { lines: 1, bytes: 2 }).unwrap());
    }

    #[test]
    fn a_line_that_was_peeked_at_is_still_the_next_one() {
        let mut lines = Lines::new(&b"one\ntwo\n"[..], Position::default());
        let mut line = Vec::new();
        assert_eq!(lines.peek().unwrap(), b"one");
        assert_eq!(lines.next(&mut line).unwrap(), Some(Line::Read));
        assert_eq!(
            (line.as_slice(), lines.position()),
            (&b"one"[..], Position { lines: 1, bytes: 4 })
        );
        assert_eq!(lines.peek().unwrap(), b"two");
    }
}
