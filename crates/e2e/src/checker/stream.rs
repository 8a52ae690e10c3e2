//! What one client was told of one stream channel.
//!
//! The order is Redis's own, that of the IDs: a producer that has lost an answer may
//! well have its events in another order than it numbered them. A `reset` names the
//! place from which the channel goes on; what lies between is forgiven, and anything
//! else that Redis holds and the client did not get is lost.

use std::collections::{HashMap, HashSet};

use super::{Numbers, StreamId, ToldGap, before};

/// A `reset` that a client was told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToldReset {
    /// Its reason as it stood on the wire.
    pub reason: String,
    /// When it arrived, Unix milliseconds.
    pub at: u64,
}

/// What a client was told, as it went.
#[derive(Debug, Clone, Default)]
pub struct StreamRecord {
    /// Behind this the client should get everything; none before it has joined.
    began: Option<StreamId>,
    /// The place it has reached.
    reached: Option<StreamId>,
    /// After a reset without a place: where the client had been before it.
    is_open_since: Option<StreamId>,
    seen: Numbers,
    /// What it got since the last reset, which Redis must still hold.
    since_reset: Numbers,
    /// Stretches that a reset has forgiven: behind the first, up to the second.
    forgiven: Vec<(StreamId, StreamId)>,
    resets: Vec<ToldReset>,
    /// What each reset took back, by its number.
    taken_back: Vec<TakenBack>,
    gaps: Vec<ToldGap>,
    duplicated: usize,
    reordered: usize,
}

/// What a client had when it was told a reset: the cause lies in it, or there is none.
#[derive(Debug, Clone, Default)]
struct TakenBack {
    /// Entries that it had got since the reset before.
    got: Numbers,
    /// Where its cursor stood.
    cursor: Option<StreamId>,
}

/// What Redis holds of a channel at the end: IDs and numbers, in order.
#[derive(Debug, Clone, Default)]
pub struct Truth {
    entries: Vec<(StreamId, u64)>,
    places: HashMap<u64, StreamId>,
    /// Every ID, also of entries that are no event of the producer's.
    ids: HashSet<StreamId>,
    is_whole: bool,
}

/// The judgement over one client and channel.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StreamVerdict {
    /// Entries that the client got.
    pub received: usize,
    /// Entries that Redis holds and the client should have got, and did not.
    pub lost: usize,
    /// Entries that it got twice.
    pub duplicated: usize,
    /// Entries that arrived behind a later one.
    pub reordered: usize,
    /// Resets that it was told.
    pub resets: usize,
    /// Entries that it got, that Redis no longer holds, and of which no reset told.
    pub forked: usize,
    /// Resets although Redis still holds all that it had got, and where its cursor stood.
    pub causeless: usize,
    /// Gaps that it was told.
    pub gaps: usize,
}

impl Truth {
    /// What Redis holds. `is_whole`: nothing was ever taken away on purpose.
    pub fn new(entries: Vec<(StreamId, u64)>, is_whole: bool) -> Self {
        let places = entries.iter().map(|&(id, number)| (number, id)).collect();
        let ids = entries.iter().map(|&(id, _)| id).collect();
        Self { entries, places, ids, is_whole }
    }

    /// The same with entries that are no event of the producer's: cursors may stand there.
    pub fn with_strangers(mut self, ids: impl IntoIterator<Item = StreamId>) -> Self {
        self.ids.extend(ids);
        self
    }

    /// The number of the last entry.
    pub fn last(&self) -> Option<u64> {
        self.entries.last().map(|&(_, number)| number)
    }

    /// Whether Redis holds the event with this number.
    pub fn holds(&self, number: u64) -> bool {
        self.places.contains_key(&number)
    }
}

impl StreamRecord {
    /// Notes an acknowledged subscribe: live events follow this place.
    pub fn joined(&mut self, place: StreamId) {
        self.close_reset(place);
        // Of a resume this says nothing new: whoever has jumped ahead has lost events.
        if self.began.is_none() {
            self.began = Some(place);
            self.reached = Some(place);
        }
    }

    /// Notes an event.
    pub fn event(&mut self, id: StreamId, number: u64) {
        self.close_reset(before(id));
        self.began.get_or_insert(before(id));
        self.since_reset.insert(number);
        if !self.seen.insert(number) {
            self.duplicated += 1;
            return;
        }
        if self.reached.is_some_and(|reached| id <= reached) {
            self.reordered += 1;
        } else {
            self.reached = Some(id);
        }
    }

    /// Notes a reset, and the place from which the channel goes on where it was told.
    pub fn reset(&mut self, reason: &str, place: Option<StreamId>, at: u64) {
        self.resets.push(ToldReset { reason: reason.to_owned(), at });
        let got = std::mem::take(&mut self.since_reset);
        self.taken_back.push(TakenBack { got, cursor: self.reached });
        self.is_open_since = self.is_open_since.or(self.reached).or(self.began);
        if let Some(place) = place {
            self.close_reset(place);
            self.began.get_or_insert(place);
            self.reached = Some(place);
        }
    }

    /// Notes a gap.
    pub fn gap(&mut self, gap: ToldGap) {
        self.gaps.push(gap);
    }

    /// All gaps so far.
    pub fn gaps(&self) -> &[ToldGap] {
        &self.gaps
    }

    fn close_reset(&mut self, place: StreamId) {
        if let Some(since) = self.is_open_since.take() {
            if since < place {
                self.forgiven.push((since, place));
            }
            self.reached = Some(place);
        }
    }

    /// The place it has reached.
    pub fn reached(&self) -> Option<StreamId> {
        self.reached
    }

    /// Whether it has got the event with this number.
    pub fn has(&self, number: u64) -> bool {
        self.seen.contains(number)
    }

    /// Where it began, and the place it has reached.
    pub fn places(&self) -> (Option<StreamId>, Option<StreamId>) {
        (self.began, self.reached)
    }

    /// All resets so far.
    pub fn resets(&self) -> &[ToldReset] {
        &self.resets
    }

    /// What it still lacks: numbers that Redis holds, that it should have got and that
    /// no reset has forgiven.
    pub fn missing<'a>(&'a self, truth: &'a Truth) -> impl Iterator<Item = u64> + 'a {
        let is_due = move |&&(id, number): &&(StreamId, u64)| {
            self.began.is_some_and(|began| id > began)
                && !self.seen.contains(number)
                && !self.forgiven.iter().any(|&(from, to)| from < id && id <= to)
        };
        truth.entries.iter().filter(is_due).map(|&(_, number)| number)
    }

    /// Judges it by what Redis holds.
    pub fn judge(&self, truth: &Truth) -> StreamVerdict {
        let gone = self.since_reset.iter().filter(|&number| !truth.holds(number)).count();
        StreamVerdict {
            received: self.seen.len(),
            lost: self.missing(truth).count(),
            duplicated: self.duplicated,
            reordered: self.reordered,
            resets: self.resets.len(),
            forked: if truth.is_whole { gone } else { 0 },
            causeless: if truth.is_whole { self.causeless(truth) } else { 0 },
            gaps: self.gaps.len(),
        }
    }

    fn causeless(&self, truth: &Truth) -> usize {
        self.taken_back.iter().filter(|taken| !taken.has_cause(truth)).count()
    }
}

impl TakenBack {
    fn has_cause(&self, truth: &Truth) -> bool {
        // The beginning of a stream is a place, but no entry.
        let cursor = self.cursor.filter(|&cursor| cursor != (0, 0));
        cursor.is_some_and(|cursor| !truth.ids.contains(&cursor))
            || self.got.iter().any(|number| !truth.holds(number))
    }
}

#[cfg(test)]
#[path = "stream_tests.rs"]
mod tests;
