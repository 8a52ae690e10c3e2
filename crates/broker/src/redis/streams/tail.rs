//! How far one stream has been read, and what Redis's answers mean for that. Pure: it
//! neither asks nor waits, so that every order of events can be played to it.
//!
//! A stream is followed by `XREAD` from a place: an entry, by its ID and the hash of its
//! payload. What was read is told only once it is certain that nothing stood between it
//! and the place. Streams are trimmed at their old end, so it is certain if the place's own
//! entry is still there, asked for after the read. If it is not, Redis's count of all
//! entries that were ever added decides: a stream that keeps few entries loses those that
//! were read all the time, and that is no loss. But a count is worth something only as long
//! as the same server goes on with the same history: another history may have come to the
//! same number.
//!
//! What can't be seen: a stream that is deleted, made again and trimmed by exactly as many
//! entries as it had before, all between two reads.

use redcast_protocol::{Cursor, ResetReason};

/// A stream ID: milliseconds and sequence.
pub type EntryId = (u64, u64);

/// How often a place is looked at, at least: once for so many looks.
const LOOK_CLOSELY_EVERY: u32 = 30;

/// What `XINFO STREAM` tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Census {
    /// There is no such stream.
    Absent,
    /// There is one.
    Present(StreamState),
}

/// A stream as a whole.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StreamState {
    /// How many entries it has.
    pub length: u64,
    /// The highest ID that it ever had.
    pub last_id: EntryId,
    /// The oldest entry.
    pub first: Option<EntryId>,
    /// The newest entry.
    pub last: Option<Cursor>,
    /// How many entries were ever added; unknown to a Redis before 7.0.
    pub added: Option<u64>,
}

/// What Redis's answers mean for what was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing is missing between the place and what was read.
    Intact,
    /// It can't be said without a census.
    AskCensus,
    /// Something may be missing, or is other history. What was read is void; the tail
    /// stands at a new place.
    Reset(ResetReason),
}

/// One stream that is followed.
#[derive(Debug, Clone, Default)]
pub struct Tail {
    place: Option<Place>,
    /// How long the stream was when it was looked at last.
    length: Option<u64>,
    /// Whether anything was read since then.
    has_moved: bool,
    looks: u32,
    /// Whether the place's entry was gone when it was asked for last.
    is_short: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    cursor: Cursor,
    /// Whether an entry stood there, by which the place can be recognised.
    holds_entry: bool,
    /// How many entries had been added up to here, where that is known.
    added: Option<u64>,
}

impl Place {
    const BEGINNING: Self = Self { cursor: Cursor::BEGINNING, holds_entry: false, added: Some(0) };

    fn at_end(state: &StreamState) -> Self {
        match state.last {
            Some(last) if last.id() == state.last_id => {
                Self { cursor: last, holds_entry: true, added: state.added }
            }
            // The newest entries were deleted: what follows is after the highest ID.
            _ => Self { cursor: nowhere(state.last_id), holds_entry: false, added: state.added },
        }
    }

    /// Before all that the stream has. Not where the reading was: what lay between is gone,
    /// and whoever stood there must not take this for the same place.
    fn before_all(state: &StreamState) -> Self {
        let added = state.added.map(|added| added.saturating_sub(state.length));
        let cursor = state.first.map_or(nowhere(state.last_id), |first| nowhere(id_before(first)));
        match added {
            Some(0) => Self::BEGINNING,
            added => Self { cursor, holds_entry: false, added },
        }
    }
}

/// The highest ID below this one.
fn id_before((millis, sequence): EntryId) -> EntryId {
    match sequence.checked_sub(1) {
        Some(sequence) => (millis, sequence),
        None => (millis.saturating_sub(1), u64::MAX),
    }
}

/// The cursor of a place at which no entry is known.
fn nowhere((millis, sequence): EntryId) -> Cursor {
    Cursor { millis, sequence, hash: 0 }
}

impl Tail {
    /// The tail of a stream that nothing is known of. Its `turn` spreads the close looks
    /// of many tails over time.
    pub fn new(turn: u32) -> Self {
        Self { looks: turn % LOOK_CLOSELY_EVERY, ..Self::default() }
    }

    /// Begins at the end of the stream.
    pub fn open(&mut self, census: &Census) -> Cursor {
        let place = match census {
            Census::Absent => Place::BEGINNING,
            Census::Present(state) => Place::at_end(state),
        };
        self.place = Some(place);
        place.cursor
    }

    /// Forgets the place, so that the tail has to be opened again.
    pub fn forget(&mut self) {
        self.place = None;
    }

    /// The place, once it was opened.
    pub fn cursor(&self) -> Option<Cursor> {
        self.place.map(|place| place.cursor)
    }

    /// Whether a verdict will need a census in any case, so that it is better asked for
    /// at once.
    pub fn needs_census(&self) -> bool {
        self.is_short || self.place.is_none_or(|place| !place.holds_entry || place.added.is_none())
    }

    /// Judges what was `read` after the place, oldest first; nothing to judge the place
    /// alone. `before` is the newest entry that is not after the place, asked for after
    /// the read; `census`, if there is one, was asked for after that, and `is_same` says
    /// whether the same server still went on with the same history as before the tail was
    /// opened or judged by a census last.
    pub fn judge(
        &mut self,
        read: &[EntryId],
        before: Option<Cursor>,
        census: Option<&Census>,
        is_same: bool,
    ) -> Verdict {
        let Some(place) = self.place else { return Verdict::AskCensus };
        self.is_short = place.holds_entry && before.is_none();
        let verdict = match (before, census) {
            (Some(found), _) if place.holds_entry && found == place.cursor => Ok(()),
            (Some(found), _) if place.holds_entry || found.id() >= place.cursor.id() => {
                let place = Place { cursor: found, holds_entry: true, added: None };
                Err((ResetReason::Forked, place))
            }
            (_, None) => return Verdict::AskCensus,
            (None, Some(Census::Absent)) if place == Place::BEGINNING && read.is_empty() => Ok(()),
            (_, Some(Census::Absent)) => Err((ResetReason::Unknown, Place::BEGINNING)),
            (Some(_), Some(Census::Present(state))) => judge_end(place, state, is_same),
            (None, Some(Census::Present(state))) => count(place, read, state, is_same),
        };
        match verdict {
            Ok(()) => {
                if let Some(Census::Present(state)) = census {
                    self.learn(read, state);
                }
                Verdict::Intact
            }
            Err((reason, place)) => {
                self.place = Some(place);
                self.has_moved = true;
                self.is_short = false;
                Verdict::Reset(reason)
            }
        }
    }

    /// Goes on behind `count` entries that were judged intact, the last of which is `last`.
    pub fn advance(&mut self, last: Cursor, count: u64) {
        let added = self.place.and_then(|place| place.added).map(|added| added + count);
        self.place = Some(Place { cursor: last, holds_entry: true, added });
        self.has_moved = true;
    }

    /// Takes note of the stream's length, which is looked at from time to time, and says
    /// whether the place must be judged: a stream that has changed without anything to read
    /// is not the one that was followed.
    pub fn look(&mut self, length: u64) -> bool {
        let before = self.length.replace(length);
        let has_moved = std::mem::replace(&mut self.has_moved, false);
        self.looks = (self.looks + 1) % LOOK_CLOSELY_EVERY;
        let Some(place) = self.place else { return false };
        let is_gone = length == 0 && place.holds_entry;
        let has_changed = !has_moved && before.is_some_and(|before| before != length);
        is_gone || has_changed || self.looks == 0 || (place.added.is_none() && place.holds_entry)
    }

    /// Takes over the count of a census that ends where the reading does.
    fn learn(&mut self, read: &[EntryId], state: &StreamState) {
        let Some(place) = self.place.as_mut() else { return };
        let end = read.last().copied().unwrap_or(place.cursor.id());
        if end == state.last_id {
            place.added = state.added.map(|added| added.saturating_sub(read.len() as u64));
        }
    }
}

type Judgement = Result<(), (ResetReason, Place)>;

/// The place holds no entry and there are older ones, so nothing after it was trimmed.
fn judge_end(place: Place, state: &StreamState, is_same: bool) -> Judgement {
    let went_on = state.last_id >= place.cursor.id() && state.added >= place.added;
    if went_on && is_same { Ok(()) } else { Err((ResetReason::Forked, Place::at_end(state))) }
}

/// Nothing is left at the place or before it: were all entries that were added since read,
/// or are they still to be read?
fn count(place: Place, read: &[EntryId], state: &StreamState, is_same: bool) -> Judgement {
    if state.last_id < place.cursor.id() {
        return Err((ResetReason::Forked, Place::at_end(state)));
    }
    if state.length == 0 && read.is_empty() && place.holds_entry {
        return Err((ResetReason::Trimmed, Place::at_end(state)));
    }
    let gone = read.iter().filter(|id| state.first.is_none_or(|first| **id < first)).count();
    let accounted = gone as u64 + state.length;
    let restart = Place::before_all(state);
    // Whoever saw nothing yet is right in any history.
    let is_new_to_all = place == Place::BEGINNING;
    match (place.added, state.added) {
        (Some(was), Some(is)) if is < was => Err((ResetReason::Forked, restart)),
        (Some(was), Some(is)) if is - was == accounted && (is_same || is_new_to_all) => Ok(()),
        // A Redis without the count can't tell; a place that never had an entry is believed.
        (_, None) if !place.holds_entry && (is_same || is_new_to_all) => Ok(()),
        _ => Err((ResetReason::Trimmed, restart)),
    }
}

#[cfg(test)]
#[path = "tail_tests.rs"]
mod tests;
