//! From measurements to the printed table, ratios first, and to JSON.

use std::fmt::Write;

use serde::Serialize;
use serde_json::{Value, json};

use crate::figure::{Figure, Measurement};
use crate::scenario::{Bar, Limit, Scenario};

/// Above this many µs per delivery in scenario (a) the floor itself is not right:
/// the machine is not quiet, and no figure of the run means much.
const QUIET_FLOOR: f64 = 7.0;

/// All runs of one scenario.
#[derive(Debug)]
pub struct Series {
    /// The scenario.
    pub scenario: &'static Scenario,
    /// The floor's runs, then each other contender's, with its name.
    pub contenders: Vec<(String, Vec<Measurement>)>,
}

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

/// What a bar says about one contender.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Judgement {
    Reached,
    Missed,
    /// There is no bar, or no valid run.
    #[serde(rename = "-")]
    Unknown,
}

#[derive(Debug, Serialize)]
struct Comparison {
    scenario: &'static str,
    contender: String,
    figure: &'static str,
    value: Option<f64>,
    floor: Option<f64>,
    ratio: Option<f64>,
    ratio_of_least: Option<f64>,
    bar: String,
    reached: Judgement,
    #[serde(skip)]
    digits: usize,
}

/// The whole report as text.
pub fn text(conditions: &Conditions, all: &[Series]) -> String {
    let Conditions { machine, placement, rounds, window_seconds, left_out } = conditions;
    let mut text = format!(
        "\n{machine}\n{placement}; {rounds} interleaved rounds, windows of {window_seconds} s\n"
    );
    let compared = comparisons(all);
    if !compared.is_empty() {
        text.push_str("\nRatios to the floor of the same run (median ÷ median, least ÷ least)\n");
        text.push_str(&aligned(&ratio_rows(&compared)));
    }
    text.push_str(
        "\nAll figures (medians; lost, duplicated, reordered and max of the worst run)\n",
    );
    text.push_str(&aligned(&figure_rows(all)));
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

fn comparisons(all: &[Series]) -> Vec<Comparison> {
    let mut compared = Vec::new();
    for series in all {
        let Some(((_, floor), others)) = series.contenders.split_first() else { continue };
        for bar in series.scenario.bars {
            for (name, runs) in others {
                compared.push(compare(series.scenario.key, name, *bar, runs, floor));
            }
        }
    }
    compared
}

fn compare(
    scenario: &'static str,
    name: &str,
    bar: Bar,
    runs: &[Measurement],
    floor: &[Measurement],
) -> Comparison {
    let (runs, floor): (Vec<_>, Vec<_>) = (runs.iter().collect(), floor.iter().collect());
    let figure = bar.figure;
    let (value, floor_value) = (figure.over(&runs), figure.over(&floor));
    // The floor needs next to nothing of what has an absolute upper limit.
    let comparable = !matches!(bar.limit, Limit::AtMost(_));
    Comparison {
        scenario,
        contender: name.to_owned(),
        figure: figure.heading(),
        value,
        floor: floor_value,
        ratio: ratio(value, floor_value).filter(|_| comparable),
        ratio_of_least: ratio(figure.least(&runs), figure.least(&floor)).filter(|_| comparable),
        bar: describe(bar.limit),
        reached: judge(bar.limit, value, floor_value),
        digits: figure.digits(),
    }
}

fn ratio(value: Option<f64>, floor: Option<f64>) -> Option<f64> {
    let floor = floor.filter(|&floor| floor > 0.0)?;
    Some(value? / floor)
}

fn describe(limit: Limit) -> String {
    match limit {
        Limit::TimesFloor(times) => format!("≤ {times} × floor"),
        Limit::AboveFloor(more) => format!("≤ floor + {more}"),
        Limit::AtMost(most) => format!("≤ {most}"),
        Limit::AtLeast(least) => format!("≥ {least}"),
        Limit::Shown => "-".to_owned(),
    }
}

fn judge(limit: Limit, value: Option<f64>, floor: Option<f64>) -> Judgement {
    let reached = match (limit, value, floor) {
        (Limit::TimesFloor(times), Some(value), Some(floor)) => value <= floor * times,
        (Limit::AboveFloor(more), Some(value), Some(floor)) => value <= floor + more,
        (Limit::AtMost(most), Some(value), _) => value <= most,
        (Limit::AtLeast(least), Some(value), _) => value >= least,
        _ => return Judgement::Unknown,
    };
    if reached { Judgement::Reached } else { Judgement::Missed }
}

fn ratio_rows(compared: &[Comparison]) -> Vec<Vec<String>> {
    let heading = ["scenario", "figure", "system", "ratio", "least", "value", "floor", "bar", ""];
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
            number(line.floor, line.digits),
            line.bar.clone(),
            reached.to_owned(),
        ]);
    }
    rows
}

fn figure_rows(all: &[Series]) -> Vec<Vec<String>> {
    let headings = Figure::ALL.map(|figure| figure.heading().to_owned());
    let mut rows = vec![["scenario".to_owned(), "system".to_owned()].to_vec()];
    rows[0].extend(headings);
    for series in all {
        for (name, runs) in &series.contenders {
            let runs: Vec<&Measurement> = runs.iter().collect();
            let mut row = vec![series.scenario.key.to_owned(), name.clone()];
            row.extend(Figure::ALL.map(|figure| number(figure.over(&runs), figure.digits())));
            rows.push(row);
        }
    }
    rows
}

fn notes(all: &[Series]) -> Vec<String> {
    let mut notes = Vec::new();
    for series in all {
        let key = series.scenario.key;
        for (name, runs) in &series.contenders {
            let invalid = runs.iter().filter(|run| run.short_sends > 0).count();
            if invalid > 0 {
                let all = runs.len();
                notes.push(format!(
                    "{invalid} of {all} runs of {name} in ({key}) had short sends and don't count."
                ));
            }
            let closed: usize = runs.iter().map(|run| run.closed).sum();
            if closed > 0 {
                notes.push(format!("{name} closed {closed} connections in ({key})."));
            }
        }
        let floor: Vec<&Measurement> =
            series.contenders.first().map(|(_, runs)| runs.iter().collect()).unwrap_or_default();
        if key == "a"
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

fn number(value: Option<f64>, digits: usize) -> String {
    let Some(value) = value else { return "-".to_owned() };
    let plain = format!("{value:.digits$}");
    let (whole, fraction) = plain.split_once('.').unwrap_or((&plain, ""));
    let mut grouped = String::new();
    for (index, digit) in whole.chars().enumerate() {
        if index > 0
            && digit.is_ascii_digit()
            && (whole.len() - index).is_multiple_of(3)
            && !grouped.ends_with('-')
        {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    if fraction.is_empty() { grouped } else { format!("{grouped}.{fraction}") }
}

/// Columns as wide as their widest cell; numbers to the right.
fn aligned(rows: &[Vec<String>]) -> String {
    let columns = rows.first().map_or(0, Vec::len);
    let widths: Vec<usize> = (0..columns)
        .map(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0))
        .collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (column, (cell, &width)) in row.iter().zip(&widths).enumerate() {
            let numeric = rows.get(1).is_some_and(|row| is_number(&row[column]));
            let padding = " ".repeat(width - cell.chars().count());
            let _ = match numeric {
                true => write!(line, "{padding}{cell}  "),
                false => write!(line, "{cell}{padding}  "),
            };
        }
        let _ = writeln!(text, "{}", line.trim_end());
    }
    text
}

fn is_number(cell: &str) -> bool {
    cell == "-" || cell.starts_with(|first: char| first.is_ascii_digit())
}

#[cfg(test)]
#[path = "report_tests.rs"]
mod tests;
