//! The page: its tables, and how the figures came about.

use super::*;

#[test]
fn the_page_holds_the_tables_and_the_conditions() {
    let mut file = full();
    file["scenarios"][0]["runs"]["six"][0]["short_sends"] = 3.into();
    let drawn = Drawn::of(&file).unwrap();
    let (page, cost) = (drawn.read("README.md"), COST.heading());
    for line in [
        "`redcast-bench run` measured this",
        "- Machine: a machine\n",
        "- 1 of 2 runs of six in (a) had short sends and don't count.\n",
        &format!("| a | {cost} | gateway | 1.10 | 1.11 | 5.500 | 5.000 | ≤ 1.2 × floor | yes |\n"),
        &format!("\n| scenario | system | {cost} |"),
        "| a | node &lt;ws> & \"co\" | 25.000 |",
        "| a | six | 30.500 |",
        "- (b2) title of b2\n",
    ] {
        assert!(page.contains(line), "no {line:?} in {page}");
    }
    assert_eq!(drawn.read("bench.json"), file.to_string());
}

#[test]
fn the_page_tells_what_was_asked_for_and_what_went_wrong() {
    let mut file = full();
    file["conditions"]["options"] = "--quick --only a".into();
    file["conditions"]["ended_early"] = "(b1): the floor fell".into();
    for run in file["scenarios"][0]["runs"]["floor"].as_array_mut().unwrap() {
        run["cpu_us_per_delivery"] = 8.0.into();
        run["closed"] = 3.into();
        run["load_cpu_percent"] = 96.0.into();
    }
    let page = Drawn::of(&file).unwrap().read("README.md");
    for line in [
        "`redcast-bench run` with the options `--quick --only a` measured this.",
        "- The run ended before all was measured: (b1): the floor fell\n",
        "- the floor took 8.0 µs per delivery in (a), above 7: ",
        "- floor closed 6 connections in (a).\n",
        "- the load generator and Redis used 96 % of their CPU in (a) with floor: ",
    ] {
        assert!(page.contains(line), "no {line:?} in {page}");
    }
    file["conditions"]["options"] = "".into();
    let page = Drawn::of(&file).unwrap().read("README.md");
    assert!(page.contains("`redcast-bench run`, without options, measured this."), "{page}");
}

#[test]
fn what_ran_once_has_no_floor_and_no_place_among_the_costs() {
    let two = [("floor", runs(1.0)), ("gateway", runs(1.1))];
    let once = [("floor", json!([])), ("gateway", runs(1.0))];
    let mut file = file(&[scenario("a", &two), scenario("h", &once), scenario("rounds", &once)]);
    file["comparisons"] = json!([
        { "scenario": "rounds", "figure": "memory last ÷ first", "value": 1.0312 },
        { "scenario": "h", "figure": "not open", "value": 0.0, "reached": "not judged" },
    ]);
    let drawn = Drawn::of(&file).unwrap();
    assert!(!drawn.read("cost.svg").contains("title of h"));
    let page = drawn.read("README.md");
    assert!(page.contains("- Once, not in rounds: (h), (rounds)\n"), "{page}");
    assert!(page.contains("| a | floor | ") && page.contains("| h | gateway | "), "{page}");
    assert!(!page.contains("| h | floor | "), "{page}");
    assert!(page.contains(" | 1.031 | ") && page.contains(" | **not judged** |"), "{page}");
    assert!(page.contains("| h | not open |  | - | - | 0 | "), "{page}");
}
