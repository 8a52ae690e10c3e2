use super::*;

const DEAD_AFTER: Duration = Duration::from_secs(2);

/// A judge, and what is known, in milliseconds after a beginning.
struct Case {
    judge: Judge,
    start: Instant,
    facts: Facts,
}

impl Case {
    fn new() -> Self {
        Self { judge: Judge::new(DEAD_AFTER), start: Instant::now(), facts: Facts::default() }
    }

    fn at(&self, ms: u64) -> Instant {
        self.start + Duration::from_millis(ms)
    }

    fn judge(&mut self, ms: u64) -> Readiness {
        self.judge.judge(self.at(ms), &self.facts)
    }

    fn heard(&mut self, ms: u64) -> &mut Self {
        self.facts.heard = Some(self.at(ms));
        self
    }

    fn proven(&mut self, ms: u64) -> &mut Self {
        self.facts.proven = Some(self.at(ms));
        self.heard(ms)
    }

    /// An instance that became ready at 10 s, with a Redis that has answered all along.
    fn ready() -> Self {
        let mut case = Self::new();
        case.facts.answering = Some(case.start);
        assert_eq!(case.proven(10_000).judge(10_001), Readiness::Ready);
        case
    }
}

#[test]
fn nothing_is_ready_before_its_first_proof() {
    let mut case = Case::new();
    assert_eq!(case.judge(0), Readiness::Unready);
    case.facts.answering = Some(case.start);
    assert_eq!(case.heard(100).judge(101), Readiness::Unready, "a link proves nothing");
    assert_eq!(case.proven(200).judge(201), Readiness::Ready);
}

#[test]
fn a_proof_counts_for_three_seconds_on_a_link_that_is_alive() {
    let mut case = Case::ready();
    for ms in (10_500..13_000).step_by(500) {
        assert_eq!(case.heard(ms).judge(ms), Readiness::Ready, "{ms}");
    }
    assert_eq!(case.heard(13_000).judge(13_000), Readiness::Unready);
}

#[test]
fn a_hung_redis_is_noticed_before_its_last_proof_is_old() {
    let mut case = Case::ready();
    assert_eq!(case.judge(11_999), Readiness::Ready);
    assert_eq!(case.judge(12_000), Readiness::Outage);
}

#[test]
fn a_link_that_is_cut_and_back_costs_nothing() {
    let mut case = Case::ready();
    case.facts.answering = None;
    assert_eq!(case.judge(10_300), Readiness::Ready);
    case.facts.answering = Some(case.at(10_400));
    assert_eq!(case.proven(10_450).judge(12_000), Readiness::Ready);
}

#[test]
fn what_was_lost_comes_back_by_a_new_proof_alone() {
    let mut case = Case::ready();
    assert_eq!(case.judge(12_000), Readiness::Outage);
    // The proof is younger than three seconds, and bytes arrive again.
    assert_ne!(case.heard(12_500).judge(12_500), Readiness::Ready);
    assert_eq!(case.proven(12_700).judge(12_701), Readiness::Ready);
}

#[test]
fn an_outage_lasts_until_redis_has_answered_for_the_time_of_a_proof() {
    let mut case = Case::ready();
    case.facts.answering = None;
    for ms in [13_000, 60_000, 600_000] {
        assert_eq!(case.judge(ms), Readiness::Outage, "{ms}");
    }
    case.facts.answering = Some(case.at(600_100));
    assert_eq!(case.heard(600_100).judge(600_200), Readiness::Outage, "it has just come");
    assert_eq!(case.heard(603_000).judge(603_099), Readiness::Outage);
    assert_eq!(case.judge(603_100), Readiness::Unready, "it answers, and proves nothing");
}

#[test]
fn who_was_not_ready_is_not_in_an_outage_but_unready() {
    let mut case = Case::new();
    assert_eq!(case.judge(5_000), Readiness::Unready, "never ready");

    let mut case = Case::ready();
    assert_eq!(case.heard(13_000).judge(13_000), Readiness::Unready, "refused something");
    case.facts.answering = None;
    assert_eq!(case.judge(20_000), Readiness::Unready, "and then Redis went away");
}
