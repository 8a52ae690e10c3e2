//! Whether one client got every event once and in order.

use std::ops::Range;

/// The sequence numbers that one client has seen. Exact for any pattern of loss,
/// and without memory as long as nothing is missing.
#[derive(Debug, Default)]
pub struct Checker {
    /// The number after the highest seen.
    next: u64,
    /// What is missing below `next`, ascending.
    missing: Vec<Range<u64>>,
    duplicated: u64,
    reordered: u64,
}

/// What went wrong, in events.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// Published and never arrived.
    pub lost: u64,
    /// Arrived again.
    pub duplicated: u64,
    /// Arrived for the first time, but after one with a higher number.
    pub reordered: u64,
}

impl Checker {
    /// Notes the arrival of event number `sequence`.
    pub fn saw(&mut self, sequence: u64) {
        if sequence == self.next {
            self.next += 1;
        } else if sequence > self.next {
            self.missing.push(self.next..sequence);
            self.next = sequence + 1;
        } else {
            self.saw_late(sequence);
        }
    }

    fn saw_late(&mut self, sequence: u64) {
        let index = self.missing.partition_point(|range| range.end <= sequence);
        let Some(range) =
            self.missing.get(index).filter(|range| range.contains(&sequence)).cloned()
        else {
            self.duplicated += 1;
            return;
        };
        self.reordered += 1;
        let parts = [range.start..sequence, sequence + 1..range.end];
        self.missing.splice(index..=index, parts.into_iter().filter(|part| !part.is_empty()));
    }

    /// The verdict, once `published` events were published and the time for them
    /// to arrive has passed.
    pub fn verdict(&self, published: u64) -> Verdict {
        let holes: u64 = self.missing.iter().map(|range| range.end - range.start).sum();
        Verdict {
            lost: holes + published.saturating_sub(self.next),
            duplicated: self.duplicated,
            reordered: self.reordered,
        }
    }
}

impl std::ops::AddAssign for Verdict {
    fn add_assign(&mut self, other: Self) {
        self.lost += other.lost;
        self.duplicated += other.duplicated;
        self.reordered += other.reordered;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(arrivals: &[u64], lost: u64, duplicated: u64, reordered: u64) {
        let mut checker = Checker::default();
        for &sequence in arrivals {
            checker.saw(sequence);
        }
        assert_eq!(checker.verdict(6), Verdict { lost, duplicated, reordered });
    }

    #[test]
    fn all_in_order_is_clean() {
        check(&[0, 1, 2, 3, 4, 5], 0, 0, 0);
    }

    #[test]
    fn a_loss_is_noticed_at_the_start_in_the_middle_and_at_the_end() {
        check(&[1, 2, 3, 4, 5], 1, 0, 0);
        check(&[0, 1, 4, 5], 2, 0, 0);
        check(&[0, 1, 2, 3], 2, 0, 0);
        check(&[0, 2, 4], 3, 0, 0);
        check(&[], 6, 0, 0);
    }

    #[test]
    fn a_duplicate_is_noticed_at_once_and_later() {
        check(&[0, 0, 1, 2, 3, 4, 5], 0, 1, 0);
        check(&[0, 1, 2, 3, 4, 5, 0, 5], 0, 2, 0);
        check(&[0, 2, 1, 1, 3, 4, 5], 0, 1, 1);
    }

    #[test]
    fn a_reorder_is_neither_a_loss_nor_a_duplicate() {
        check(&[0, 2, 1, 3, 4, 5], 0, 0, 1);
        check(&[5, 2, 0, 3, 1, 4], 0, 0, 5);
        check(&[5, 4, 3, 2, 1, 0], 0, 0, 5);
    }

    #[test]
    fn a_mix_is_told_apart() {
        check(&[0, 3, 1, 3, 5], 2, 1, 1);
    }
}
