//! How far a log was replayed, in a file, so that another run goes on behind it.
//!
//! The file is written anew and put in the place of the old one, so that it is whole
//! whenever the process ends. It names its log by the log's first line, as servers rename
//! and compress logs.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::ReplayError;
use super::input::Input;
use super::lines::Position;
use super::visitor::Salt;

const VERSION: u32 = 1;
/// How often the file is also forced to the disk, which takes longer. What it guards
/// against is the end of the machine, not of this process.
const SYNC_EVERY: Duration = Duration::from_secs(1);

/// Which log, how far, and who its visitors are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Saved {
    version: u32,
    /// SHA-256 of the first line; none of a log that had none.
    first_line: Option<String>,
    gzip: bool,
    /// Bytes of the file; none of what came by a pipe.
    size: Option<u64>,
    /// Lines and, uncompressed, bytes of which all views were acknowledged.
    lines: u64,
    bytes: u64,
    salt: String,
}

/// The file.
pub(super) struct State {
    path: PathBuf,
    saved: Saved,
    synced: Option<Instant>,
}

impl State {
    /// Reads the file where there is one, and takes the input to where it says; else
    /// begins one. The input must be at its beginning.
    pub(super) fn open(
        path: &Path,
        name: &str,
        input: &mut Input,
    ) -> Result<(Self, Salt), ReplayError> {
        let first_line = first_line(input).map_err(|error| input.broken(name, error))?;
        let found = read(path)?;
        let salt = match &found {
            None => Salt::random().map_err(|error| ReplayError::Salt(error.to_string()))?,
            Some(saved) => Salt::from_hex(&saved.salt).ok_or_else(|| damaged(path, "no salt"))?,
        };
        let position = found.as_ref().map_or_else(Position::default, |saved| Position {
            lines: saved.lines,
            bytes: saved.bytes,
        });
        if let Some(saved) = &found {
            let begins_alike = position.bytes == 0 || saved.first_line == first_line;
            if !begins_alike {
                return Err(ReplayError::ForeignState { path: path.into(), name: name.to_owned() });
            }
        }
        let reached = input.skip_to(position).map_err(|error| input.broken(name, error))?;
        let is_shorter = found.is_some_and(|saved| {
            saved.gzip == input.is_gzip
                && saved.size.zip(input.size).is_some_and(|(then, now)| now < then)
        });
        if is_shorter || !reached {
            return Err(ReplayError::Shorter { path: path.into(), name: name.to_owned() });
        }
        let saved = Saved {
            version: VERSION,
            first_line,
            gzip: input.is_gzip,
            size: input.size,
            lines: position.lines,
            bytes: position.bytes,
            salt: salt.to_hex(),
        };
        let mut state = Self { path: path.into(), saved, synced: None };
        // At once: somebody who can't keep the state should learn it before an hour's work.
        state.save(position)?;
        Ok((state, salt))
    }

    /// Where the first line that is not behind begins.
    pub(super) fn position(&self) -> Position {
        Position { lines: self.saved.lines, bytes: self.saved.bytes }
    }

    /// Keeps a position of which everything before was acknowledged.
    pub(super) fn save(&mut self, position: Position) -> Result<(), ReplayError> {
        self.saved.lines = position.lines;
        self.saved.bytes = position.bytes;
        let sync = self.synced.is_none_or(|at| at.elapsed() >= SYNC_EVERY);
        self.write(sync)
    }

    /// Forces the last position to the disk.
    pub(super) fn finish(&mut self) -> Result<(), ReplayError> {
        self.write(true)
    }

    fn write(&mut self, sync: bool) -> Result<(), ReplayError> {
        let failed = |source| ReplayError::StateNotWritten { path: self.path.clone(), source };
        let text = serde_json::to_vec(&self.saved).map_err(|error| failed(error.into()))?;
        replace(&self.path, &text, sync).map_err(failed)?;
        if sync {
            self.synced = Some(Instant::now());
        }
        Ok(())
    }
}

fn replace(path: &Path, text: &[u8], sync: bool) -> io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    // Together with the log, the salt tells which visitor had which address.
    let mut file =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
    file.write_all(text)?;
    if sync {
        file.sync_all()?;
    }
    fs::rename(beside, path)
}

fn read(path: &Path) -> Result<Option<Saved>, ReplayError> {
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(ReplayError::StateNotRead { path: path.into(), source }),
    };
    let saved: Saved =
        serde_json::from_slice(&text).map_err(|error| damaged(path, &error.to_string()))?;
    if saved.version != VERSION {
        return Err(damaged(path, "it is of another version"));
    }
    Ok(Some(saved))
}

fn damaged(path: &Path, reason: &str) -> ReplayError {
    ReplayError::StateDamaged { path: path.into(), reason: reason.to_owned() }
}

/// What the log is known by; leaves the input where it is.
fn first_line(input: &mut Input) -> io::Result<Option<String>> {
    let line = input.lines.peek()?;
    Ok((!line.is_empty()).then(|| HEXLOWER.encode(&Sha256::digest(line))))
}

#[cfg(test)]
#[path = "state_tests.rs"]
mod tests;
