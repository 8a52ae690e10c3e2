//! What one client was told of one pub/sub channel.
//!
//! Nothing is promised but honesty: an event that is missing must lie inside of a gap
//! that was told, or in the time that the client itself was away.

use super::{Fate, Ledger, Numbers};

/// A stretch of time, Unix milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// When it began.
    pub from: u64,
    /// When it ended.
    pub to: u64,
}

impl Span {
    fn meets(&self, other: &Self) -> bool {
        self.from <= other.to && other.from <= self.to
    }
}

/// A `gap` that a client was told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToldGap {
    /// Its reason as it stood on the wire.
    pub reason: String,
    /// The time it covers.
    pub span: Span,
    /// When it arrived, Unix milliseconds.
    pub at: u64,
}

/// What a client was told, as it went.
#[derive(Debug, Clone, Default)]
pub struct PubSubRecord {
    joined_at: Option<u64>,
    away_since: Option<u64>,
    away: Vec<Span>,
    gaps: Vec<ToldGap>,
    seen: Numbers,
    last: u64,
    duplicated: usize,
    /// Each event that came behind a later one, with that one.
    inversions: Vec<(u64, u64)>,
}

/// The judgement over one client and channel.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PubSubVerdict {
    /// Events that the client got.
    pub received: usize,
    /// Events that are missing inside of a gap that was told.
    pub told: usize,
    /// Events that are missing because the client was away.
    pub away: usize,
    /// Events that are missing without a word.
    pub silent: usize,
    /// Events that it got twice.
    pub duplicated: usize,
    /// Events that arrived behind a later one.
    pub reordered: usize,
    /// Gaps that it was told.
    pub gaps: usize,
}

impl PubSubRecord {
    /// Notes an acknowledged subscribe.
    pub fn joined(&mut self, at: u64) {
        self.joined_at.get_or_insert(at);
        if let Some(from) = self.away_since.take() {
            self.away.push(Span { from, to: at });
        }
    }

    /// Notes that the connection is gone; `at` is the last moment it was known to live.
    pub fn left(&mut self, at: u64) {
        if self.joined_at.is_some() {
            self.away_since.get_or_insert(at);
        }
    }

    /// Notes an event.
    pub fn event(&mut self, number: u64) {
        if !self.seen.insert(number) {
            self.duplicated += 1;
        } else if number < self.last {
            self.inversions.push((number, self.last));
        } else {
            self.last = number;
        }
    }

    /// Notes a gap.
    pub fn gap(&mut self, reason: &str, span: Span, at: u64) {
        self.gaps.push(ToldGap { reason: reason.to_owned(), span, at });
    }

    /// All gaps so far.
    pub fn gaps(&self) -> &[ToldGap] {
        &self.gaps
    }

    /// Judges it by what the producer knows of this channel.
    pub fn judge(&self, ledger: &Ledger, channel: usize) -> PubSubVerdict {
        let is_acknowledged = |number: u64| {
            let fate = ledger.get(channel, number).map(|entry| entry.fate);
            matches!(fate, Some(Fate::Acknowledged(_)))
        };
        // The numbers of events whose answer was lost say nothing about Redis's order.
        let is_reordered =
            |&&(early, late): &&(u64, u64)| is_acknowledged(early) && is_acknowledged(late);
        let mut verdict = PubSubVerdict {
            received: self.seen.len(),
            duplicated: self.duplicated,
            reordered: self.inversions.iter().filter(is_reordered).count(),
            gaps: self.gaps.len(),
            ..PubSubVerdict::default()
        };
        for (_, published) in self.missing(ledger, channel) {
            if self.gaps.iter().any(|gap| gap.span.meets(&published)) {
                verdict.told += 1;
            } else if self.was_away(&published) {
                verdict.away += 1;
            } else {
                verdict.silent += 1;
            }
        }
        verdict
    }

    /// The events that are missing without a word: number, and when each was published.
    pub fn silent(&self, ledger: &Ledger, channel: usize) -> Vec<(u64, Span)> {
        let mut missing = self.missing(ledger, channel);
        let is_told = |span: &Span| self.gaps.iter().any(|gap| gap.span.meets(span));
        missing.retain(|(_, published)| !is_told(published) && !self.was_away(published));
        missing
    }

    fn missing(&self, ledger: &Ledger, channel: usize) -> Vec<(u64, Span)> {
        let Some(joined_at) = self.joined_at else { return Vec::new() };
        let due = ledger.all(channel).into_iter().filter_map(|(number, entry)| {
            let Fate::Acknowledged(to) = entry.fate else { return None };
            // Within one millisecond nobody knows which came first.
            let is_due = entry.sent > joined_at && !self.seen.contains(number);
            is_due.then_some((number, Span { from: entry.sent, to }))
        });
        due.collect()
    }

    /// All times that the client was away.
    pub fn absences(&self) -> &[Span] {
        &self.away
    }

    fn was_away(&self, published: &Span) -> bool {
        let since = self.away_since.map(|from| Span { from, to: u64::MAX });
        self.away.iter().chain(&since).any(|away| away.meets(published))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Events 1..=6, sent at 100, 200 and so on and acknowledged 10 ms later.
    fn ledger() -> Ledger {
        let ledger = Ledger::new(1);
        for number in 1..=6 {
            let sent = number * 100;
            assert_eq!(ledger.begin(0, sent), number);
            ledger.settle(0, number, Fate::Acknowledged(sent + 10));
        }
        ledger
    }

    fn told(numbers: &[u64]) -> PubSubRecord {
        let mut record = PubSubRecord::default();
        record.joined(150);
        numbers.iter().for_each(|&number| record.event(number));
        record
    }

    #[track_caller]
    fn check(record: &PubSubRecord, expected: PubSubVerdict) {
        assert_eq!(record.judge(&ledger(), 0), expected);
    }

    #[test]
    fn all_since_the_join_is_clean() {
        check(&told(&[2, 3, 4, 5, 6]), PubSubVerdict { received: 5, ..PubSubVerdict::default() });
    }

    #[test]
    fn finds_what_is_missing_without_a_word() {
        let mut record = told(&[2, 5, 6]);
        let expected = PubSubVerdict { received: 3, silent: 2, ..PubSubVerdict::default() };
        check(&record, expected);
        record.gap("redis_disconnected", Span { from: 250, to: 305 }, 0);
        check(&record, PubSubVerdict { told: 1, silent: 1, gaps: 1, ..expected });
        record.gap("redis_disconnected", Span { from: 405, to: 420 }, 0);
        check(&record, PubSubVerdict { told: 2, silent: 0, gaps: 2, ..expected });
    }

    #[test]
    fn knows_when_the_client_was_away() {
        let mut record = told(&[2]);
        record.left(290);
        record.joined(405);
        let expected = PubSubVerdict { received: 1, away: 2, silent: 2, ..Default::default() };
        check(&record, expected);
        record.left(480);
        check(&record, PubSubVerdict { away: 4, silent: 0, ..expected });
    }

    #[test]
    fn finds_duplicates_and_what_was_reordered() {
        let record = told(&[2, 4, 3, 5, 5, 6]);
        let expected =
            PubSubVerdict { received: 5, duplicated: 1, reordered: 1, ..Default::default() };
        check(&record, expected);
    }

    #[test]
    fn what_redis_has_not_confirmed_is_neither_missing_nor_out_of_order() {
        let ledger = ledger();
        ledger.settle(0, 3, Fate::Unknown);
        ledger.settle(0, 5, Fate::Refused);
        let verdict = told(&[2, 4, 3, 6]).judge(&ledger, 0);
        assert_eq!(verdict, PubSubVerdict { received: 4, ..Default::default() });
    }
}
