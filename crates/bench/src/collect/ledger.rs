//! The accounts: what the collector said it took, what came out as events, and what it
//! counted, page by page.

use super::beacons::PAGES;

/// Page views by page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ByPage(Box<[u64]>);

impl Default for ByPage {
    fn default() -> Self {
        Self(vec![0; PAGES].into_boxed_slice())
    }
}

impl ByPage {
    /// One more of `page`.
    pub fn add(&mut self, page: usize) {
        self.0[page] += 1;
    }

    /// All of them.
    pub fn sum(&self) -> u64 {
        self.0.iter().sum()
    }
}

/// What was said and what was seen.
#[derive(Debug, Default)]
pub struct Ledger {
    /// Answered with 204.
    pub accepted: ByPage,
    /// Answered with 5xx or not at all: the collector may have taken it, or not.
    pub unknown: ByPage,
}

/// What came through the channel.
#[derive(Debug, Default)]
pub struct Received {
    /// Events about a page of the site.
    pub pages: ByPage,
    /// Events about nothing that was sent.
    pub strays: u64,
}

/// What does not add up.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Books {
    /// Accepted and never seen as an event.
    pub lost: u64,
    /// Seen more often than accepted.
    pub duplicated: u64,
    /// By how much the total that the collector keeps is wrong.
    pub miscounted: u64,
}

impl Ledger {
    /// Compares it with what was `received` and with `total_events` of the statistics.
    pub fn compare(&self, received: &Received, total_events: u64) -> Books {
        let pages = self.accepted.0.iter().zip(&self.unknown.0).zip(&received.pages.0);
        let (mut lost, mut duplicated) = (0, received.strays);
        for ((&accepted, &unknown), &seen) in pages {
            lost += accepted.saturating_sub(seen);
            duplicated += seen.saturating_sub(accepted + unknown);
        }
        let (least, most) = (self.accepted.sum(), self.accepted.sum() + self.unknown.sum());
        let miscounted = total_events.abs_diff(total_events.clamp(least, most));
        Books { lost, duplicated, miscounted }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pages(counts: &[u64]) -> ByPage {
        let mut pages = ByPage::default();
        pages.0[..counts.len()].copy_from_slice(counts);
        pages
    }

    #[track_caller]
    fn check(unknown: &[u64], seen: &[u64], strays: u64, total: u64, expected: [u64; 3]) {
        let ledger = Ledger { accepted: pages(&[5, 3, 0]), unknown: pages(unknown) };
        let books = ledger.compare(&Received { pages: pages(seen), strays }, total);
        let [lost, duplicated, miscounted] = expected;
        assert_eq!(books, Books { lost, duplicated, miscounted });
    }

    #[test]
    fn all_that_was_accepted_and_nothing_else_is_clean() {
        check(&[], &[5, 3], 0, 8, [0, 0, 0]);
    }

    #[test]
    fn a_loss_and_a_repetition_do_not_make_up_for_each_other() {
        check(&[], &[4, 4], 0, 8, [1, 1, 0]);
        check(&[], &[5, 2], 1, 8, [1, 1, 0]);
        check(&[], &[], 0, 8, [8, 0, 0]);
    }

    #[test]
    fn a_total_that_is_too_low_or_too_high_is_off() {
        check(&[], &[5, 3], 0, 7, [0, 0, 1]);
        check(&[], &[5, 3], 0, 10, [0, 0, 2]);
    }

    #[test]
    fn a_view_without_a_clear_answer_may_be_there_once_and_not_twice() {
        check(&[1], &[5, 3], 0, 8, [0, 0, 0]);
        check(&[1], &[6, 3], 0, 9, [0, 0, 0]);
        check(&[1], &[7, 3], 0, 10, [0, 1, 1]);
    }
}
