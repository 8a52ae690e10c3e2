//! From measurements to the printed table, ratios first, and to JSON.

use std::fmt::Write;

use serde::Serialize;
use serde_json::{Value, json};

pub use crate::compare::Series;
use crate::compare::{BAR, Comparison, Judgement, comparisons, ratio};
use crate::figure::{Figure, Measurement};
use crate::notes;
use crate::once;
use crate::scenario::Scenario;
use crate::table::{aligned, number};

/// How the benchmark was run.
#[derive(Debug, Serialize)]
pub struct Conditions {
    /// CPU, count and kernel.
    pub machine: String,
    /// Who ran on which CPU.
    pub placement: String,
    /// Which command of this program measured.
    pub command: &'static str,
    /// The options that decided what was measured; none of them is the whole benchmark.
    pub options: String,
    /// Interleaved runs of each contender.
    pub rounds: u32,
    /// Length of each measured window, seconds.
    pub window_seconds: f64,
    /// Who could not take part in what, and why.
    pub left_out: Vec<String>,
    /// Why the run ended before all was measured.
    pub ended_early: Option<String>,
}

/// The whole report as text.
pub fn text(conditions: &Conditions, all: &[Series]) -> String {
    let Conditions { machine, placement, rounds, window_seconds, left_out, .. } = conditions;
    let mut text = format!(
        "\n{machine}\n{placement}; {rounds} interleaved rounds, windows of {window_seconds} s\n"
    );
    let compared = comparisons(all);
    if !compared.is_empty() {
        text.push_str(
            "\nRatios to the floor, to what the bar names, or to the bar itself, of the same rounds\n\
             (ratio: median ÷ median; least: least ÷ least)\n",
        );
        text.push_str(&aligned(&ratio_rows(&compared)));
    }
    // The others are told in lines of their own.
    let often: Vec<_> = all.iter().filter(|series| !once::runs_once(series.scenario)).collect();
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
    json!({
        "conditions": conditions,
        "notes": notes(all),
        "comparisons": comparisons(all),
        "scenarios": scenarios,
    })
}

fn ratio_rows(compared: &[Comparison]) -> Vec<Vec<String>> {
    let heading =
        ["scenario", "figure", "system", "ratio", "least", "value", "baseline", "bar", ""];
    let mut rows = vec![heading.map(str::to_owned).to_vec()];
    for line in compared {
        let reached = match line.reached {
            Judgement::Reached => "reached",
            Judgement::Missed => "MISSED",
            Judgement::NotJudged => "NOT JUDGED",
            Judgement::NoBar => "",
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

/// One line for each system, with the cost's ratio to the baseline beside the cost where
/// a bar is about it. In (b2) none is: whoever batches more fills the core, and less CPU
/// is no merit.
fn figure_rows(series: &Series) -> Vec<Vec<String>> {
    let columns = columns(series);
    let has_ratio = |figure: &Figure| {
        *figure == Figure::CpuPerDelivery
            && series.scenario.bars.iter().any(|bar| bar.figure == *figure)
    };
    let baseline = series.contenders.first().map_or("", |(name, _)| name);
    let cost = |runs: &[Measurement]| Figure::CpuPerDelivery.over(&runs.iter().collect::<Vec<_>>());
    let cost_of_baseline = series.contenders.first().and_then(|(_, runs)| cost(runs));
    let mut rows = vec![vec!["system".to_owned()]];
    for figure in &columns {
        rows[0].push(figure.heading().to_owned());
        if has_ratio(figure) {
            rows[0].push(format!("÷ {baseline}"));
        }
    }
    for (name, runs) in series.contenders.iter().filter(|(name, _)| name != BAR) {
        let all: Vec<&Measurement> = runs.iter().collect();
        let mut row = vec![name.clone()];
        for figure in &columns {
            row.push(number(figure.over(&all), figure.digits()));
            if has_ratio(figure) {
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
        Figure::FreshMemory | Figure::CpuPerHandshake | Figure::Connects if busy => false,
        _ => all.iter().any(|run| figure.of(run).is_some_and(f64::is_finite)),
    };
    Figure::ALL.into_iter().filter(wanted).collect()
}

fn notes(all: &[Series]) -> Vec<String> {
    let of_series = |series: &Series| {
        let systems = series.contenders.iter().map(|(name, runs)| (name.as_str(), &runs[..]));
        notes::notes(series.scenario.key, &systems.collect::<Vec<_>>())
    };
    all.iter().flat_map(of_series).collect()
}

#[cfg(test)]
#[path = "report_tests.rs"]
mod tests;
