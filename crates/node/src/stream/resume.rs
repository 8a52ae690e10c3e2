//! What a client that comes back to a stream channel needs next: a pure decision over how
//! far it has come and what the channel's ring holds.
//!
//! A client goes from its place to the live events in one history: each step begins at an
//! entry that is known by ID and payload, in Redis or in the ring. Where no such step is
//! left, it gets a reset; never an unnoticed hole.

use redcast_broker::ReadLimit;
use redcast_protocol::{Cursor, ResetReason};

use super::ring::{Kept, Ring};
use crate::config::ReplayConfig;

/// The most that is read at once, and sent at once from the ring. It is all that is held for
/// a client that does not take it, and there may be thousands of those.
pub(super) const PAGE: ReadLimit = ReadLimit { events: 512, bytes: 64 << 10 };
/// The bytes of events that a join may bring with it, shared by its channels: they are
/// encoded while the channels' events wait.
const JOIN_BYTES: usize = 64 << 10;
/// Among more channels than these the share is not made smaller, so that a join of 128
/// brings 512 KiB at most: with less, some of many busy channels would always have got
/// further than their share while the others were looked at.
const SHARES: usize = 16;
/// What each of them is charged beside its payload.
const EVENT_OVERHEAD: usize = 64;

/// The bounds of one client's way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rules {
    /// How many events may be replayed.
    pub(crate) events: usize,
    /// How many bytes of payloads.
    pub(crate) bytes: usize,
    /// What the join may bring with it in this channel, bytes.
    join_bytes: usize,
}

impl Rules {
    /// At most so much for each of so many channels that are joined together.
    pub(crate) fn new(most: ReplayConfig, channels: usize) -> Self {
        let join_bytes = JOIN_BYTES / channels.clamp(1, SHARES);
        Self { events: most.events, bytes: most.bytes, join_bytes }
    }

    /// The same again for what comes while a client is sent the last events, so many of
    /// them.
    pub(super) fn and_last(self, count: usize) -> Self {
        Self {
            events: self.events.saturating_add(count),
            bytes: self.bytes.saturating_mul(2),
            ..self
        }
    }
}

/// How far a client has come on its way back.
#[derive(Debug)]
pub(crate) struct Resume {
    /// The last event that the client has.
    seen: Cursor,
    /// The last entry that was read for it. Behind `seen` stand only entries that are no
    /// events.
    read: Cursor,
    /// Whether Redis has `read`, as far as we know.
    verified: bool,
    /// Where the channel was when it was last decided to read Redis.
    asked_at: Option<Cursor>,
    /// Where it was when Redis had nothing newer than `read`.
    at_end: Option<Cursor>,
    /// How far it had come when it was looked at last, while Redis was ahead of it.
    nearest: Option<(u64, u64)>,
    /// What may still be replayed.
    left: Rules,
}

/// What comes next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// It can join now, and gets these events with the join.
    Join(Vec<Kept>),
    /// It gets these events, and then we look again.
    Send(Vec<Kept>),
    /// Redis is to be read after this place.
    Read(Cursor, ReadLimit),
    /// The channel itself has to come as far first.
    Wait,
    /// The place can't be gone on from.
    Reset(ResetReason),
}

impl Resume {
    /// A client that has seen `since`.
    pub(crate) fn new(since: Cursor, rules: Rules) -> Self {
        Self {
            seen: since,
            read: since,
            verified: false,
            asked_at: None,
            at_end: None,
            nearest: None,
            left: rules,
        }
    }

    /// How far the client has come: its last event, and the last entry read for it.
    pub(crate) fn place(&self) -> (Cursor, Cursor) {
        (self.seen, self.read)
    }

    /// What the client needs, given what the ring holds at this moment.
    pub(crate) fn next(&mut self, ring: &Ring) -> Next {
        let Some(position) = ring.position() else { return Next::Wait };
        let exhausted = self.left.events == 0 || self.left.bytes == 0;
        let rest = ring.after(self.read).or_else(|| ring.after(self.seen));
        if let Some(rest) = rest {
            return self.kept_rest(rest, exhausted);
        }
        // Redis was read further than the channel has come, or holds nothing newer while
        // the channel has come elsewhere: reading again would tell nothing new.
        if self.is_ahead_of(position) || self.at_end == Some(position) {
            return Next::Wait;
        }
        if exhausted {
            return Next::Reset(ResetReason::Trimmed);
        }
        self.asked_at = Some(position);
        let events = self.left.events.min(PAGE.events);
        let bytes = self.left.bytes.min(PAGE.bytes);
        Next::Read(self.read, ReadLimit { events, bytes })
    }

    /// What of the ring's events comes next: all that is left, or as much as is sent at once.
    fn kept_rest<'a>(&self, rest: impl Iterator<Item = &'a Kept>, exhausted: bool) -> Next {
        let (mut cost, mut events) = (0, Vec::new());
        for kept in rest {
            cost += kept.payload.len() + EVENT_OVERHEAD;
            if cost > PAGE.bytes && !events.is_empty() {
                break;
            }
            events.push(kept.clone());
        }
        match (cost > self.left.join_bytes, exhausted) {
            (false, _) => Next::Join(events),
            (true, false) => Next::Send(events),
            (true, true) => Next::Reset(ResetReason::Trimmed),
        }
    }

    /// Whether the channel has come nearer to where the client is, since the last call. If
    /// it only moves, somewhere else, it may never come there.
    pub(crate) fn is_approached(&mut self, ring: &Ring) -> bool {
        let Some(position) = ring.position().filter(|position| self.is_ahead_of(*position)) else {
            return false;
        };
        let before = self.nearest.replace(position.id());
        before.is_none_or(|before| before < position.id())
    }

    fn is_ahead_of(&self, position: Cursor) -> bool {
        self.verified && self.read.id() > position.id()
    }

    /// These events were sent.
    pub(crate) fn sent(&mut self, events: &[Kept]) {
        let Some(last) = events.last() else { return };
        self.seen = last.cursor;
        self.read = last.cursor;
        self.verified = true;
        self.left.events = self.left.events.saturating_sub(events.len());
        let bytes: usize = events.iter().map(|kept| kept.payload.len()).sum();
        self.left.bytes = self.left.bytes.saturating_sub(bytes);
        self.at_end = None;
    }

    /// Redis was read up to this entry, and what it had was sent.
    pub(crate) fn read_to(&mut self, entry: Cursor, is_last: bool) {
        self.read = entry;
        self.verified = true;
        self.at_end = self.asked_at.filter(|_| is_last);
    }

    /// Enough was waited: Redis may be asked again.
    pub(crate) fn ask_again(&mut self) {
        self.verified = false;
        self.at_end = None;
    }

    /// Why a client is given up that the channel does not come to meet.
    pub(crate) fn given_up(&self, ring: &Ring) -> ResetReason {
        if ring.spans(self.seen) { ResetReason::Forked } else { ResetReason::Unknown }
    }
}

#[cfg(test)]
#[path = "resume_tests.rs"]
mod tests;
