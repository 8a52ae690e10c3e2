//! A model of a stream and of its server, for those who play against it.

use super::super::*;

/// One entry of the model. Its payload is its number, which no other entry has.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Added {
    pub(super) id: EntryId,
    pub(super) number: u32,
    /// The number of the entry that was added before it, in its own history.
    pub(super) after: Option<u32>,
}

impl Added {
    pub(super) fn cursor(&self) -> Cursor {
        Cursor::of(self.id.0, self.id.1, &self.number.to_be_bytes())
    }
}

/// A stream as Redis has it.
#[derive(Debug, Clone, Default)]
pub(super) struct Stream {
    pub(super) exists: bool,
    pub(super) entries: Vec<Added>,
    pub(super) added: u64,
    pub(super) last_id: EntryId,
    pub(super) last: Option<u32>,
}

/// What somebody does to the stream or to its server.
#[derive(Debug, Clone, Copy)]
pub(super) enum Deed {
    Add {
        count: u8,
        keep: Option<u8>,
    },
    Trim {
        keep: u8,
    },
    Delete,
    /// A replica takes over that had not got the newest entries.
    Fork {
        lost: u8,
        added: u8,
        keep: Option<u8>,
    },
    /// The process comes back with what was on disk.
    Restart {
        lost: u8,
    },
}

/// A Redis with one stream, and the histories it could go back to.
#[derive(Debug, Default)]
pub(super) struct Server {
    pub(super) stream: Stream,
    before: Vec<Stream>,
    pub(super) lineage: u32,
    clock: u64,
    pub(super) number: u32,
    /// It was deleted, and the tail has not noticed: until then nothing is trimmed, or the
    /// tail might never notice.
    pub(super) is_new: bool,
    /// How often it was deleted.
    pub(super) deleted: u32,
}

impl Server {
    pub(super) fn does(&mut self, deed: Deed) {
        match deed {
            Deed::Add { count, keep } => (0..count).for_each(|_| self.add(keep)),
            Deed::Trim { keep } => self.trim(keep),
            Deed::Delete => {
                self.before.clear();
                self.stream = Stream::default();
                self.is_new = true;
                self.deleted += 1;
            }
            Deed::Fork { lost, added, keep } => {
                self.go_back(lost);
                (0..added).for_each(|_| self.add(keep));
            }
            Deed::Restart { lost } => self.go_back(lost),
        }
    }

    fn add(&mut self, keep: Option<u8>) {
        self.before.push(self.stream.clone());
        self.clock += 1;
        self.number += 1;
        let stream = &mut self.stream;
        let id = (self.clock, 0).max((stream.last_id.0, stream.last_id.1 + 1));
        stream.entries.push(Added { id, number: self.number, after: stream.last });
        stream.last = Some(self.number);
        stream.exists = true;
        stream.last_id = id;
        stream.added += 1;
        if let Some(keep) = keep {
            self.trim(keep);
        }
    }

    fn trim(&mut self, keep: u8) {
        if !self.is_new {
            let gone = self.stream.entries.len().saturating_sub(usize::from(keep));
            self.stream.entries.drain(..gone);
        }
    }

    fn go_back(&mut self, lost: u8) {
        self.lineage += 1;
        for _ in 0..lost {
            if let Some(before) = self.before.pop() {
                self.stream = before;
            }
        }
        // The clock of the other server may be behind.
        self.clock = self.clock.saturating_sub(u64::from(lost));
    }

    pub(super) fn read(&self, after: EntryId, count: usize) -> Vec<Added> {
        let new = self.stream.entries.iter().filter(|entry| entry.id > after);
        new.take(count).copied().collect()
    }

    pub(super) fn before(&self, place: EntryId) -> Option<Cursor> {
        let mut newest_first = self.stream.entries.iter().rev();
        newest_first.find(|entry| entry.id <= place).map(Added::cursor)
    }

    pub(super) fn census(&self) -> Census {
        let stream = &self.stream;
        if !stream.exists {
            return Census::Absent;
        }
        Census::Present(StreamState {
            length: stream.entries.len() as u64,
            last_id: stream.last_id,
            first: stream.entries.first().map(|entry| entry.id),
            last: stream.entries.last().map(Added::cursor),
            added: Some(stream.added),
        })
    }
}
