//! Which streams are read next: all of them, where their answers together stay small, and
//! else some after the other.
//!
//! A read that waits for what is new is one of all streams. It may be, however large entries
//! are, right after few of them had anything to tell: then its answer has what came since.

use std::ops::Range;
use std::time::{Duration, Instant};

/// How long it is believed that there is little to tell: what came meanwhile stays small.
const BELIEVED_FOR: Duration = Duration::from_millis(250);

/// Whose turn it is among the streams of one connection.
#[derive(Debug, Default)]
pub(crate) struct Turns {
    next: usize,
    /// How many streams had more to tell than they could, since the first one's turn.
    behind: usize,
    /// When it turned out that there is little to tell.
    little_since: Option<Instant>,
}

impl Turns {
    /// Those of so many streams that are read at `now`, if an answer may be of `reach`.
    pub(crate) fn take(&mut self, streams: usize, reach: usize, now: Instant) -> Range<usize> {
        let is_believed = |since| now.saturating_duration_since(since) <= BELIEVED_FOR;
        if streams <= reach || self.little_since.is_some_and(is_believed) {
            (self.next, self.behind) = (0, 0);
            return 0..streams;
        }
        if self.next >= streams {
            (self.next, self.behind) = (0, 0);
        }
        self.next..streams.min(self.next + reach.max(1))
    }

    /// These of so many streams were read until `now`, and so many were `behind`: there may
    /// be more to read of each.
    pub(crate) fn read(
        &mut self,
        turn: &Range<usize>,
        (streams, reach): (usize, usize),
        behind: usize,
        now: Instant,
    ) {
        self.next = turn.end;
        self.behind += behind;
        if turn.end >= streams {
            self.little_since = (self.behind <= reach).then_some(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_at_once_where_that_is_little() {
        let (mut turns, now) = (Turns::default(), Instant::now());
        for behind in [0, 500] {
            assert_eq!(turns.take(500, 500, now), 0..500);
            turns.read(&(0..500), (500, 500), behind, now);
        }
    }

    #[test]
    fn one_after_the_other_until_there_is_little_to_tell() {
        let (mut turns, mut now) = (Turns::default(), Instant::now());
        for (expected, behind) in [(0..2, 2), (2..4, 1), (4..5, 0), (0..2, 1), (2..4, 1), (4..5, 0)]
        {
            assert_eq!(turns.take(5, 2, now), expected);
            turns.read(&expected, (5, 2), behind, now);
        }
        assert_eq!(turns.take(5, 2, now), 0..5, "two are behind, and that is little");
        turns.read(&(0..5), (5, 2), 0, now);
        now += BELIEVED_FOR * 2;
        assert_eq!(turns.take(5, 2, now), 0..2, "much may have come meanwhile");
        turns.read(&(0..2), (5, 2), 2, now);
        assert_eq!(turns.take(3, 2, now), 2..3, "some have gone");
        assert_eq!(turns.take(9, 2, now), 2..4);
    }

    #[test]
    fn a_read_of_all_that_told_much_is_the_last_for_now() {
        let (mut turns, now) = (Turns::default(), Instant::now());
        turns.read(&(3..5), (5, 2), 0, now);
        assert_eq!(turns.take(5, 2, now), 0..5);
        turns.read(&(0..5), (5, 2), 5, now);
        assert_eq!(turns.take(5, 2, now), 0..2);
    }
}
