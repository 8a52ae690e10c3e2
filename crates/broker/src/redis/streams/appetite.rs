//! How much is asked for at once, so that an answer stays small however large entries are:
//! Redis can be asked for a number of entries, not for a number of bytes.

/// What an answer should have, about, bytes.
const ANSWER: usize = 1 << 20;
/// What an answer may have where many streams are asked for one entry each, bytes.
const ANSWER_OF_MANY: usize = 8 << 20;
/// What is taken for an entry's size before any was seen, bytes.
const GUESS: usize = 1 << 10;
/// Entries in one answer before any was seen: each may have the largest size that there is.
const FIRST: usize = 16;
/// So many times as many as were read are asked for next.
const GROWTH: usize = 8;
/// More entries in one answer save nothing.
const MOST: usize = 1_000;

/// What entries take, judged by those that were read.
#[derive(Debug, Clone)]
pub(crate) struct Appetite {
    typical: usize,
    /// How many may be asked for, by how many are known.
    most: usize,
}

impl Appetite {
    /// Nothing was read yet.
    pub(crate) fn new() -> Self {
        Self { typical: GUESS, most: FIRST }
    }

    /// The `COUNT` for each of so many streams.
    pub(crate) fn count(&self, streams: usize) -> usize {
        (self.count_within(ANSWER) / streams.max(1)).max(1)
    }

    /// The `COUNT` for one stream, if the answer should have at most `bytes`.
    pub(crate) fn count_within(&self, bytes: usize) -> usize {
        (bytes / self.typical).clamp(1, self.most)
    }

    /// Of how many streams an answer stays small if each of them has an entry to tell.
    pub(crate) fn reach(&self) -> usize {
        self.count_within(ANSWER_OF_MANY)
    }

    /// Learns from an answer of so many entries and bytes: at once that entries are larger,
    /// slowly that they are smaller.
    pub(crate) fn learn(&mut self, entries: usize, bytes: usize) {
        if entries == 0 {
            return;
        }
        let mean = (bytes / entries).max(1);
        self.typical = mean.max((self.typical * 7 + mean) / 8);
        self.most = entries.saturating_mul(GROWTH - 1).saturating_add(self.most).min(MOST);
    }

    /// An answer did not come in time; perhaps it was too large.
    pub(crate) fn was_too_much(&mut self) {
        self.most = (self.most / 2).max(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_stays_near_a_mebibyte_and_is_never_nothing() {
        let mut appetite = Appetite::new();
        for _ in 0..10 {
            appetite.learn(16, 16 << 10);
        }
        assert_eq!((appetite.count(1), appetite.count(500)), (MOST, 2));
        appetite.learn(2, 2 << 20);
        assert_eq!((appetite.count(1), appetite.count(500)), (1, 1));
        for _ in 0..100 {
            appetite.learn(1, 200);
        }
        let count = appetite.count(100);
        assert!((8..=10).contains(&count), "{count}");
        appetite.learn(1, 0);
        assert_eq!(appetite.count_within(usize::MAX), MOST);
    }

    #[test]
    fn what_was_never_read_may_be_large() {
        let mut appetite = Appetite::new();
        assert_eq!((appetite.count(1), appetite.count(500), appetite.reach()), (16, 1, 16));
        appetite.learn(16, 16 * 200);
        assert_eq!((appetite.count(1), appetite.reach()), (128, 128));
        appetite.learn(128, 128 * 200);
        assert_eq!((appetite.count(1), appetite.reach()), (MOST, MOST));
        appetite.learn(1, 1 << 20);
        assert_eq!((appetite.count(1), appetite.reach()), (1, 8), "some MiB, not 500");
    }

    #[test]
    fn what_comes_too_late_is_asked_for_by_halves() {
        let mut appetite = Appetite::new();
        let counts: Vec<usize> = (0..6)
            .map(|_| {
                appetite.was_too_much();
                appetite.count(1)
            })
            .collect();
        assert_eq!(counts, [8, 4, 2, 1, 1, 1]);
        appetite.learn(1, 200);
        assert_eq!(appetite.count(1), 8);
    }
}
