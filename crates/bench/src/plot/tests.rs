//! From a file to pictures and a page: what must be in them, and what must not stop
//! them.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::*;
use crate::figure::Figure;

mod page;

const COST: Figure = Figure::CpuPerDelivery;

/// Two runs of one server, whose figures grow with `times`.
fn runs(times: f64) -> Value {
    let run = |more: f64| {
        json!({
            "cpu_us_per_delivery": 5.0 * times + more,
            "deliveries_per_second": 1_000_000.0 / times,
            "published_per_second": 5_000.0,
            "lost": 0, "duplicated": 0, "reordered": 0,
            "p50_ms": 1.0 * times, "p99_ms": 4.0 * times, "max_ms": 9.0,
            "cpu_percent": 50.0,
            "fresh_memory_mb": 8.0,
            "memory_kb_per_connection": 1.25 * times,
            "connects_per_second": 20_000.0,
            "cpu_us_per_handshake": 25.5 * times + more,
            "closed": 0, "other_frames": 0, "short_sends": 0,
        })
    };
    json!([run(-0.5), run(0.5)])
}

fn scenario(key: &str, systems: &[(&str, Value)]) -> Value {
    let runs: serde_json::Map<String, Value> =
        systems.iter().map(|(name, runs)| ((*name).to_owned(), runs.clone())).collect();
    json!({ "key": key, "title": format!("title of {key}"), "clients": 1000, "runs": runs })
}

fn file(scenarios: &[Value]) -> Value {
    json!({
        "conditions": {
            "machine": "a machine", "placement": "on CPU 0", "rounds": 2, "window_seconds": 8.0
        },
        "comparisons": [{
            "scenario": "a", "contender": "gateway", "figure": COST.heading(), "value": 5.5,
            "floor": 5.0, "ratio": 1.1, "ratio_of_least": 1.11, "bar": "≤ 1.2 × floor",
            "reached": "reached"
        }],
        "scenarios": scenarios,
    })
}

/// The plots in which every system may be.
const OF_ALL: [&str; 6] = ["cost-ratio", "cost", "handshake", "latency", "memory", "throughput"];

const PEERS: [&str; 6] = ["axum", "nats", "nchan", "node <ws> & \"co\"", "six", "socket.io"];

/// Every scenario with a plot of eight systems.
fn full() -> Value {
    let mut systems = vec![("floor", runs(1.0)), ("gateway", runs(1.1))];
    systems.extend(PEERS.iter().zip([2.0, 3.0, 4.0, 5.0, 6.0, 40.0]).map(|(n, t)| (*n, runs(t))));
    file(&["a", "b1", "b2", "e", "f"].map(|key| scenario(key, &systems)))
}

struct Drawn {
    folder: tempfile::TempDir,
}

impl Drawn {
    fn of(file: &Value) -> Result<Self> {
        Self::of_text(&file.to_string())
    }

    fn of_text(text: &str) -> Result<Self> {
        let folder = tempfile::tempdir().unwrap();
        let drawn = Self { folder };
        drawn.again(text).map(|()| drawn)
    }

    fn again(&self, text: &str) -> Result<()> {
        let file = self.folder.path().join("run.json");
        fs::write(&file, text).unwrap();
        run(&Options { file, into: self.into() })
    }

    fn into(&self) -> PathBuf {
        self.folder.path().join("some/plots")
    }

    fn files(&self) -> BTreeSet<String> {
        let entries = fs::read_dir(self.into()).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.into().join(name)).unwrap()
    }

    /// All texts of a plot; it must be XML.
    fn texts(&self, plot: &str) -> Vec<String> {
        texts(&self.read(&format!("{plot}.svg")))
    }
}

fn texts(svg: &str) -> Vec<String> {
    let document = roxmltree::Document::parse(svg).unwrap();
    let texts = document
        .descendants()
        .filter(|node| node.has_tag_name(("http://www.w3.org/2000/svg", "text")));
    texts.map(|node| node.text().unwrap_or_default().trim().to_owned()).collect()
}

#[track_caller]
fn check_says(texts: &[String], expected: &[&str]) {
    for words in expected {
        assert!(texts.iter().any(|text| text == words), "no {words:?} in {texts:?}");
    }
}

#[test]
fn every_plot_names_every_system_and_tells_its_value() {
    let drawn = Drawn::of(&full()).unwrap();
    for plot in OF_ALL {
        let texts = drawn.texts(plot);
        check_says(&texts, &["floor", "gateway", "a machine; 2 rounds, windows of 8 s"]);
        check_says(&texts, &PEERS);
    }
    check_says(&drawn.texts("cost-ratio"), &["(a) title of a", "1.00", "1.10", "40.00"]);
    check_says(&drawn.texts("cost"), &["5.00", "5.50", "200.00"]);
    check_says(&drawn.texts("memory"), &["1.25", "1.38", "50.00"]);
    check_says(&drawn.texts("latency"), &["1.00 / 4.00", "1.10 / 4.40", "40.00 / 160.00"]);
    check_says(&drawn.texts("throughput"), &["1,000,000", "909,091", "25,000"]);
    check_says(&drawn.texts("handshake"), &["25.5", "28.1", "1,020.0"]);
}

#[test]
fn the_budget_stands_where_it_belongs() {
    let drawn = Drawn::of(&full()).unwrap();
    let budget = |words: &str| format!("budget {words}");
    check_says(&drawn.texts("cost-ratio"), &[&budget("≤ 1.2 × floor"), &budget("≤ 1.5 × floor")]);
    check_says(&drawn.texts("memory"), &[&budget("≤ 1.5 KB")]);
    check_says(&drawn.texts("latency"), &[&budget("p99 ≤ floor + 5 ms"), &budget("p99 ≤ 20 ms")]);
    check_says(&drawn.texts("throughput"), &[&budget("≥ 980,000")]);
    let results = Results::parse(&full().to_string()).unwrap();
    let at = |name: &str| {
        let plot = catalog::PLOTS.iter().find(|plot| plot.name == name).unwrap();
        plot.chart(&results).unwrap().groups[0].budget.as_ref().unwrap().at
    };
    assert_eq!(["cost-ratio", "cost", "latency", "handshake"].map(at), [1.2, 6.0, 9.0, 76.5]);
}

#[test]
fn bars_are_sorted_from_best_to_worst() {
    let drawn = Drawn::of(&full()).unwrap();
    for plot in ["memory", "throughput"] {
        let texts = drawn.texts(plot);
        let names = texts.iter().filter(|text| {
            ["floor", "gateway"].contains(&text.as_str()) || PEERS.contains(&text.as_str())
        });
        let expected: Vec<&str> = ["floor", "gateway"].into_iter().chain(PEERS).collect();
        assert_eq!(names.collect::<Vec<_>>(), expected, "{plot}");
    }
}

#[test]
fn the_gateway_compared_with_itself_has_a_plot_of_its_own_and_no_peer() {
    let pair = |key, names: [&'static str; 2]| {
        scenario(key, &[(names[0], runs(1.0)), (names[1], runs(1.25))])
    };
    let pairs = [pair("deflate", ["off", "on"]), pair("slow", ["without", "with"])];
    let drawn = Drawn::of(&file(&pairs)).unwrap();
    check_says(&drawn.texts("deflate"), &["off", "1.00 (5.000 µs)", "on", "1.25 (6.250 µs)"]);
    check_says(&drawn.texts("latency"), &["without", "1.00 / 4.00", "with", "1.25 / 5.00"]);
    assert!(!drawn.files().contains("cost-ratio.svg"));
    assert!(drawn.read("README.md").contains("`redcast-bench run` measured this"));
}

#[test]
fn each_run_is_a_dot() {
    let two = [("floor", runs(1.0)), ("gateway", runs(1.1))];
    let svg = Drawn::of(&file(&[scenario("f", &two)])).unwrap().read("handshake.svg");
    let document = roxmltree::Document::parse(&svg).unwrap();
    let dots = document.descendants().filter(|node| node.attribute("r") == Some("3"));
    assert_eq!(dots.count(), 4);
}

#[test]
fn the_same_file_gives_the_same_bytes() {
    let (one, other) = (Drawn::of(&full()).unwrap(), Drawn::of(&full()).unwrap());
    assert_eq!(one.files(), other.files());
    for name in one.files() {
        assert_eq!(one.read(&name), other.read(&name), "{name}");
    }
}

#[test]
fn what_was_not_measured_is_left_out_and_an_old_picture_of_it_removed() {
    let drawn = Drawn::of(&full()).unwrap();
    let expect = |plots: &[&str]| {
        let names = plots.iter().map(|name| format!("{name}.svg"));
        names.chain(["README.md".to_owned(), "bench.json".to_owned()]).collect::<BTreeSet<_>>()
    };
    assert_eq!(drawn.files(), expect(&OF_ALL));
    let two = [("floor", runs(1.0)), ("gateway", runs(1.1))];
    drawn.again(&file(&[scenario("a", &two)]).to_string()).unwrap();
    assert_eq!(drawn.files(), expect(&["cost-ratio", "cost", "latency"]));
    let page = drawn.read("README.md");
    assert!(page.contains("(latency.svg)") && !page.contains("memory.svg"), "{page}");
    // A figure may lack as well as a scenario.
    let mut without = runs(1.0);
    for run in without.as_array_mut().unwrap() {
        run.as_object_mut().unwrap().remove("cpu_us_per_handshake");
        run["p99_ms"] = Value::Null;
    }
    let systems = [("floor", without.clone()), ("gateway", without)];
    let scenarios = ["a", "f"].map(|key| scenario(key, &systems));
    drawn.again(&file(&scenarios).to_string()).unwrap();
    assert_eq!(drawn.files(), expect(&["cost-ratio", "cost"]));
}

/// One figure of the gateway in every run.
fn odd(figure: &str, value: &Value) -> Value {
    let mut file = full();
    for scenario in file["scenarios"].as_array_mut().unwrap() {
        for run in scenario["runs"]["gateway"].as_array_mut().unwrap() {
            run[figure] = value.clone();
        }
    }
    file
}

#[test]
fn values_out_of_range_do_no_harm() {
    let odd_values = [json!(null), json!(0.0), json!(-3.5), json!(1e-300), json!(1e300)];
    for figure in ["cpu_us_per_delivery", "memory_kb_per_connection", "p50_ms", "p99_ms"] {
        for value in &odd_values {
            let drawn = Drawn::of(&odd(figure, value)).unwrap();
            for plot in OF_ALL {
                let svg = drawn.read(&format!("{plot}.svg"));
                check_says(&texts(&svg), &["floor", "socket.io"]);
                check_within(&svg);
            }
        }
    }
    let zero = Drawn::of(&odd("memory_kb_per_connection", &json!(0.0))).unwrap();
    check_says(&zero.texts("memory"), &["0.00"]);
    let absent = Drawn::of(&odd("memory_kb_per_connection", &json!(null))).unwrap();
    assert!(!absent.texts("memory").contains(&"gateway".to_owned()));
}

/// Nothing lies beside the paper or has a negative size.
#[track_caller]
fn check_within(svg: &str) {
    let document = roxmltree::Document::parse(svg).unwrap();
    let root = document.root_element();
    let number = |node: &roxmltree::Node<'_, '_>, name| {
        node.attribute(name).map(|text: &str| text.parse::<f64>().unwrap())
    };
    let (width, height) = (number(&root, "width").unwrap(), number(&root, "height").unwrap());
    for node in root.descendants() {
        for (names, most) in
            [(["x", "x1", "x2", "cx", "width"], width), (["y", "y1", "y2", "cy", "height"], height)]
        {
            for value in names.into_iter().filter_map(|name| number(&node, name)) {
                assert!((0.0..=most).contains(&value), "{node:?}");
            }
        }
    }
}

#[test]
fn no_title_breaks_the_xml() {
    let mut file = full();
    file["scenarios"][0]["title"] = json!("a\u{1}b\u{ffff} ]]> <&'\"");
    check_says(&Drawn::of(&file).unwrap().texts("cost"), &["(a) a b  ]]> <&'\""]);
}

#[test]
fn more_systems_than_colours_are_drawn() {
    let names: Vec<String> = (0..20).map(|number| format!("peer {number}")).collect();
    let mut systems: Vec<(&str, Value)> = names.iter().map(|name| (&**name, runs(3.0))).collect();
    systems
        .extend([("floor", runs(1.0)), ("a name that is far too long for its place", runs(2.0))]);
    let drawn = Drawn::of(&file(&[scenario("f", &systems)])).unwrap();
    check_says(&drawn.texts("handshake"), &["peer 0", "peer 19", "a name that is far…"]);
}

#[test]
fn a_long_title_leaves_the_budget_its_place() {
    let mut file = full();
    file["scenarios"][0]["title"] = json!("many words ".repeat(20));
    let drawn = Drawn::of(&file).unwrap();
    for texts in ["cost", "latency"].map(|plot| drawn.texts(plot)) {
        let title = texts.iter().find(|text| text.starts_with("(a) many")).unwrap();
        let budget = texts.iter().find(|text| text.starts_with("budget ")).unwrap();
        assert!(title.ends_with('…'), "{title}");
        assert!((90..=110).contains(&(title.chars().count() + budget.chars().count())), "{title}");
    }
}

#[track_caller]
fn check_refused(text: &str, expected: &str) {
    let Err(error) = Drawn::of_text(text) else { panic!("{text} was drawn") };
    let sentence = format!("{error:#}");
    assert!(sentence.contains(expected) && !sentence.contains('\n'), "{sentence}");
}

#[test]
fn another_file_is_refused_in_one_sentence() {
    check_refused("floor 5.5\n", "run.json is no benchmark's JSON: it is not JSON (expected");
    check_refused("{\"a\": 1e999}", "it is not JSON (number out of range");
    check_refused("{}", "run.json is no benchmark's JSON: missing field `scenarios`");
    check_refused("[1, 2]", "run.json is no benchmark's JSON: ");
    check_refused(
        r#"{"scenarios": [{"key": "a", "runs": [5]}]}"#,
        "is no benchmark's JSON: invalid type",
    );
    check_refused(r#"{"scenarios": []}"#, "run.json has nothing that can be drawn");
    let missing = Options { file: "no/such/file".into(), into: "no/such/folder".into() };
    let error = run(&missing).unwrap_err();
    assert!(format!("{error:#}").starts_with("can't read no/such/file: "), "{error:#}");
}

#[test]
fn what_run_writes_is_what_plot_reads() {
    use crate::figure::Measurement;
    use crate::report::{self, Conditions, Series};
    let run = Measurement {
        cpu_us_per_delivery: Some(5.0),
        p50_ms: Some(1.0),
        p99_ms: Some(2.0),
        ..Measurement::default()
    };
    let contenders = ["floor", "gateway"].map(|name| (name.to_owned(), vec![run.clone()])).to_vec();
    let series = Series { scenario: &crate::scenario::SCENARIOS[0], contenders };
    let (machine, placement) = ("it".to_owned(), "there".to_owned());
    let left_out = vec!["nats was left out: <why>".to_owned()];
    let conditions = Conditions {
        machine,
        placement,
        command: "run",
        options: String::new(),
        rounds: 1,
        window_seconds: 2.0,
        left_out,
        ended_early: None,
    };
    let drawn = Drawn::of(&report::json(&conditions, &[series])).unwrap();
    check_says(&drawn.texts("latency"), &["1.00 / 2.00", "it; 1 round, windows of 2 s"]);
    check_says(&drawn.texts("cost-ratio"), &["1.00"]);
    let page = drawn.read("README.md");
    assert!(page.contains("| a | p99 ms | gateway | 1.00 | 1.00 | 2.00 |"));
    assert!(page.contains("- nats was left out: &lt;why>\n"), "{page}");
}
