//! The queue of one slow connection: whole frames in order.
//!
//! Any entry may be taken out of the middle, and the one that waits for an item is
//! found, both at a cost that does not grow with the queue: with a linear search, ten
//! thousand items on a thousand lagging connections would keep the shard from
//! everybody else. So it is a linked list within a slab, and an index beside it.

use std::collections::HashMap;

use bytes::Bytes;
use slab::Slab;

use crate::backlog::Kind;
use crate::broadcast::ChannelKey;

/// What an entry costs beside its bytes. Counted, or a million tiny events would cost
/// many times the limit.
pub(crate) const ENTRY_OVERHEAD: usize = 64;
/// What the place of an entry in the index costs.
pub(crate) const INDEX_OVERHEAD: usize = 64;

/// No entry. Four thousand million would cost 256 GiB, which is no limit of an outbox.
const NONE: u32 = u32::MAX;

/// Where an entry is, until it is taken out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place(u32);

#[derive(Debug)]
pub(crate) struct Waiting {
    entries: Slab<Entry>,
    first: u32,
    last: u32,
    /// All in front of this one are known to be undroppable.
    candidate: u32,
    /// Where the newest event of each item waits, if a newer one may go there: none in
    /// front of a reply. A newer event in its place would overtake the reply, such as
    /// the acknowledgement that nothing of the channel may follow.
    latest: HashMap<(ChannelKey, u64), u32>,
}

#[derive(Debug)]
struct Entry {
    frame: Bytes,
    kind: Kind,
    before: u32,
    after: u32,
}

/// What a frame is charged while it waits.
pub(crate) fn cost(frame: &Bytes, kind: Kind) -> usize {
    let index = if kind.item().is_some() { INDEX_OVERHEAD } else { 0 };
    frame.len() + ENTRY_OVERHEAD + index
}

impl Default for Waiting {
    fn default() -> Self {
        let (first, last, candidate) = (NONE, NONE, NONE);
        Self { entries: Slab::new(), first, last, candidate, latest: HashMap::new() }
    }
}

impl Waiting {
    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The frames and their kinds, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Bytes, Kind)> {
        let entry = |at: u32| self.entries.get(at as usize);
        let all = std::iter::successors(entry(self.first), move |before| entry(before.after));
        all.map(|entry| (&entry.frame, entry.kind))
    }

    /// Puts a frame behind all others; the newest of its item from now on, if it has one.
    /// A reply is the end of all places in front of it.
    pub(crate) fn push(&mut self, frame: Bytes, kind: Kind) {
        let before = self.last;
        let at = self.entries.insert(Entry { frame, kind, before, after: NONE }) as u32;
        match self.entries.get_mut(before as usize) {
            Some(last) => last.after = at,
            None => self.first = at,
        }
        self.last = at;
        if self.candidate == NONE {
            self.candidate = at;
        }
        if kind == Kind::Reply {
            self.latest.clear();
        } else if let Some(item) = kind.item() {
            self.latest.insert(item, at);
        }
    }

    /// Takes out the first.
    pub(crate) fn pop(&mut self) -> Option<(Bytes, Kind)> {
        self.remove(Place(self.first))
    }

    /// Takes one out; the order of the others stays.
    pub(crate) fn remove(&mut self, Place(at): Place) -> Option<(Bytes, Kind)> {
        let Entry { frame, kind, before, after } = self.entries.try_remove(at as usize)?;
        match self.entries.get_mut(before as usize) {
            Some(entry) => entry.after = after,
            None => self.first = after,
        }
        match self.entries.get_mut(after as usize) {
            Some(entry) => entry.before = before,
            None => self.last = before,
        }
        if self.candidate == at {
            self.candidate = after;
        }
        if let Some(item) = kind.item()
            && self.latest.get(&item) == Some(&at)
        {
            self.latest.remove(&item);
        }
        Some((frame, kind))
    }

    /// Where the event of the same item waits whose place a newer one may take, and how
    /// long it is.
    pub(crate) fn same_item(&self, kind: Kind) -> Option<(Place, usize)> {
        let at = *self.latest.get(&kind.item()?)?;
        Some((Place(at), self.entries.get(at as usize)?.frame.len()))
    }

    /// Puts a frame in the place of another one of its kind.
    pub(crate) fn replace(&mut self, Place(at): Place, frame: Bytes) {
        if let Some(entry) = self.entries.get_mut(at as usize) {
            entry.frame = frame;
        }
    }

    /// The first that a policy gives up. What was passed over once is never looked at
    /// again, so all calls together cost one walk.
    pub(crate) fn oldest_droppable(&mut self) -> Option<Place> {
        while let Some(entry) = self.entries.get(self.candidate as usize) {
            if entry.kind.is_droppable() {
                return Some(Place(self.candidate));
            }
            self.candidate = entry.after;
        }
        None
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
#[path = "waiting_tests.rs"]
mod tests;
