//! What a row judges is planted once each, and must miss.

use std::collections::BTreeMap;

use super::*;
use crate::checker::{Ledger, PubSubVerdict, StreamVerdict, Tally};
use crate::fleet::{CrowdOptions, Feed, Order};
use crate::raw_client::Dial;

/// A run without clients, in which nothing went wrong.
fn clean() -> Outcome {
    let feed = Arc::new(Feed::new(1, 1));
    let options =
        CrowdOptions { clients: 0, jitter: Duration::ZERO, seed: 1, dial: Dial::default() };
    Outcome {
        tally: Tally::default(),
        deaf: 0,
        taken: 0,
        closes: BTreeMap::new(),
        is_whole: true,
        crowd: Crowd::start(&feed, &Arc::default(), &options, Order::Read),
        ledger: Arc::new(Ledger::new(feed.len())),
        truths: Vec::new(),
        feed,
    }
}

/// What is missed when this was planted.
fn missed(plant: impl FnOnce(&mut Outcome)) -> Vec<String> {
    let mut outcome = clean();
    plant(&mut outcome);
    let mut findings = Findings::new(3);
    findings.outage(&outcome, &[Window { fault: 1, live: 2 }]);
    let missed = findings.all().into_iter().filter(|finding| !finding.is_met);
    missed.map(|finding| finding.what).collect()
}

fn stream(verdict: StreamVerdict) -> impl FnOnce(&mut Outcome) {
    move |outcome| outcome.tally.streams = verdict
}

fn pubsub(verdict: PubSubVerdict) -> impl FnOnce(&mut Outcome) {
    move |outcome| outcome.tally.pubsubs = verdict
}

#[tokio::test]
async fn a_clean_run_misses_nothing() {
    assert_eq!(missed(|_| ()), [""; 0]);
}

#[tokio::test]
async fn a_connection_that_ended_is_a_miss() {
    for code in [1006, 1012, 4409] {
        let found = missed(|outcome| outcome.closes = BTreeMap::from([(code, 1)]));
        assert_eq!(found, ["connections ended"], "{code}");
    }
}

#[tokio::test]
async fn each_fault_of_a_stream_is_a_miss() {
    let none = StreamVerdict::default();
    for (verdict, what) in [
        (StreamVerdict { lost: 1, ..none }, "S lost"),
        (StreamVerdict { duplicated: 1, ..none }, "S duplicated"),
        (StreamVerdict { reordered: 1, ..none }, "S reordered"),
        (StreamVerdict { forked: 1, ..none }, "S forked without a word"),
        (StreamVerdict { gaps: 1, ..none }, "S gaps"),
        (StreamVerdict { resets: 2, causeless: 1, ..none }, "S resets without a cause"),
    ] {
        assert_eq!(missed(stream(verdict)), [what]);
    }
    // Others may have lost entries: each reset is judged by itself.
    let excused = |outcome: &mut Outcome| {
        outcome.taken = 1000;
        outcome.tally.streams.causeless = 1;
    };
    assert_eq!(missed(excused), ["S resets without a cause"]);
}

#[tokio::test]
async fn each_fault_of_a_pubsub_channel_is_a_miss() {
    let none = PubSubVerdict::default();
    for (verdict, what) in [
        (PubSubVerdict { silent: 1, ..none }, "E missing without a word"),
        (PubSubVerdict { duplicated: 1, ..none }, "E duplicated"),
        (PubSubVerdict { reordered: 1, ..none }, "E reordered"),
    ] {
        assert_eq!(missed(pubsub(verdict)), [what]);
    }
    assert_eq!(missed(|outcome| outcome.deaf = 1), ["deaf at the end"]);
}

#[tokio::test]
async fn only_the_gaps_that_are_due_are_allowed() {
    let mut outcome = clean();
    outcome.tally.streams.gaps = 2;
    for (due, is_met) in [(2, true), (1, false), (3, false)] {
        let mut findings = Findings::new(1);
        findings.lossless_but(&outcome, due);
        assert_eq!(findings.all().iter().all(|finding| finding.is_met), is_met, "{due}");
    }
}

#[test]
fn deadlines_are_stretched_and_counts_are_not() {
    let mut findings = Findings::new(3);
    findings.within("in time", Duration::from_secs(3), Duration::from_secs(1));
    findings.within("too late", Duration::from_millis(3001), Duration::from_secs(1));
    findings.at_most("too many", 2, 1);
    findings.at_least("too few", 0, 1);
    let met: Vec<bool> = findings.all().iter().map(|finding| finding.is_met).collect();
    assert_eq!(met, [true, false, false, false]);
}
