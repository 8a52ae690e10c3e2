//! Why a log was not replayed to its end.

use std::io;
use std::path::PathBuf;

use crate::store::StoreError;

/// What went wrong, as a sentence for whoever started it.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The log can't be opened.
    #[error("{name} can't be opened: {source}")]
    Open {
        /// The log.
        name: String,
        /// Why not.
        source: io::Error,
    },
    /// The log is a folder.
    #[error("{name} is a directory; replay reads one file at a time")]
    Directory {
        /// The log.
        name: String,
    },
    /// The log is compressed otherwise than with gzip.
    #[error(
        "{name} is compressed with {format}; only gzip is read here: pipe it through the program that unpacks {format}"
    )]
    Compressed {
        /// The log.
        name: String,
        /// The other format.
        format: &'static str,
    },
    /// The first line holds what no text does.
    #[error("{name} is binary, no access log")]
    Binary {
        /// The log.
        name: String,
    },
    /// No line is one of an access log.
    #[error(
        "{name} is no access log in the common or combined format: none of its {lines} lines could be read"
    )]
    NoLog {
        /// The log.
        name: String,
        /// How many lines it has.
        lines: u64,
    },
    /// Reading failed on the way.
    #[error("{name} can't be read behind line {lines}: {source}")]
    Read {
        /// The log.
        name: String,
        /// Lines that were read.
        lines: u64,
        /// Why not.
        source: io::Error,
    },
    /// A fault of ours, which was logged where it happened.
    #[error("{name} was not read to its end, by a fault of this program")]
    Reader {
        /// The log.
        name: String,
    },
    /// The gzip data ends too early.
    #[error(
        "{name} is cut off: its gzip data ends in the middle, at byte {byte} and behind line {lines}"
    )]
    Truncated {
        /// The log.
        name: String,
        /// Bytes of the file that were read.
        byte: u64,
        /// Lines that were read.
        lines: u64,
    },
    /// The gzip data is damaged.
    #[error(
        "{name} is damaged: its gzip data can't be read on at about byte {byte}, behind line {lines}: {reason}"
    )]
    Corrupt {
        /// The log.
        name: String,
        /// Bytes of the file that were read.
        byte: u64,
        /// Lines that were read.
        lines: u64,
        /// What is wrong with it.
        reason: String,
    },
    /// The state file can't be read.
    #[error("the state file {} can't be read: {source}", path.display())]
    StateNotRead {
        /// The state file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The state file can't be written.
    #[error("the state file {} can't be written: {source}", path.display())]
    StateNotWritten {
        /// The state file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The state file does not hold a state.
    #[error("{} is no state file of replay ({reason}); remove it to begin with the first line", path.display())]
    StateDamaged {
        /// The state file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The state file is that of another log.
    #[error("the state file {} belongs to another log: {name} has another first line", path.display())]
    ForeignState {
        /// The state file.
        path: PathBuf,
        /// The log.
        name: String,
    },
    /// The log has lost what the state file counts as done.
    #[error("the state file {} belongs to another log, or to this one before it was cut: {name} is shorter than it was", path.display())]
    Shorter {
        /// The state file.
        path: PathBuf,
        /// The log.
        name: String,
    },
    /// There is no randomness to make visitors unknown with.
    #[error("no random bytes: {0}")]
    Salt(String),
    /// The store did not take the views of a line and those behind it.
    #[error("line {line}: {error}")]
    Store {
        /// The first line whose view was not taken.
        line: u64,
        /// Why not.
        error: StoreError,
    },
    /// It is not known whether the store took some views.
    #[error("{views} page views may be missing: {error}")]
    Unknown {
        /// How many.
        views: u64,
        /// What the store said last.
        error: StoreError,
    },
}
