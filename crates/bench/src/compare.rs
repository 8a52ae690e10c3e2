//! From measurements to what the budget asks: each figure beside the baseline's of the
//! same rounds, and whether its bar is reached.

use serde::Serialize;

use crate::figure::{Figure, Measurement};
use crate::scenario::{Bar, Limit, Scenario};

/// The baseline's name where nothing else does what is measured: each figure is compared
/// with its own bar.
pub const BAR: &str = "bar";

/// All runs of one scenario.
#[derive(Debug)]
pub struct Series {
    /// The scenario.
    pub scenario: &'static Scenario,
    /// The baseline's runs (the floor's, or those of the first of a pair), then those of
    /// each other contender, with their names.
    pub contenders: Vec<(String, Vec<Measurement>)>,
}

/// What a bar says about one contender.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Judgement {
    /// Reached.
    Reached,
    /// Missed.
    Missed,
    /// There is a bar, and no valid run to judge by.
    #[serde(rename = "not judged")]
    NotJudged,
    /// There is no bar.
    #[serde(rename = "-")]
    NoBar,
}

/// One figure of one contender beside the baseline's.
#[derive(Debug, Serialize)]
pub struct Comparison {
    /// The scenario's key.
    pub scenario: &'static str,
    /// Whose figure it is.
    pub contender: String,
    /// The figure's heading.
    pub figure: &'static str,
    /// Over the contender's runs.
    pub value: Option<f64>,
    /// Whose figure it is compared with.
    pub baseline: String,
    /// Over the baseline's runs.
    pub baseline_value: Option<f64>,
    /// Of the two values, which are medians.
    pub ratio: Option<f64>,
    /// Of the least values.
    pub ratio_of_least: Option<f64>,
    /// Where the bar lies.
    pub bar: String,
    /// Whether it is reached.
    pub reached: Judgement,
    /// Digits after the point of the values.
    #[serde(skip)]
    pub digits: usize,
}

/// Every bar of every scenario, for each contender but the baseline.
pub fn comparisons(all: &[Series]) -> Vec<Comparison> {
    let mut compared = Vec::new();
    for series in all {
        let Some((baseline, others)) = series.contenders.split_first() else { continue };
        for bar in series.scenario.bars {
            for contender in others {
                compared.push(compare(series.scenario.key, *bar, contender, baseline));
            }
        }
    }
    compared
}

fn compare(
    scenario: &'static str,
    Bar { figure, limit }: Bar,
    (name, runs): &(String, Vec<Measurement>),
    (baseline, baseline_runs): &(String, Vec<Measurement>),
) -> Comparison {
    let (runs, others): (Vec<_>, Vec<_>) = (runs.iter().collect(), baseline_runs.iter().collect());
    let own = (baseline == BAR).then(|| absolute(limit)).flatten();
    let (value, baseline_value) = (figure.over(&runs), own.or_else(|| figure.over(&others)));
    let least = own.or_else(|| figure.least(&others));
    let comparable = own.is_some() || is_comparable(figure, limit);
    Comparison {
        scenario,
        contender: name.clone(),
        figure: figure.heading(),
        value,
        baseline: baseline.clone(),
        baseline_value,
        ratio: ratio(value, baseline_value).filter(|_| comparable),
        ratio_of_least: ratio(figure.least(&runs), least).filter(|_| comparable),
        bar: describe(limit, baseline),
        reached: judge(limit, value, baseline_value),
        digits: figure.digits(),
    }
}

/// Where a bar lies by itself.
fn absolute(limit: Limit) -> Option<f64> {
    match limit {
        Limit::AtMost(limit) | Limit::AtLeast(limit) => Some(limit),
        Limit::Times(_) | Limit::Above(_) | Limit::TimesOrAbove(..) | Limit::Shown => None,
    }
}

/// The floor needs next to nothing of what has an absolute upper limit, and next to no
/// memory at all.
fn is_comparable(figure: Figure, limit: Limit) -> bool {
    !matches!(limit, Limit::AtMost(_))
        && !matches!(figure, Figure::MemoryPerConnection | Figure::FreshMemory)
}

/// None without both, or by zero.
pub fn ratio(value: Option<f64>, baseline: Option<f64>) -> Option<f64> {
    let baseline = baseline.filter(|&baseline| baseline > 0.0)?;
    Some(value? / baseline)
}

/// Where a bar lies, in words.
pub fn describe(limit: Limit, baseline: &str) -> String {
    match limit {
        Limit::Times(times) => format!("≤ {times} × {baseline}"),
        Limit::Above(more) => format!("≤ {baseline} + {more}"),
        Limit::TimesOrAbove(times, more) => format!("≤ {times} × {baseline} or + {more}"),
        Limit::AtMost(most) => format!("≤ {most}"),
        Limit::AtLeast(least) => format!("≥ {least}"),
        Limit::Shown => "-".to_owned(),
    }
}

fn judge(limit: Limit, value: Option<f64>, baseline: Option<f64>) -> Judgement {
    let reached = match (limit, value, baseline) {
        (Limit::Times(times), Some(value), Some(baseline)) => value <= baseline * times,
        (Limit::Above(more), Some(value), Some(baseline)) => value <= baseline + more,
        (Limit::TimesOrAbove(times, more), Some(value), Some(baseline)) => {
            value <= (baseline * times).max(baseline + more)
        }
        (Limit::AtMost(most), Some(value), _) => value <= most,
        (Limit::AtLeast(least), Some(value), _) => value >= least,
        (Limit::Shown, ..) => return Judgement::NoBar,
        _ => return Judgement::NotJudged,
    };
    if reached { Judgement::Reached } else { Judgement::Missed }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_higher_of_a_multiple_and_a_margin_is_the_bar() {
        let judge = |value, baseline| {
            judge(Limit::TimesOrAbove(1.2, 1.0), Some(value), Some(baseline)) == Judgement::Reached
        };
        // Of 2 ms the margin counts, of 20 ms the multiple.
        assert_eq!((judge(2.9, 2.0), judge(3.1, 2.0)), (true, false));
        assert_eq!((judge(23.9, 20.0), judge(24.1, 20.0)), (true, false));
    }

    #[test]
    fn without_a_baseline_a_figure_is_compared_with_its_bar() {
        let run = |p99_ms| Measurement { p99_ms: Some(p99_ms), ..Measurement::default() };
        let bar = Bar { figure: Figure::P99, limit: Limit::AtMost(20.0) };
        let runs = ("collector".to_owned(), vec![run(5.0), run(4.0), run(30.0)]);
        let compared = compare("collect", bar, &runs, &(BAR.to_owned(), vec![]));
        assert_eq!((compared.ratio, compared.ratio_of_least), (Some(0.25), Some(0.2)));
        assert_eq!((compared.baseline_value, compared.reached), (Some(20.0), Judgement::Reached));
    }

    #[test]
    fn a_bar_names_its_baseline() {
        assert_eq!(describe(Limit::Times(1.3), "off"), "≤ 1.3 × off");
        assert_eq!(describe(Limit::TimesOrAbove(1.2, 1.0), "without"), "≤ 1.2 × without or + 1");
    }
}
