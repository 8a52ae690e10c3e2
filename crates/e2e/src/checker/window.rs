//! Where gaps may lie when it is known what was broken, and when.
//!
//! A gap excuses what is missing inside of it, so a gateway that tells too wide a gap,
//! or many of them, could excuse anything. Each fault allows one gap, around it.

use super::ToldGap;

/// One fault, Unix milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// When something was broken.
    pub fault: u64,
    /// When everything was live again.
    pub live: u64,
}

/// What is wrong with the gaps of one client and channel.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct GapVerdict {
    /// Faults of which no gap told.
    pub missing: usize,
    /// Gaps beside the one that a fault allows.
    pub surplus: usize,
    /// Gaps that begin long before the fault.
    pub early: usize,
    /// Gaps that end long after everything was live again.
    pub late: usize,
}

impl GapVerdict {
    /// Whether each fault has its one gap, where it belongs.
    pub fn is_clean(&self) -> bool {
        *self == Self::default()
    }

    /// Adds another one.
    pub fn add(&mut self, other: Self) {
        self.missing += other.missing;
        self.surplus += other.surplus;
        self.early += other.early;
        self.late += other.late;
    }

    /// Judges the gaps that one client was told of one channel. Windows are in order; a gap
    /// belongs to the last fault before it arrived. It may begin and end `slack_ms` outside,
    /// as it begins with the last proof that the link was well.
    pub fn of(gaps: &[ToldGap], windows: &[Window], slack_ms: u64) -> Self {
        let mut verdict = Self::default();
        let mut told = vec![0_usize; windows.len()];
        for gap in gaps {
            let Some(number) = windows.iter().rposition(|window| window.fault <= gap.at) else {
                verdict.surplus += 1;
                continue;
            };
            let Window { fault, live } = windows[number];
            told[number] += 1;
            verdict.early += usize::from(gap.span.from.saturating_add(slack_ms) < fault);
            verdict.late += usize::from(gap.span.to > live.saturating_add(slack_ms));
        }
        verdict.missing = told.iter().filter(|count| **count == 0).count();
        verdict.surplus += told.iter().map(|count| count.saturating_sub(1)).sum::<usize>();
        verdict
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checker::Span;

    const WINDOWS: [Window; 2] =
        [Window { fault: 10_000, live: 14_000 }, Window { fault: 20_000, live: 22_000 }];

    fn gap(from: u64, to: u64) -> ToldGap {
        ToldGap { reason: "redis_disconnected".to_owned(), span: Span { from, to }, at: to }
    }

    #[track_caller]
    fn check(gaps: &[ToldGap], expected: GapVerdict) {
        assert_eq!(GapVerdict::of(gaps, &WINDOWS, 1000), expected);
        assert_eq!(expected.is_clean(), expected == GapVerdict::default());
    }

    #[test]
    fn one_gap_around_each_fault_is_clean() {
        check(&[gap(9_500, 13_800), gap(19_000, 23_000)], GapVerdict::default());
    }

    #[test]
    fn a_gap_from_the_beginning_of_time_is_too_wide() {
        let expected = GapVerdict { early: 1, ..GapVerdict::default() };
        check(&[gap(0, 13_800), gap(19_500, 21_000)], expected);
    }

    #[test]
    fn a_gap_that_goes_on_is_too_wide() {
        let expected = GapVerdict { late: 1, ..GapVerdict::default() };
        check(&[gap(9_500, 15_001), gap(19_500, 21_000)], expected);
    }

    #[test]
    fn ten_gaps_for_one_fault_are_nine_too_many() {
        let mut gaps = vec![gap(9_500, 13_800); 10];
        gaps.push(gap(19_500, 21_000));
        check(&gaps, GapVerdict { surplus: 9, ..GapVerdict::default() });
    }

    #[test]
    fn a_fault_without_a_gap_and_a_gap_without_a_fault_are_found() {
        let gaps = [gap(1_000, 2_000), gap(9_500, 13_800)];
        check(&gaps, GapVerdict { missing: 1, surplus: 1, ..GapVerdict::default() });
    }

    #[test]
    fn where_nothing_was_broken_no_gap_is_allowed() {
        let verdict = GapVerdict::of(&[gap(1, 2)], &[], 1000);
        assert_eq!(verdict, GapVerdict { surplus: 1, ..GapVerdict::default() });
    }
}
