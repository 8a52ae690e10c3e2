//! From measurements to the printed table, ratios first, and to JSON.

use std::fmt::Write;

use serde::Serialize;
use serde_json::{Value, json};

pub use crate::compare::Series;
use crate::compare::{Comparison, Judgement, comparisons, ratio};
use crate::figure::{Figure, Measurement};
use crate::once;
use crate::scenario::Scenario;
use crate::table::{aligned, number};

/// Above this many µs per delivery in scenario (a) the floor itself is not right:
/// the machine is not quiet, and no figure of the run means much.
const QUIET_FLOOR: f64 = 7.0;

/// Above this share of its CPU, per cent, the load generator is no longer on time:
/// what it sees late, and what it sends late, looks like the server's doing.
const BUSY_LOAD: f64 = 90.0;

/// How the benchmark was run.
#[derive(Debug, Serialize)]
pub struct Conditions {
    /// CPU, count and kernel.
    pub machine: String,
    /// Who ran on which CPU.
    pub placement: String,
    /// Interleaved runs of each contender.
    pub rounds: u32,
    /// Length of each measured window, seconds.
    pub window_seconds: f64,
    /// Who could not take part in what, and why.
    pub left_out: Vec<String>,
}

/// The whole report as text.
pub fn text(conditions: &Conditions, all: &[Series]) -> String {
    let Conditions { machine, placement, rounds, window_seconds, left_out } = conditions;
    let mut text = format!(
        "\n{machine}\n{placement}; {rounds} interleaved rounds, windows of {window_seconds} s\n"
    );
    let compared = comparisons(all);
    if !compared.is_empty() {
        text.push_str(
            "\nRatios to the floor, or to what the bar names, of the same rounds\n\
             (ratio: median ÷ median; least: least ÷ least)\n",
        );
        text.push_str(&aligned(&ratio_rows(&compared)));
    }
    // The others are told in lines of their own.
    let often: Vec<_> = all.iter().filter(|series| !once::is_one(series.scenario)).collect();
    if !often.is_empty() {
        text.push_str(
            "\nAll figures (medians; lost, duplicated, reordered and max of the worst run)\n",
        );
    }
    for series in often {
        let Scenario { key, title, .. } = series.scenario;
        let _ = writeln!(text, "\n({key}) {title}\n{}", aligned(&figure_rows(series)).trim_end());
    }
    for note in notes(all).iter().chain(left_out) {
        let _ = writeln!(text, "\nNote: {note}");
    }
    text
}

/// The whole report for machines: every single run, and the comparisons.
pub fn json(conditions: &Conditions, all: &[Series]) -> Value {
    let scenarios: Vec<Value> = all
        .iter()
        .map(|series| {
            let runs: serde_json::Map<String, Value> =
                series.contenders.iter().map(|(name, runs)| (name.clone(), json!(runs))).collect();
            let Scenario { key, title, clients, .. } = series.scenario;
            json!({ "key": key, "title": title, "clients": clients, "runs": runs })
        })
        .collect();
    json!({ "conditions": conditions, "comparisons": comparisons(all), "scenarios": scenarios })
}

fn ratio_rows(compared: &[Comparison]) -> Vec<Vec<String>> {
    let heading =
        ["scenario", "figure", "system", "ratio", "least", "value", "baseline", "bar", ""];
    let mut rows = vec![heading.map(str::to_owned).to_vec()];
    for line in compared {
        let reached = match line.reached {
            Judgement::Reached => "reached",
            Judgement::Missed => "MISSED",
            Judgement::Unknown => "",
        };
        rows.push(vec![
            line.scenario.to_owned(),
            line.figure.to_owned(),
            line.contender.clone(),
            number(line.ratio, 2),
            number(line.ratio_of_least, 2),
            number(line.value, line.digits),
            number(line.baseline_value, line.digits),
            line.bar.clone(),
            reached.to_owned(),
        ]);
    }
    rows
}

/// One line for each system, with the cost's ratio to the baseline beside the cost.
fn figure_rows(series: &Series) -> Vec<Vec<String>> {
    let columns = columns(series);
    let baseline = series.contenders.first().map_or("", |(name, _)| name);
    let cost = |runs: &[Measurement]| Figure::CpuPerDelivery.over(&runs.iter().collect::<Vec<_>>());
    let cost_of_baseline = series.contenders.first().and_then(|(_, runs)| cost(runs));
    let mut rows = vec![vec!["system".to_owned()]];
    for figure in &columns {
        rows[0].push(figure.heading().to_owned());
        if *figure == Figure::CpuPerDelivery {
            rows[0].push(format!("÷ {baseline}"));
        }
    }
    for (name, runs) in &series.contenders {
        let all: Vec<&Measurement> = runs.iter().collect();
        let mut row = vec![name.clone()];
        for figure in &columns {
            row.push(number(figure.over(&all), figure.digits()));
            if *figure == Figure::CpuPerDelivery {
                row.push(number(ratio(cost(runs), cost_of_baseline), 2));
            }
        }
        rows.push(row);
    }
    rows
}

/// What is worth a column: what this kind of scenario is about, and some run has. The
/// other figures stand among the ratios where a bar is about them.
fn columns(series: &Series) -> Vec<Figure> {
    let busy = series.scenario.traffic.is_some();
    let all: Vec<&Measurement> = series.contenders.iter().flat_map(|(_, runs)| runs).collect();
    let wanted = |figure: &Figure| match figure {
        Figure::Reordered => all.iter().any(|run| run.reordered > Some(0)),
        Figure::Published | Figure::WireBytes => false,
        Figure::FreshMemory | Figure::CpuPerHandshake | Figure::Connects => !busy,
        _ => all.iter().any(|run| figure.of(run).is_some()),
    };
    Figure::ALL.into_iter().filter(wanted).collect()
}

fn notes(all: &[Series]) -> Vec<String> {
    let mut notes = Vec::new();
    for series in all {
        for (name, runs) in &series.contenders {
            notes_on(name, runs, series.scenario.key, &mut notes);
        }
        let baseline = series.contenders.first();
        let floor: Vec<&Measurement> = baseline.iter().flat_map(|(_, runs)| runs).collect();
        if series.scenario.key == "a"
            && let Some(cost) = Figure::CpuPerDelivery.over(&floor)
            && cost > QUIET_FLOOR
        {
            notes.push(format!(
                "the floor took {cost:.1} µs per delivery in (a), above {QUIET_FLOOR}: the machine \
                 is not quiet, or something is wrong with the floor."
            ));
        }
    }
    notes
}

fn notes_on(name: &str, runs: &[Measurement], key: &str, notes: &mut Vec<String>) {
    let all = runs.len();
    let invalid = runs.iter().filter(|run| run.short_sends > 0).count();
    if invalid > 0 {
        notes.push(format!(
            "{invalid} of {all} runs of {name} in ({key}) had short sends and don't count."
        ));
    }
    let closed: usize = runs.iter().map(|run| run.closed).sum();
    if closed > 0 {
        notes.push(format!("{name} closed {closed} connections in ({key})."));
    }
    let share = Figure::LoadShare.over(&runs.iter().collect::<Vec<_>>());
    if let Some(share) = share.filter(|&share| share > BUSY_LOAD) {
        notes.push(format!(
            "the load generator and Redis used {share:.0} % of their CPU in ({key}) with {name}: \
             latencies are theirs too, and rates may be their limit."
        ));
    }
    let waited: Vec<f64> = runs.iter().filter_map(|run| run.silent_backlog_kb).collect();
    if let Some(most) = waited.iter().copied().reduce(f64::max) {
        let closed = runs.iter().filter(|run| run.silent_closed == Some(true)).count();
        let others = match closed < all {
            true => format!("; in the others up to {most:.0} KB waited for it at the end"),
            false => String::new(),
        };
        notes.push(format!(
            "the client that never reads was closed with 4409 in {closed} of {all} runs of {name} \
             in ({key}){others}."
        ));
    }
}

#[cfg(test)]
#[path = "report_tests.rs"]
mod tests;
