//! docs/SECURITY.md tells the truth: each threat has a state, and each promise names tests
//! that exist.

use std::path::PathBuf;

/// How many threats the page has to speak of.
const THREATS: usize = 30;
const STATES: [&str; 4] = ["held", "held by configuration", "operator's task", "not offered yet"];

struct Row {
    number: String,
    state: String,
    how: String,
    /// Path of a test's file, from the folder of the page, and the test's name.
    tests: Vec<(String, String)>,
}

fn docs() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs"))
}

fn page() -> String {
    std::fs::read_to_string(docs().join("SECURITY.md")).expect("the page can be read")
}

/// Reads the table of threats: its rows begin with their number.
fn rows(page: &str) -> Vec<Row> {
    let lines = page.lines().filter(|line| {
        let cell = line.strip_prefix("| ").and_then(|line| line.split(' ').next());
        cell.is_some_and(|cell| cell.parse::<usize>().is_ok())
    });
    lines
        .map(|line| {
            let cells: Vec<&str> = line.split('|').map(str::trim).collect();
            let [_, number, _, state, how, tests, _] = cells[..] else { panic!("no row: {line}") };
            let [number, state, how] = [number, state, how].map(str::to_owned);
            Row { number, state, how, tests: read_tests(tests) }
        })
        .collect()
}

/// Reads ``[file](path) `test`, `test`; [file](path) `test` ``.
fn read_tests(cell: &str) -> Vec<(String, String)> {
    let mut tests = Vec::new();
    for file in cell.split("](").skip(1) {
        let (path, names) = file.split_once(')').expect("a link's end");
        let names = names.split('`').skip(1).step_by(2);
        let mut names: Vec<_> = names.map(|name| (path.to_owned(), name.to_owned())).collect();
        assert!(!names.is_empty(), "a file without a test: {cell}");
        tests.append(&mut names);
    }
    tests
}

/// What is wrong with a row; nothing if it is empty.
fn faults(row: &Row) -> Vec<String> {
    let mut faults = Vec::new();
    if !STATES.contains(&row.state.as_str()) || row.how.is_empty() {
        faults.push(format!("{}: {:?} is no state, or nothing says how", row.number, row.state));
    }
    if row.state.starts_with("held") && row.tests.is_empty() {
        faults.push(format!("{}: held, and no test says so", row.number));
    }
    for (path, name) in &row.tests {
        let code = std::fs::read_to_string(docs().join(path)).unwrap_or_default();
        let is_test = if path.ends_with(".rs") { tests_rust } else { tests_page }(&code, name);
        if !is_test {
            faults.push(format!("{}: no test {name} in {path}", row.number));
        }
    }
    faults
}

fn tests_rust(code: &str, name: &str) -> bool {
    code.split_once(&format!("fn {name}(")).is_some_and(|(before, _)| {
        before.trim_end().trim_end_matches("async").trim_end().ends_with(']')
    })
}

/// The tests of the dashboard have sentences for names, and so have the single checks that
/// a browser makes.
fn tests_page(code: &str, name: &str) -> bool {
    code.contains(&format!("test(\"{name}\", ")) || code.contains(&format!(", \"{name}\""))
}

#[test]
fn every_threat_has_its_state_and_every_promise_its_tests() {
    let rows = rows(&page());
    let numbers: Vec<String> = rows.iter().map(|row| row.number.clone()).collect();
    let expected: Vec<String> = (1..=THREATS).map(|number| number.to_string()).collect();
    assert_eq!(numbers, expected);
    let faults: Vec<String> = rows.iter().flat_map(faults).collect();
    assert!(faults.is_empty(), "docs/SECURITY.md: {faults:#?}");
}

#[test]
fn a_row_that_is_wrong_is_noticed() {
    let story = "[s](../crates/e2e/tests/stories/security_doc.rs)";
    let good = format!("| 1 | a | held | b | {story} `a_row_that_is_wrong_is_noticed` |");
    assert_eq!(faults(&rows(&good)[0]), Vec::<String>::new());
    for wrong in [
        "| 1 | a | held | b | |".to_owned(),
        "| 1 | a | all right | b | |".to_owned(),
        "| 1 | a | not offered yet | | |".to_owned(),
        format!("| 1 | a | held | b | {story} `nobody` |"),
        format!("| 1 | a | held | b | {story} `faults` |"),
        "| 1 | a | held | b | [s](../scripts/page/attacked.mjs) `nobody` |".to_owned(),
        "| 1 | a | held | b | [s](nowhere.rs) `a_row_that_is_wrong_is_noticed` |".to_owned(),
    ] {
        assert_eq!(faults(&rows(&wrong)[0]).len(), 1, "{wrong}");
    }
}
