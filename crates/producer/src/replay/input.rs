//! The log as bytes: a file or standard input, plain or gzip.

use std::fmt;
use std::fs::File;
use std::io::{self, BufReader, Cursor, Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flate2::bufread::MultiGzDecoder;

use super::ReplayError;
use super::lines::{Lines, Position};

/// What other formats begin with. None of them is a line of a log.
const FOREIGN: [(&[u8], &str); 5] = [
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"\xfd7zXZ\0", "xz"),
    (b"BZh", "bzip2"),
    (b"PK\x03\x04", "zip"),
    (b"\x1f\x9d", "compress"),
];
const GZIP: &[u8] = b"\x1f\x8b";
/// As much as the longest of these beginnings.
const MAGIC: u64 = 6;

/// Where the log is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReplayInput {
    /// Standard input, to its end.
    Stdin,
    /// A file or a named pipe.
    File(PathBuf),
}

/// As it is called in sentences.
impl fmt::Display for ReplayInput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stdin => f.write_str("standard input"),
            Self::File(path) => path.display().fmt(f),
        }
    }
}

/// An opened log.
pub(super) struct Input {
    pub(super) lines: Lines<Box<dyn Read + Send>>,
    pub(super) is_gzip: bool,
    /// Of a file, bytes as they are on disk.
    pub(super) size: Option<u64>,
    /// How many of these have been read.
    pub(super) read: Arc<AtomicU64>,
    /// A second handle on what can be read from any place.
    pub(super) file: Option<File>,
}

impl Input {
    /// Opens it and looks at its first bytes; waits for them where they come by a pipe.
    pub(super) fn open(input: &ReplayInput) -> Result<Self, ReplayError> {
        let failed = |source| ReplayError::Open { name: input.to_string(), source };
        let (source, file): (Box<dyn Read + Send>, _) = match input {
            ReplayInput::Stdin => (Box::new(io::stdin()), None),
            ReplayInput::File(path) => {
                let file = File::open(path).map_err(failed)?;
                let kind = file.metadata().map_err(failed)?;
                if kind.is_dir() {
                    return Err(ReplayError::Directory { name: input.to_string() });
                }
                let again =
                    if kind.is_file() { Some(file.try_clone().map_err(failed)?) } else { None };
                (Box::new(file), again.map(|file| (file, kind.len())))
            }
        };
        let (file, size) = file.unzip();
        Self::of(source, file, size).map_err(|error| match error {
            Unfit::Io(source) => failed(source),
            Unfit::Format(format) => ReplayError::Compressed { name: input.to_string(), format },
        })
    }

    fn of(
        mut source: Box<dyn Read + Send>,
        file: Option<File>,
        size: Option<u64>,
    ) -> Result<Self, Unfit> {
        let mut magic = Vec::new();
        source.by_ref().take(MAGIC).read_to_end(&mut magic).map_err(Unfit::Io)?;
        if let Some((_, format)) = FOREIGN.iter().find(|(begin, _)| magic.starts_with(begin)) {
            return Err(Unfit::Format(format));
        }
        let is_gzip = magic.starts_with(GZIP);
        let read = Arc::new(AtomicU64::new(0));
        let source = Counted { source: Cursor::new(magic).chain(source), read: read.clone() };
        let source: Box<dyn Read + Send> = match is_gzip {
            true => Box::new(MultiGzDecoder::new(BufReader::new(source))),
            false => Box::new(source),
        };
        Ok(Self { lines: Lines::new(source, Position::default()), is_gzip, size, read, file })
    }

    /// Goes to a place behind the one where it is; answers whether there is such a place.
    pub(super) fn skip_to(&mut self, position: Position) -> io::Result<bool> {
        if position.bytes == 0 {
            return Ok(true);
        }
        match self.file.take().filter(|_| !self.is_gzip) {
            // What was compressed can't be entered in the middle.
            None => self.lines.skip_to(position),
            Some(mut file) => {
                file.seek(SeekFrom::Start(position.bytes))?;
                self.read.store(position.bytes, Ordering::Relaxed);
                let source = Counted { source: file, read: self.read.clone() };
                self.lines = Lines::new(Box::new(source), position);
                Ok(self.size.is_none_or(|size| size >= position.bytes))
            }
        }
    }
}

impl Input {
    /// Why it can't be read on, and where that is.
    pub(super) fn broken(&self, name: &str, error: io::Error) -> ReplayError {
        let name = name.to_owned();
        let lines = self.lines.position().lines;
        let byte = self.read.load(Ordering::Relaxed);
        match (self.is_gzip, error.kind()) {
            (true, io::ErrorKind::UnexpectedEof) => ReplayError::Truncated { name, byte, lines },
            (true, io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData) => {
                ReplayError::Corrupt { name, byte, lines, reason: error.to_string() }
            }
            _ => ReplayError::Read { name, lines, source: error },
        }
    }
}

enum Unfit {
    Io(io::Error),
    Format(&'static str),
}

/// Counts what is read.
struct Counted<R> {
    source: R,
    read: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.source.read(buffer)?;
        self.read.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

#[cfg(test)]
#[path = "input_tests.rs"]
pub(super) mod tests;
