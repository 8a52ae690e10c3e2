//! The table: for a terminal, for docs/GUARANTEES.md, and as JSON, in which the rows of
//! several runs come together.

use std::fmt::Write;

use serde::{Deserialize, Serialize};

use super::findings::Finding;
use super::row::{ROWS, Row};

/// Between these lines of a document stands the table.
const MARKERS: (&str, &str) = ("<!-- chaos: begin", "<!-- chaos: end");

/// A row that was run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Judged {
    /// Its name.
    pub name: String,
    /// What was broken.
    pub fault: String,
    /// What had to hold.
    pub bar: String,
    /// What it measured.
    pub findings: Vec<Finding>,
    /// How long it took.
    pub seconds: f64,
    /// What decided everything that was random.
    pub seed: u64,
    /// The day, UTC.
    pub date: String,
    /// Which state of the code it was.
    pub commit: String,
}

/// The rows of one state of the code, by as many runs as it took.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Report {
    /// The last run of each row, in the order of the table.
    pub rows: Vec<Judged>,
}

impl Judged {
    /// What a row has found, and when.
    pub fn new(row: &Row, findings: Vec<Finding>, seconds: f64, run: (u64, &str, &str)) -> Self {
        let (seed, date, commit) = run;
        Self {
            name: row.name.to_owned(),
            fault: row.fault.to_owned(),
            bar: row.bar.to_owned(),
            findings,
            seconds,
            seed,
            date: date.to_owned(),
            commit: commit.to_owned(),
        }
    }

    /// Whether every bar was met.
    pub fn is_met(&self) -> bool {
        self.findings.iter().all(|finding| finding.is_met)
    }

    fn verdict(&self) -> &'static str {
        if self.is_met() { "ok" } else { "MISSED" }
    }

    /// What was judged; what is only told is for who reads the run itself.
    fn measured(&self) -> String {
        let judged = self.findings.iter().filter(|finding| finding.bar.is_some());
        let told: Vec<String> = judged.map(told).collect();
        format!("{} (seed {}, {})", told.join("; "), self.seed, self.date)
    }
}

impl Report {
    /// Reads what earlier runs wrote; nothing where it can't be read.
    pub fn read(json: &str) -> Self {
        serde_json::from_str(json).unwrap_or_default()
    }

    /// Takes a row in the place of its last run. Rows of another state of the code go:
    /// one table never speaks of two.
    pub fn add(&mut self, judged: Judged) {
        self.rows.retain(|row| row.name != judged.name && row.commit == judged.commit);
        self.rows.push(judged);
        let place = |name: &str| ROWS.iter().position(|row| row.name == name);
        self.rows.sort_by_key(|row| place(&row.name));
    }

    /// All of it for a machine.
    pub fn json(&self) -> String {
        // Strings and numbers always can be.
        serde_json::to_string_pretty(self).unwrap_or_default()
    }

    /// The table for a document.
    pub fn markdown(&self) -> String {
        let mut text = "| fault | bar | measured |\n|---|---|---|\n".to_owned();
        for judged in &self.rows {
            let Judged { name, fault, bar, .. } = judged;
            // Writing to a String can't fail.
            let _ = writeln!(text, "| {fault} (`{name}`) | {bar} | {} |", judged.measured());
        }
        text
    }

    /// The document with this table between its markers; none if it has none.
    pub fn within(&self, document: &str) -> Option<String> {
        let begin = document.find(MARKERS.0)?;
        let begin = begin + document[begin..].find('\n')? + 1;
        let end = begin + document[begin..].find(MARKERS.1)?;
        Some([&document[..begin], self.markdown().as_str(), &document[end..]].concat())
    }
}

fn told(Finding { what, value, bar, is_met }: &Finding) -> String {
    match bar {
        Some(bar) if !is_met => format!("{what}: {value} (**MISSED**, {bar})"),
        _ => format!("{what}: {value}"),
    }
}

/// The table for a terminal: a block for each row.
pub fn table(rows: &[Judged]) -> String {
    let mut text = String::new();
    for judged in rows {
        let Judged { name, fault, bar, seconds, .. } = judged;
        let _ = writeln!(text, "{:<7} {name}: {fault} ({seconds:.0} s)", judged.verdict());
        let _ = writeln!(text, "        bar: {bar}");
        for finding in &judged.findings {
            let _ = writeln!(text, "        {}", told(finding));
        }
    }
    let met = rows.iter().filter(|judged| judged.is_met()).count();
    let _ = writeln!(text, "{met} of {} rows met their bars", rows.len());
    text
}

/// The day of a Unix time in seconds, as 2026-11-22.
pub fn day(unix_seconds: u64) -> String {
    // Days are counted from 0000-03-01, so that a leap day is the last of its year; 400
    // years have 146,097 of them.
    let days = unix_seconds / 86_400 + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, year) = if month < 10 { (month + 3, year) } else { (month - 9, year + 1) };
    format!("{:04}-{month:02}-{day:02}", era * 400 + year)
}

#[cfg(test)]
#[path = "report_tests.rs"]
mod tests;
