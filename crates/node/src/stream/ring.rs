//! The last events of a stream channel, in order and without a hole, so that clients that
//! come back together need not read Redis.

use std::collections::VecDeque;

use bytes::Bytes;
use redcast_protocol::Cursor;

/// The most events that are kept of one channel.
const EVENTS: usize = 256;
/// The most bytes of payloads that are kept of one channel.
const BYTES: usize = 256 << 10;

/// An event and its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Kept {
    pub(crate) cursor: Cursor,
    pub(crate) payload: Bytes,
}

/// What was told of a channel last.
#[derive(Debug, Default)]
pub(crate) struct Ring {
    /// The place in front of the first event that is kept; none until the broker has said
    /// where the channel begins.
    base: Option<Cursor>,
    kept: VecDeque<Kept>,
    bytes: usize,
    /// The last entry, if it is no event: behind all that is kept.
    passed: Option<Cursor>,
    /// Whether an entry that the broker tells a gap for stands behind all that is kept.
    is_cut: bool,
}

impl Ring {
    /// The place up to which everything was told.
    pub(crate) fn position(&self) -> Option<Cursor> {
        let kept = || self.kept.back().map(|last| last.cursor);
        self.passed.or_else(kept).or(self.base)
    }

    /// From here on events follow, and nothing is known of those before.
    pub(crate) fn begin(&mut self, place: Cursor) {
        self.forget();
        self.base = Some(place);
    }

    /// The channel is no longer followed.
    pub(crate) fn forget(&mut self) {
        *self = Self::default();
    }

    /// Adds the next event. Answers whether it belongs here: before the broker has said
    /// where the channel begins, what arrives is left from an earlier interest in it.
    pub(crate) fn push(&mut self, event: Kept) -> bool {
        let Some(position) = self.position() else { return false };
        self.passed = None;
        if self.is_cut || event.cursor.id() <= position.id() {
            // No broker does this. What was kept could not be searched any more.
            self.begin(event.cursor);
            return true;
        }
        self.bytes += event.payload.len();
        self.kept.push_back(event);
        while self.kept.len() > EVENTS || self.bytes > BYTES {
            let Some(oldest) = self.kept.pop_front() else { break };
            self.bytes -= oldest.payload.len();
            self.base = Some(oldest.cursor);
        }
        true
    }

    /// An entry that is no event stands behind all others.
    pub(crate) fn pass(&mut self, entry: Cursor) {
        match self.position() {
            Some(_) if self.is_cut => self.begin(entry),
            position => self.passed = position.map(|_| entry),
        }
    }

    /// A gap follows all that is kept. Whoever comes back over it has to be told, and a
    /// page of Redis tells at which place.
    pub(crate) fn cut(&mut self) {
        self.is_cut = self.position().is_some();
    }

    /// The events after `place`; none if what follows it is not all here, or if `place`
    /// is one of another history.
    pub(crate) fn after(&self, place: Cursor) -> Option<impl ExactSizeIterator<Item = &Kept>> {
        if self.is_cut {
            return None;
        }
        let first = if self.base == Some(place) {
            0
        } else if self.passed == Some(place) {
            self.kept.len()
        } else {
            let found = self.kept.binary_search_by_key(&place.id(), |kept| kept.cursor.id());
            let index = found.ok().filter(|index| self.kept[*index].cursor == place)?;
            index + 1
        };
        Some(self.kept.range(first..))
    }

    /// How many events are kept.
    pub(crate) fn len(&self) -> usize {
        self.kept.len()
    }

    /// The place in front of the last `count` events, or of as many of them as have no more
    /// than `bytes`; none if not so many are kept.
    pub(crate) fn before_last(&self, count: usize, bytes: usize) -> Option<Cursor> {
        let first = self.kept.len().checked_sub(count)?;
        let fitting = count_within(self.kept.range(first..).rev(), bytes);
        match (self.kept.len() - fitting).checked_sub(1) {
            Some(before) => self.kept.get(before).map(|kept| kept.cursor),
            None => self.base,
        }
    }

    /// Whether the ring knows which events stand around a place with this ID.
    pub(crate) fn spans(&self, place: Cursor) -> bool {
        let (Some(base), Some(position)) = (self.base, self.position()) else { return false };
        (base.id()..=position.id()).contains(&place.id())
    }
}

/// How many of these events, from the first on, have no more than `bytes` together.
pub(super) fn count_within<'a>(events: impl Iterator<Item = &'a Kept>, bytes: usize) -> usize {
    let mut left = bytes;
    let fits = |kept: &&Kept| match left.checked_sub(kept.payload.len()) {
        Some(rest) => {
            left = rest;
            true
        }
        None => false,
    };
    events.take_while(fits).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(number: u64, payload: &'static str) -> Kept {
        Kept {
            cursor: Cursor::of(number, 0, payload.as_bytes()),
            payload: Bytes::from_static(payload.as_bytes()),
        }
    }

    fn payloads<'a>(events: Option<impl Iterator<Item = &'a Kept>>) -> Option<Vec<&'a str>> {
        Some(events?.map(|kept| std::str::from_utf8(&kept.payload).unwrap()).collect())
    }

    fn begun() -> Ring {
        let mut ring = Ring::default();
        ring.begin(kept(10, "before").cursor);
        for (number, payload) in [(11, "a"), (12, "b"), (14, "c")] {
            assert!(ring.push(kept(number, payload)));
        }
        ring
    }

    #[test]
    fn tells_what_follows_a_place_it_knows() {
        let ring = begun();
        let after = |number, payload| payloads(ring.after(kept(number, payload).cursor));
        assert_eq!(after(10, "before"), Some(vec!["a", "b", "c"]));
        assert_eq!(after(12, "b"), Some(vec!["c"]));
        assert_eq!(after(14, "c"), Some(vec![]));
        assert_eq!(after(9, "x"), None, "older");
        assert_eq!(after(13, "x"), None, "never there");
        assert_eq!(after(15, "x"), None, "newer");
        assert_eq!(after(12, "other"), None, "of another history");
        assert_eq!(after(10, "other"), None);
        assert_eq!(ring.position(), Some(kept(14, "c").cursor));
        let before_last = |count, bytes| ring.before_last(count, bytes);
        assert_eq!(before_last(2, 9), Some(kept(11, "a").cursor));
        assert_eq!(before_last(3, 9), Some(kept(10, "before").cursor));
        assert_eq!(before_last(3, 2), Some(kept(11, "a").cursor), "two have so many bytes");
        assert_eq!(before_last(0, 9), Some(kept(14, "c").cursor));
        assert_eq!(before_last(4, 9), None);
    }

    #[test]
    fn takes_nothing_before_it_has_begun_and_forgets_when_it_begins_anew() {
        let mut ring = Ring::default();
        assert!(!ring.push(kept(1, "early")));
        assert_eq!((ring.position(), ring.spans(kept(1, "early").cursor)), (None, false));
        let mut ring = begun();
        assert!(ring.spans(kept(13, "").cursor) && !ring.spans(kept(15, "").cursor));
        ring.begin(kept(5, "e").cursor);
        assert_eq!(ring.position(), Some(kept(5, "e").cursor));
        assert_eq!(payloads(ring.after(kept(12, "b").cursor)), None);
        assert!(ring.push(kept(6, "f")));
        assert_eq!(payloads(ring.after(kept(5, "e").cursor)), Some(vec!["f"]));
    }

    #[test]
    fn an_event_that_goes_back_is_no_place_to_search_around() {
        let mut ring = begun();
        assert!(ring.push(kept(12, "again")));
        assert_eq!(payloads(ring.after(kept(11, "a").cursor)), None);
        assert_eq!(payloads(ring.after(kept(12, "again").cursor)), Some(vec![]));
    }

    #[test]
    fn an_entry_that_is_no_event_is_a_place_until_an_event_follows() {
        let mut ring = Ring::default();
        ring.pass(kept(1, "early").cursor);
        assert_eq!(ring.position(), None);
        let mut ring = begun();
        let (first, second) = (kept(15, "no").cursor, kept(16, "no").cursor);
        ring.pass(first);
        ring.pass(second);
        assert_eq!(payloads(ring.after(second)), Some(vec![]));
        assert_eq!(payloads(ring.after(first)), None, "it is not kept");
        assert_eq!(payloads(ring.after(kept(12, "b").cursor)), Some(vec!["c"]));
        assert_eq!(ring.position(), Some(second));
        assert!(ring.push(kept(17, "d")));
        assert_eq!(payloads(ring.after(second)), None, "Redis knows");
        assert_eq!(payloads(ring.after(kept(14, "c").cursor)), Some(vec!["d"]));
        ring.pass(kept(18, "no").cursor);
        ring.begin(kept(14, "c").cursor);
        assert_eq!(ring.position(), Some(kept(14, "c").cursor));
    }

    #[test]
    fn over_a_gap_nobody_goes_on_here() {
        let mut ring = Ring::default();
        ring.cut();
        ring.begin(kept(10, "z").cursor);
        assert_eq!(payloads(ring.after(kept(10, "z").cursor)), Some(vec![]));
        let mut ring = begun();
        let (last, large) = (kept(14, "c").cursor, kept(15, "large").cursor);
        ring.cut();
        assert_eq!((payloads(ring.after(last)), ring.position()), (None, Some(last)));
        ring.pass(large);
        assert_eq!((payloads(ring.after(last)), ring.position()), (None, Some(large)));
        assert_eq!(payloads(ring.after(large)), Some(vec![]));
        assert!(ring.push(kept(16, "d")));
        assert_eq!(payloads(ring.after(large)), Some(vec!["d"]));
    }

    #[test]
    fn keeps_no_more_than_its_bounds() {
        let mut ring = Ring::default();
        ring.begin(Cursor::BEGINNING);
        for number in 1..=1000 {
            ring.push(kept(number, "x"));
        }
        assert_eq!(ring.kept.len(), EVENTS);
        assert_eq!(ring.base, Some(kept(1000 - 256, "x").cursor));
        let payload = Bytes::from(vec![b'y'; BYTES / 2]);
        for number in 1001..=1003 {
            ring.push(Kept { cursor: Cursor::of(number, 0, &payload), payload: payload.clone() });
        }
        assert_eq!((ring.kept.len(), ring.bytes), (2, BYTES));
        assert_eq!(ring.base.map(|base| base.millis), Some(1001));
        let large = Bytes::from(vec![0; BYTES + 1]);
        ring.push(Kept { cursor: Cursor::of(1004, 0, &large), payload: large.clone() });
        assert_eq!((ring.kept.len(), ring.bytes), (0, 0));
        assert_eq!(ring.position(), Some(Cursor::of(1004, 0, &large)));
    }
}
