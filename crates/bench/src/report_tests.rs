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

fn series(key: &str, names: [&str; 2], runs: [Vec<Measurement>; 2]) -> Series {
    let scenario = SCENARIOS.iter().find(|scenario| scenario.key == key).unwrap();
    let contenders = names.map(str::to_owned).into_iter().zip(runs).collect();
    Series { scenario, contenders }
}

fn paced(floor: Vec<Measurement>, gateway: Vec<Measurement>) -> Vec<Series> {
    vec![series("a", ["floor", "gateway"], [floor, gateway])]
}

fn conditions() -> Conditions {
    let (machine, placement) = ("a machine".to_owned(), "unpinned".to_owned());
    Conditions {
        machine,
        placement,
        command: "run",
        options: String::new(),
        rounds: 3,
        window_seconds: 1.0,
        left_out: Vec::new(),
        ended_early: None,
    }
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
    assert_eq!(comparisons(&all)[0].reached, Judgement::NotJudged);
    assert!(text(&conditions(), &all).contains("NOT JUDGED"));
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
fn a_publisher_that_was_late_is_named() {
    let late = |p50, max| Measurement {
        publish_late_p50_ms: Some(p50),
        publish_late_max_ms: Some(max),
        ..run(4.0, 0)
    };
    assert!(notes(&paced(vec![run(4.0, 0)], vec![late(4.9, 49.0)])).is_empty());
    for late in [late(5.1, 20.0), late(0.1, 51.0)] {
        let notes = notes(&paced(vec![run(4.0, 0)], vec![late]));
        assert!(notes[0].starts_with("the publisher was late in (a) with gateway"), "{notes:?}");
    }
}

#[test]
fn cpu_is_no_ratio_where_no_bar_is_about_it() {
    let text = |key| {
        let runs = [vec![run(4.0, 0)], vec![run(4.4, 0)]];
        text(&conditions(), &[series(key, ["floor", "gateway"], runs)])
    };
    assert!(text("b1").contains("÷ floor") && !text("b2").contains("÷ floor"));
}

#[test]
fn json_holds_every_run() {
    let json = json(&conditions(), &paced(vec![run(8.0, 0)], vec![run(4.4, 0)]));
    assert!(json["notes"][0].as_str().is_some_and(|note| note.contains("not quiet")), "{json}");
    assert_eq!(json["scenarios"][0]["runs"]["gateway"][0]["cpu_us_per_delivery"], 4.4);
    assert_eq!(json["comparisons"][0]["reached"], "reached");
}

#[test]
fn a_pair_is_compared_with_its_first() {
    let wire = |cpu, bytes| Measurement { wire_bytes_per_delivery: Some(bytes), ..run(cpu, 0) };
    let runs = [vec![wire(5.0, 1_000.0)], vec![wire(6.0, 410.0)]];
    let all = [series("deflate", ["off", "on"], runs)];
    let compared = comparisons(&all);
    let cost = &compared[0];
    assert_eq!((cost.baseline.as_str(), cost.contender.as_str()), ("off", "on"));
    assert_eq!((cost.ratio, cost.bar.as_str()), (Some(1.2), "≤ 1.3 × off"));
    let reached: Vec<Judgement> = compared.iter().map(|line| line.reached).collect();
    // 1.2 times the CPU, 0.41 times the bytes, nothing lost.
    assert_eq!(reached, [Judgement::Reached, Judgement::Missed, Judgement::Reached]);
    assert!(text(&conditions(), &all).contains("÷ off"));
}

#[test]
fn a_load_generator_without_time_left_is_named() {
    let busy = |share| Measurement { load_cpu_percent: Some(share), ..run(4.0, 0) };
    let notes = notes(&paced(vec![busy(89.0)], vec![busy(50.0), busy(97.0), busy(95.0)]));
    assert_eq!(notes.len(), 1, "{notes:?}");
    assert!(notes[0].contains("95 % of their CPU in (a) with gateway"), "{notes:?}");
}

#[test]
fn what_the_silent_client_cost_is_told() {
    let silent = |kb, closed| Measurement {
        silent_backlog_kb: Some(kb),
        silent_closed: Some(closed),
        ..run(4.0, 0)
    };
    let runs = [vec![run(4.0, 0)], vec![silent(0.0, true), silent(700.0, false)]];
    let notes = notes(&[series("slow", ["without", "with"], runs)]);
    assert_eq!(notes.len(), 1, "{notes:?}");
    assert!(
        notes[0].contains("in 1 of 2 runs of with in (slow); in the others up to 700 KB"),
        "{notes:?}"
    );
}

/// The widest figures that a run on a real machine has.
fn wide(scenario: &Scenario) -> Measurement {
    let idle = Measurement {
        memory_kb_per_connection: 134.56,
        fresh_memory_mb: 123.4,
        connects_per_second: 12_345.0,
        cpu_us_per_handshake: 1_234.5,
        ..Measurement::default()
    };
    if scenario.traffic.is_none() {
        return idle;
    }
    Measurement {
        cpu_us_per_delivery: Some(123.456),
        deliveries_per_second: Some(1_000_000.0),
        published_per_second: Some(20_000.0),
        lost: Some(1_234_567),
        duplicated: Some(12_345),
        reordered: Some(0),
        p50_ms: Some(1_234.56),
        p99_ms: Some(2_345.67),
        max_ms: Some(12_345.67),
        cpu_percent: Some(100.0),
        wire_bytes_per_delivery: Some(16_390.0),
        ..idle
    }
}

#[test]
fn no_line_is_wider_than_120_columns() {
    let names = ["floor", "axum-broadcast"];
    let row = |scenario: &'static Scenario| {
        let names = scenario.pair.map_or(names, |pair| pair.names);
        series(scenario.key, names, [vec![wide(scenario)], vec![wide(scenario)]])
    };
    let all: Vec<Series> = SCENARIOS.iter().map(row).collect();
    let text = text(&conditions(), &all);
    for line in text.lines().filter(|line| !line.starts_with("Note: ")) {
        let width = line.chars().count();
        assert!(width <= 120, "{width} columns: {line}");
    }
    // What no run of it has, or is about, takes no room.
    let idle = text.split("(e) ").nth(1).unwrap().lines().nth(1).unwrap();
    assert!(idle.contains("KB/conn") && !idle.contains("p50"), "{idle}");
}
