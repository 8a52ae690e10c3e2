//! How many entries are asked for at once, so that an answer stays small however large
//! they are: Redis can be asked for a number of entries, not for a number of bytes.

/// What an answer should have, about, bytes.
const ANSWER: usize = 1 << 20;
/// What is taken for an entry's size before any was seen, bytes.
const GUESS: usize = 1 << 10;
/// More entries in one answer save nothing.
const MOST: usize = 1_000;

/// What entries take, judged by those that were read.
#[derive(Debug, Clone)]
pub(crate) struct Appetite {
    typical: usize,
}

impl Appetite {
    /// Nothing was read yet.
    pub(crate) fn new() -> Self {
        Self { typical: GUESS }
    }

    /// The `COUNT` for each of so many streams.
    pub(crate) fn count(&self, streams: usize) -> usize {
        self.count_within(ANSWER, streams)
    }

    /// The `COUNT` for each of so many streams, if all together should have at most `bytes`.
    pub(crate) fn count_within(&self, bytes: usize, streams: usize) -> usize {
        (bytes / self.typical / streams.max(1)).clamp(1, MOST)
    }

    /// Learns from an answer of so many entries and bytes: at once that entries are larger,
    /// slowly that they are smaller.
    pub(crate) fn learn(&mut self, entries: usize, bytes: usize) {
        if entries == 0 {
            return;
        }
        let mean = (bytes / entries).max(1);
        self.typical = mean.max((self.typical * 7 + mean) / 8);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_stays_near_a_mebibyte_and_is_never_nothing() {
        let mut appetite = Appetite::new();
        assert_eq!((appetite.count(1), appetite.count(500)), (MOST, 2));
        appetite.learn(2, 2 << 20);
        assert_eq!((appetite.count(1), appetite.count(500)), (1, 1));
        for _ in 0..100 {
            appetite.learn(1, 200);
        }
        let count = appetite.count(500);
        assert!((8..=10).contains(&count), "{count}");
        appetite.learn(1, 0);
        assert!(appetite.count_within(usize::MAX, 1) == MOST);
    }
}
