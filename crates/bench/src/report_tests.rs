//! The table that is printed: ratios, bars and medians.

use super::*;
use crate::scenario::SCENARIOS;

fn run(cpu: f64, lost: u64) -> Measurement {
    Measurement {
        cpu_us_per_delivery: Some(cpu),
        p50_ms: Some(1.0),
        p99_ms: Some(cpu),
        lost: Some(lost),
        ..Measurement::default()
    }
}

fn paced(floor: Vec<Measurement>, gateway: Vec<Measurement>) -> Vec<Series> {
    let contenders = vec![("floor".to_owned(), floor), ("gateway".to_owned(), gateway)];
    vec![Series { scenario: &SCENARIOS[0], contenders }]
}

fn conditions() -> Conditions {
    let (machine, placement) = ("a machine".to_owned(), "unpinned".to_owned());
    Conditions { machine, placement, rounds: 3, window_seconds: 1.0, left_out: Vec::new() }
}

#[test]
fn the_ratio_is_that_of_the_medians_beside_that_of_the_least() {
    let all = paced(
        vec![run(4.0, 0), run(5.0, 0), run(90.0, 0)],
        vec![run(5.5, 0), run(5.0, 0), run(80.0, 0)],
    );
    let compared = comparisons(&all);
    assert_eq!(compared[0].ratio, Some(1.1));
    assert_eq!(compared[0].ratio_of_least, Some(1.25));
    assert_eq!(compared[0].reached, Judgement::Reached);
}

#[test]
fn a_missed_bar_says_so() {
    let compared = comparisons(&paced(vec![run(4.0, 0)], vec![run(9.5, 3)]));
    let reached: Vec<Judgement> = compared.iter().map(|line| line.reached).collect();
    // CPU 2.4 times the floor's, the same p50, p99 5.5 ms more, 3 lost.
    let expected = [Judgement::Missed, Judgement::Reached, Judgement::Missed, Judgement::Missed];
    assert_eq!(reached, expected);
    assert!(text(&conditions(), &paced(vec![run(4.0, 0)], vec![run(9.5, 3)])).contains("MISSED"));
}

#[test]
fn runs_with_short_sends_do_not_count_and_are_named() {
    let short = Measurement { short_sends: 2, ..run(1.0, 0) };
    let all = paced(vec![run(4.0, 0), short.clone()], vec![short]);
    assert_eq!(comparisons(&all)[0].reached, Judgement::Unknown);
    let notes = notes(&all);
    assert_eq!(notes.len(), 2, "{notes:?}");
    assert!(notes[1].starts_with("1 of 1 runs of gateway in (a)"), "{notes:?}");
}

#[test]
fn a_floor_that_is_too_dear_is_named() {
    let notes = notes(&paced(vec![run(8.0, 0)], vec![run(8.0, 0)]));
    assert!(notes[0].contains("not quiet"), "{notes:?}");
}

#[test]
fn numbers_are_grouped_and_columns_aligned() {
    assert_eq!(number(Some(1_234_567.0), 0), "1,234,567");
    assert_eq!(number(Some(123.456), 2), "123.46");
    assert_eq!(number(Some(-1234.5), 1), "-1,234.5");
    assert_eq!(number(None, 2), "-");
    let rows = [["name", "n"], ["µ", "100"]].map(|row| row.map(str::to_owned).to_vec());
    assert_eq!(aligned(&rows), "name    n\nµ     100\n");
}

#[test]
fn json_holds_every_run() {
    let json = json(&conditions(), &paced(vec![run(4.0, 0)], vec![run(4.4, 0)]));
    assert_eq!(json["scenarios"][0]["runs"]["gateway"][0]["cpu_us_per_delivery"], 4.4);
    assert_eq!(json["comparisons"][0]["reached"], "reached");
}
