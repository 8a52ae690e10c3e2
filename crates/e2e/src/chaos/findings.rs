//! What a row measured, beside what was allowed.

use std::fmt::Display;
use std::time::Duration;

use crate::fleet::{Again, Outcome};

/// One measured value.
#[derive(Debug, Clone, PartialEq, Eq)]
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

/// All that a row measured. Deadlines are stretched by a factor, counts never are.
#[derive(Debug)]
pub struct Findings {
    stretch: u32,
    all: Vec<Finding>,
}

impl Findings {
    /// None yet.
    pub fn new(stretch: u32) -> Self {
        Self { stretch, all: Vec::new() }
    }

    /// All of them.
    pub fn all(&self) -> &[Finding] {
        &self.all
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
        let last = again.channels.last().copied().unwrap_or(0);
        self.within(what, Duration::from_millis(last), bar);
        self.exactly(&format!("{what}: deaf"), again.deaf, 0);
    }

    /// What holds after every fault: streams are whole, and nothing is missing without a
    /// word.
    pub fn lossless(&mut self, outcome: &Outcome) {
        let Outcome { tally, deaf, taken, .. } = outcome;
        outcome.complaints().iter().for_each(|complaint| println!("    {complaint}"));
        self.streams(outcome);
        self.exactly("E missing without a word", tally.pubsubs.silent, 0);
        self.exactly("E duplicated", tally.pubsubs.duplicated, 0);
        self.exactly("E reordered", tally.pubsubs.reordered, 0);
        self.note("E missing inside of told gaps", tally.pubsubs.told);
        self.note("E received", tally.pubsubs.received);
        self.note("acknowledged and no longer in Redis", taken);
        self.exactly("deaf at the end", *deaf, 0);
    }

    /// The part of [`Self::lossless`] that is about streams.
    pub fn streams(&mut self, outcome: &Outcome) {
        let streams = &outcome.tally.streams;
        self.exactly("S lost", streams.lost, 0);
        self.exactly("S duplicated", streams.duplicated, 0);
        self.exactly("S reordered", streams.reordered, 0);
        self.exactly("S forked without a word", streams.forked, 0);
        // Who has lost nothing must not be told that something may be lost.
        if outcome.is_whole && outcome.taken == 0 {
            self.exactly("S resets", streams.resets, 0);
        } else {
            self.note("S resets", streams.resets);
        }
        self.note("S received", streams.received);
    }

    /// A row that did not come to its end.
    pub fn broken(&mut self, why: &str) {
        self.push("came to its end", &why, Some("yes".to_owned()), false);
    }

    fn push(&mut self, what: &str, value: &dyn Display, bar: Option<String>, is_met: bool) {
        let mark = if is_met { "" } else { "  <-- MISSED" };
        println!("    {what}: {value}{mark}");
        self.all.push(Finding { what: what.to_owned(), value: value.to_string(), bar, is_met });
    }
}

fn seconds(time: Duration) -> String {
    format!("{:.2} s", time.as_secs_f64())
}
