//! What a row measured, beside what was allowed.

use std::fmt::Display;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::checker::{GapVerdict, Window};
use crate::fleet::{Again, Crowd, Outcome, Page};

/// How far around a fault its gap may lie: it begins with the last PING that was answered,
/// and those are some 500 ms apart.
const SLACK: Duration = Duration::from_secs(1);

/// How many of what is wrong are told in full.
const COMPLAINTS: usize = 5;

/// One measured value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// What was measured.
    pub what: String,
    /// The value.
    pub value: String,
    /// What was allowed; none for a value that is told, not judged.
    pub bar: Option<String>,
    /// Whether it is within its bar.
    pub is_met: bool,
}

/// All that a row measured. Deadlines are stretched by a factor, counts never are. Copies
/// share what was found, so that it outlives a row that panics.
#[derive(Debug, Clone)]
pub struct Findings {
    stretch: u32,
    all: Arc<Mutex<Vec<Finding>>>,
}

impl Findings {
    /// None yet.
    pub fn new(stretch: u32) -> Self {
        Self { stretch, all: Arc::default() }
    }

    /// All of them.
    pub fn all(&self) -> Vec<Finding> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Tells a value that has no bar.
    pub fn note(&mut self, what: &str, value: impl Display) {
        self.push(what, &value, None, true);
    }

    /// A time that may be no longer than this.
    pub fn within(&mut self, what: &str, took: Duration, bar: Duration) {
        let bar = bar * self.stretch;
        self.push(what, &seconds(took), Some(format!("≤ {}", seconds(bar))), took <= bar);
    }

    /// A count that must be exactly this.
    pub fn exactly<T: Display + PartialEq + Copy>(&mut self, what: &str, count: T, bar: T) {
        let is_met = count == bar;
        self.push(what, &count, Some(bar.to_string()), is_met);
    }

    /// A count that may be no more than this.
    pub fn at_most<T: Display + PartialOrd + Copy>(&mut self, what: &str, count: T, bar: T) {
        let is_met = count <= bar;
        self.push(what, &count, Some(format!("≤ {bar}")), is_met);
    }

    /// A count that must be at least this.
    pub fn at_least<T: Display + PartialOrd + Copy>(&mut self, what: &str, count: T, bar: T) {
        let is_met = count >= bar;
        self.push(what, &count, Some(format!("≥ {bar}")), is_met);
    }

    /// Something that must hold.
    pub fn holds(&mut self, what: &str, is_met: bool) {
        let value = if is_met { "yes" } else { "no" };
        self.push(what, &value, Some("yes".to_owned()), is_met);
    }

    /// Bytes by which memory has grown.
    pub fn grown(&mut self, what: &str, bytes: u64, bar: u64) {
        let mib = |bytes: u64| format!("{} MiB", bytes >> 20);
        self.push(what, &mib(bytes), Some(format!("≤ {}", mib(bar))), bytes <= bar);
    }

    /// When channels were live again.
    pub fn live(&mut self, what: &str, again: &Again, bar: Duration) {
        self.within(what, Duration::from_millis(again.slowest()), bar);
        self.exactly(&format!("{what}: deaf"), again.deaf, 0);
    }

    /// What holds after every fault: streams are whole, and nothing is missing without a
    /// word.
    pub fn lossless(&mut self, outcome: &Outcome) {
        self.lossless_but(outcome, 0);
    }

    /// The same where clients are due some gaps of stream channels.
    pub fn lossless_but(&mut self, outcome: &Outcome, gaps: usize) {
        let Outcome { tally, deaf, taken, .. } = outcome;
        outcome.complaints().iter().for_each(|complaint| println!("    {complaint}"));
        self.streams_but(outcome, gaps);
        self.exactly("E missing without a word", tally.pubsubs.silent, 0);
        self.exactly("E duplicated", tally.pubsubs.duplicated, 0);
        self.exactly("E reordered", tally.pubsubs.reordered, 0);
        self.note("E missing inside of told gaps", tally.pubsubs.told);
        self.note("E missing while the client was away", tally.pubsubs.away);
        self.note("E received", tally.pubsubs.received);
        self.note("acknowledged and no longer in Redis", taken);
        self.exactly("deaf at the end", *deaf, 0);
    }

    /// The part of [`Self::lossless`] that is about streams.
    pub fn streams(&mut self, outcome: &Outcome) {
        self.streams_but(outcome, 0);
    }

    fn streams_but(&mut self, outcome: &Outcome, gaps: usize) {
        let streams = &outcome.tally.streams;
        self.exactly("S lost", streams.lost, 0);
        self.exactly("S duplicated", streams.duplicated, 0);
        self.exactly("S reordered", streams.reordered, 0);
        self.exactly("S forked without a word", streams.forked, 0);
        self.exactly("S gaps", streams.gaps, gaps);
        self.note("S resets", streams.resets);
        // Who has lost nothing must not be told that something may be lost.
        if outcome.is_whole {
            self.exactly("S resets without a cause", streams.causeless, 0);
        }
        self.note("S received", streams.received);
    }

    /// What holds where only Redis or the way to it was broken: nobody lost the connection.
    pub fn stayed(&mut self, outcome: &Outcome) {
        self.exactly("connections ended", outcome.closes.values().sum::<u64>(), 0);
    }

    /// What holds after faults whose times are known: clients stay, and each of their pub/sub
    /// channels gets one gap for each fault, around it.
    pub fn outage(&mut self, outcome: &Outcome, windows: &[Window]) {
        self.gaps(&outcome.crowd, &vec![windows.to_vec(); outcome.feed.len()]);
        self.stayed(outcome);
        self.lossless(outcome);
    }

    /// Judges all gaps of pub/sub channels by the faults that each channel has met.
    pub fn gaps(&mut self, crowd: &Crowd, windows: &[Vec<Window>]) {
        let slack = u64::try_from((SLACK * self.stretch).as_millis()).unwrap_or(u64::MAX);
        let (mut sum, mut complaints) = (GapVerdict::default(), 0);
        crowd.each(|client, channel, page| {
            let Page::PubSub { record, .. } = page else { return };
            let verdict = GapVerdict::of(record.gaps(), &windows[channel], slack);
            if !verdict.is_clean() && complaints < COMPLAINTS {
                let (gaps, windows) = (record.gaps(), &windows[channel]);
                println!("    client {client}, pub/sub {channel}: {gaps:?}, faults {windows:?}");
                complaints += 1;
            }
            sum.add(verdict);
        });
        let GapVerdict { missing, surplus, early, late } = sum;
        self.exactly("E gaps missing", missing, 0);
        self.exactly("E gaps beside one per fault", surplus, 0);
        self.exactly("E gaps wider than the fault", early + late, 0);
    }

    /// A row that did not come to its end.
    pub fn broken(&mut self, why: &str) {
        self.push("came to its end", &format!("no: {why}"), Some("yes".to_owned()), false);
    }

    fn push(&mut self, what: &str, value: &dyn Display, bar: Option<String>, is_met: bool) {
        let mark = if is_met { "" } else { "  <-- MISSED" };
        println!("    {what}: {value}{mark}");
        let finding = Finding { what: what.to_owned(), value: value.to_string(), bar, is_met };
        self.all.lock().unwrap_or_else(PoisonError::into_inner).push(finding);
    }
}

fn seconds(time: Duration) -> String {
    format!("{:.2} s", time.as_secs_f64())
}

#[cfg(test)]
#[path = "findings_tests.rs"]
mod tests;
