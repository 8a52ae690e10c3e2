//! The table: for a terminal, for docs/GUARANTEES.md, and as JSON.

use std::fmt::Write;
use std::time::Duration;

use serde_json::{Value, json as value};

use super::findings::Finding;
use super::row::Row;

/// A row that was run.
pub struct Judged {
    /// Which.
    pub row: &'static Row,
    /// What it measured.
    pub findings: Vec<Finding>,
    /// How long it took.
    pub took: Duration,
}

impl Judged {
    /// Whether every bar was met.
    pub fn is_met(&self) -> bool {
        self.findings.iter().all(|finding| finding.is_met)
    }

    fn verdict(&self) -> &'static str {
        if self.is_met() { "ok" } else { "MISSED" }
    }

    fn measured(&self, separator: &str) -> String {
        let findings: Vec<String> = self.findings.iter().map(told).collect();
        findings.join(separator)
    }
}

fn told(Finding { what, value, bar, is_met }: &Finding) -> String {
    match bar {
        Some(bar) if !is_met => format!("{what}: {value} (MISSED, {bar})"),
        _ => format!("{what}: {value}"),
    }
}

/// The table for a terminal: a block for each row.
pub fn table(rows: &[Judged]) -> String {
    let mut text = String::new();
    for judged in rows {
        let Row { name, fault, bar, .. } = judged.row;
        let took = judged.took.as_secs();
        // Writing to a String can't fail.
        let _ = writeln!(text, "{:<7} {name}: {fault} ({took} s)", judged.verdict());
        let _ = writeln!(text, "        bar: {bar}");
        let _ = writeln!(text, "        {}", judged.measured("\n        "));
    }
    let met = rows.iter().filter(|judged| judged.is_met()).count();
    let _ = writeln!(text, "{met} of {} rows met their bars", rows.len());
    text
}

/// The table for a document.
pub fn markdown(rows: &[Judged]) -> String {
    let mut text = "| fault | bar | measured | verdict |\n|---|---|---|---|\n".to_owned();
    for judged in rows {
        let Row { name, fault, bar, .. } = judged.row;
        let measured = judged.measured("; ");
        let _ =
            writeln!(text, "| {fault} (`{name}`) | {bar} | {measured} | {} |", judged.verdict());
    }
    text
}

/// All of it for a machine.
pub fn json(rows: &[Judged], seed: u64) -> Value {
    let rows = rows.iter().map(|judged| {
        let findings = judged.findings.iter().map(|Finding { what, value, bar, is_met }| {
            value!({"what": what, "value": value, "bar": bar, "met": is_met})
        });
        value!({
            "name": judged.row.name, "fault": judged.row.fault, "bar": judged.row.bar,
            "met": judged.is_met(), "seconds": judged.took.as_secs_f64(),
            "findings": findings.collect::<Vec<_>>(),
        })
    });
    value!({"seed": seed, "rows": rows.collect::<Vec<_>>()})
}
