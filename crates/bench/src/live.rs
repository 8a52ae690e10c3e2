//! The rows of live statistics, each measured by a command of its own, and how both end.

use anyhow::{Result, bail};

use crate::compare::{Comparison, Judgement, Series, comparisons};
use crate::figure::Figure;
use crate::report::{self, Conditions};
use crate::report_file::ReportFile;
use crate::scenario::{Bar, Limit, Pair, Scenario};
use crate::setup::Setup;

/// Page views per second of the budget.
pub const RATE: u32 = 10_000;

/// Those of a quick run, which a debug build on a busy machine accepts, too.
pub const QUICK_RATE: u32 = 500;

/// 99 of 100 page views are accepted within this, ms.
pub const P99_MS: f64 = 20.0;

/// From one heartbeat to the next, seconds.
pub const EVERY: u32 = 5;

/// The same in a quick run.
pub const QUICK_EVERY: u32 = 1;

/// More of a core than without a snapshot, per cent.
const MORE_CPU: f64 = 3.0;

/// A quick run has deadlines of so many times the budget.
const QUICK_TIMES: f64 = 3.0;

const fn at_most(figure: Figure, most: f64) -> Bar {
    Bar { figure, limit: Limit::AtMost(most) }
}

const fn collect_bars(rate: u32, times: f64) -> [Bar; 7] {
    [
        Bar { figure: Figure::Accepted, limit: Limit::AtLeast(rate as f64) },
        at_most(Figure::P99, P99_MS * times),
        at_most(Figure::Refused, 0.0),
        at_most(Figure::Lost, 0.0),
        at_most(Figure::Duplicated, 0.0),
        at_most(Figure::Miscounted, 0.0),
        Bar { figure: Figure::Highest, limit: Limit::Shown },
    ]
}

/// Page views from 1,000 addresses.
pub static COLLECT: Scenario = Scenario {
    key: "collect",
    title: "10,000 page views/s from 1,000 addresses",
    clients: 1_000,
    traffic: None,
    pair: None,
    bars: &collect_bars(RATE, 1.0),
};

/// The same, to show that all works.
pub static QUICK_COLLECT: Scenario = Scenario {
    title: "500 page views/s from 1,000 addresses",
    bars: &collect_bars(QUICK_RATE, QUICK_TIMES),
    ..COLLECT
};

const fn snapshot_bars(times: f64) -> [Bar; 4] {
    [
        Bar { figure: Figure::CpuShare, limit: Limit::Above(MORE_CPU * times) },
        at_most(Figure::MoreCpu, MORE_CPU * times),
        at_most(Figure::Lost, 0.0),
        at_most(Figure::Duplicated, 0.0),
    ]
}

const fn beating(every: u32) -> Option<Pair> {
    let changed = Setup { channels: 1, deflate: false, silent: false, snapshot: Some(every) };
    Some(Pair { names: ["without", "with"], changed })
}

/// A heartbeat to 10,000 clients.
pub static SNAPSHOT: Scenario = Scenario {
    key: "snapshot",
    title: "10,000 clients, a snapshot each 5 s",
    clients: 10_000,
    traffic: None,
    pair: beating(EVERY),
    bars: &snapshot_bars(1.0),
};

/// The same, to show that all works.
pub static QUICK_SNAPSHOT: Scenario = Scenario {
    title: "500 clients, a snapshot each second",
    clients: 500,
    pair: beating(QUICK_EVERY),
    bars: &snapshot_bars(QUICK_TIMES),
    ..SNAPSHOT
};

/// The whole row with this key.
pub fn find(key: &str) -> Option<&'static Scenario> {
    [&COLLECT, &SNAPSHOT].into_iter().find(|scenario| scenario.key == key)
}

/// The number of rounds and the window's seconds, as options tell them.
pub fn told(quick: bool, rounds: Option<u32>, window: Option<u32>) -> String {
    let rounds = rounds.map(|rounds| format!("--rounds {rounds}"));
    let window = window.map(|window| format!("--window {window}"));
    let quick = quick.then(|| "--quick".to_owned());
    [quick, rounds, window].into_iter().flatten().collect::<Vec<_>>().join(" ")
}

/// Prints the table and `details`, writes the JSON and fails on a bar that is missed.
/// `outcome` is how the rounds ended; what was measured before an error is not lost.
pub fn conclude(
    mut conditions: Conditions,
    series: Series,
    details: &str,
    json: Option<ReportFile>,
    outcome: Result<()>,
) -> Result<()> {
    conditions.ended_early = outcome.as_ref().err().map(|error| format!("{error:#}"));
    let measured = series.contenders.iter().any(|(_, runs)| !runs.is_empty());
    let all = [series];
    let mut written = Ok(());
    if measured {
        print!("{}\n{details}", report::text(&conditions, &all));
        written = json.map_or(Ok(()), |file| file.write(&report::json(&conditions, &all)));
    }
    outcome.and(written).and_then(|()| judge(&comparisons(&all)))
}

/// An error that names each bar that is not reached.
fn judge(compared: &[Comparison]) -> Result<()> {
    let missed = compared.iter().filter_map(|line| {
        let what = match line.reached {
            Judgement::Missed => "missed",
            Judgement::NotJudged => "not judged",
            Judgement::Reached | Judgement::NoBar => return None,
        };
        Some(format!("{} of {} is {what} ({})", line.figure, line.scenario, line.bar))
    });
    let missed: Vec<String> = missed.collect();
    if !missed.is_empty() {
        bail!("the budget is not reached: {}", missed.join(", "));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::BAR;
    use crate::figure::Measurement;

    fn good() -> Measurement {
        Measurement {
            accepted_per_second: Some(10_000.0),
            highest_per_second: Some(12_000.0),
            p99_ms: Some(19.9),
            refused: Some(0),
            lost: Some(0),
            duplicated: Some(0),
            miscounted: Some(0),
            ..Measurement::default()
        }
    }

    /// Five runs, the last of which is `odd`.
    fn sentence(odd: Measurement) -> String {
        let runs = vec![good(), good(), good(), good(), odd];
        let contenders = vec![(BAR.to_owned(), vec![]), ("collector".to_owned(), runs)];
        let compared = comparisons(&[Series { scenario: &COLLECT, contenders }]);
        judge(&compared).map_or_else(|error| error.to_string(), |()| "reached".to_owned())
    }

    #[test]
    fn one_run_that_loses_a_view_misses_and_one_that_is_slow_does_not() {
        assert_eq!(sentence(good()), "reached");
        assert_eq!(sentence(Measurement { p99_ms: Some(500.0), ..good() }), "reached");
        let missed = |figure: &str| {
            format!("the budget is not reached: {figure} of collect is missed (≤ 0)")
        };
        assert_eq!(sentence(Measurement { lost: Some(1), ..good() }), missed("lost"));
        assert_eq!(sentence(Measurement { duplicated: Some(1), ..good() }), missed("duplicated"));
        assert_eq!(
            sentence(Measurement { miscounted: Some(1), ..good() }),
            missed("counted off by")
        );
        assert_eq!(sentence(Measurement { refused: Some(1), ..good() }), missed("not accepted"));
    }

    #[test]
    fn a_median_above_the_bar_and_one_that_nobody_measured_are_not_reached() {
        let judged = |runs: Vec<Measurement>| {
            let contenders = vec![(BAR.to_owned(), vec![]), ("collector".to_owned(), runs)];
            judge(&comparisons(&[Series { scenario: &COLLECT, contenders }]))
                .map_err(|error| error.to_string())
        };
        let slow = Measurement { p99_ms: Some(20.1), ..good() };
        let error = judged(vec![slow.clone(), good(), slow]).unwrap_err();
        assert_eq!(error, "the budget is not reached: p99 ms of collect is missed (≤ 20)");
        assert!(judged(vec![]).unwrap_err().contains("accepted/s of collect is not judged"));
    }
}
