//! docs/METRICS.md tells the truth: its tables and what a gateway serves name the same
//! metrics, with the same types, labels and values of labels.

use std::collections::{BTreeMap, BTreeSet};

use redcast_e2e::{Gateway, RedisServer};

/// Where the page leaves open which values a label has.
const ANY: &str = "any";

/// What is known of one metric, from whichever side.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct Family {
    kind: String,
    labels: BTreeMap<String, BTreeSet<String>>,
    told: bool,
}

type Families = BTreeMap<String, Family>;

fn page() -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/METRICS.md");
    std::fs::read_to_string(path).expect("the page can be read")
}

/// Reads all tables whose rows begin with a metric, in order.
fn read_page(page: &str) -> Vec<(String, Family)> {
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `"));
    rows.map(|row| {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let [name, kind, labels, unit, meaning, ..] = cells[..] else { panic!("no row: {row}") };
        let told = !unit.is_empty() && !meaning.is_empty();
        let kind = kind.to_owned();
        (name.trim_end_matches('`').to_owned(), Family { kind, labels: read_labels(labels), told })
    })
    .collect()
}

/// Reads `` `label`: `value`, `value` ``, or `` `label`: any ``.
fn read_labels(cell: &str) -> BTreeMap<String, BTreeSet<String>> {
    let Some((label, values)) = cell.split_once(": ") else {
        assert_eq!(cell, "", "labels are told as `label`: `value`, `value`");
        return BTreeMap::new();
    };
    let bare = |text: &str| text.trim_matches('`').to_owned();
    BTreeMap::from([(bare(label), values.split(", ").map(bare).collect())])
}

/// Reads the text format, as far as the page tells of it.
fn read_text(text: &str) -> Families {
    let mut families = Families::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').unwrap_or((rest, ""));
            families.entry(name.to_owned()).or_default().told = !help.trim().is_empty();
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').expect("a type");
            families.entry(name.to_owned()).or_default().kind = kind.to_owned();
        } else {
            read_series(&mut families, line);
        }
    }
    families
}

fn read_series(families: &mut Families, line: &str) {
    let (series, _) = line.rsplit_once(' ').expect("a value");
    let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
    // The parts of a histogram belong to it.
    let parts = ["_bucket", "_sum", "_count"];
    let mut whole = parts.iter().filter_map(|part| name.strip_suffix(part));
    let whole = whole.find(|whole| families.get(*whole).is_some_and(|f| f.kind == "histogram"));
    let whole = whole.unwrap_or(name).to_owned();
    let family = families.get_mut(&whole).unwrap_or_else(|| panic!("no type: {line}"));
    let labels = labels.trim_end_matches('}').split(',').filter(|label| !label.is_empty());
    for (label, value) in labels.map(|label| label.split_once('=').expect("a label's value")) {
        if label != "le" {
            let values = family.labels.entry(label.to_owned()).or_default();
            values.insert(value.trim_matches('"').to_owned());
        }
    }
}

/// What differs between the page and a gateway, in words.
fn differences(page: &Families, served: &Families) -> Vec<String> {
    let names: BTreeSet<&String> = page.keys().chain(served.keys()).collect();
    let differ = names.into_iter().filter_map(|name| match (page.get(name), served.get(name)) {
        (Some(_), None) => Some(format!("{name} is on the page alone")),
        (None, Some(_)) => Some(format!("{name} is not on the page")),
        (Some(told), Some(family)) => {
            let mut family = family.clone();
            for (label, values) in &told.labels {
                if values.contains(ANY) && family.labels.contains_key(label) {
                    family.labels.insert(label.clone(), values.clone());
                }
            }
            (*told != family).then(|| format!("{name}: the page says {told:?}, not {family:?}"))
        }
        (None, None) => None,
    });
    differ.collect()
}

/// A gateway over Redis that has been used in every ordinary way.
async fn used() -> (Gateway, RedisServer) {
    let redis = RedisServer::start();
    let gateway = Gateway::over(&redis.url()).await;
    let mut client = gateway.connect_envelope("/ws/analytics").await;
    client.send(r#"{"type":"subscribe","channel":"secret"}"#).await;
    assert_eq!(client.json().await["code"], "forbidden");
    let mut publish = redis::cmd("PUBLISH");
    publish.arg("analytics").arg("1");
    publish.query_async::<u64>(&mut redis.connection().await).await.unwrap();
    assert_eq!(client.json().await["type"], "event");
    assert_eq!(redcast_e2e::get(gateway.public(), "/ws/analytics").await.status, 426);
    drop(client);
    gateway.until_metric("redcast_connections_closed_total{code=\"1006\"}", 1.0).await;
    (gateway, redis)
}

#[tokio::test]
async fn the_page_and_the_gateway_name_the_same_metrics() {
    let (gateway, _redis) = used().await;
    let told = read_page(&page());
    assert_eq!(told[0].0, "redcast_connections", "it comes first");
    let page: Families = told.iter().cloned().collect();
    assert_eq!(page.len(), told.len(), "a metric has two rows");
    let served = read_text(&gateway.ask("/metrics").await.body);
    assert!(served.len() > 20, "{served:?}");
    let differences = differences(&page, &served);
    assert!(differences.is_empty(), "docs/METRICS.md: {differences:#?}");
    let untold: Vec<_> = served.iter().filter(|(_, family)| !family.told).collect();
    assert!(untold.is_empty(), "without a help text: {untold:?}");
}

/// A comparison that finds nothing here would find nothing anywhere.
#[test]
fn a_page_that_is_wrong_is_noticed() {
    const SERVED: &str = "# HELP a_total As.\n# TYPE a_total counter\na_total{code=\"x\"} 0\n\
        # HELP h Hs.\n# TYPE h histogram\nh_bucket{le=\"1\"} 0\nh_sum 0\nh_count 0\n";
    let served = read_text(SERVED);
    let compare = |page: &str| differences(&read_page(page).into_iter().collect(), &served).len();
    let h = "| `h` | histogram | | s | m | |\n";
    assert_eq!(compare(&format!("{h}| `a_total` | counter | `code`: `x` | n | m | |")), 0);
    assert_eq!(compare(&format!("{h}| `a_total` | counter | `code`: any | n | m | |")), 0);
    for wrong in [
        "",
        "| `a_total` | gauge | `code`: `x` | n | m | |",
        "| `a_total` | counter | | n | m | |",
        "| `a_total` | counter | `code`: `x`, `y` | n | m | |",
        "| `a_total` | counter | `kind`: `x` | n | m | |",
        "| `a_total` | counter | `code`: `x` | | m | |",
    ] {
        assert_eq!(compare(&format!("{h}{wrong}")), 1, "{wrong}");
    }
    assert_eq!(
        compare(&format!(
            "{h}| `a_total` | counter | `code`: `x` | n | m | |\n| `b` | gauge | | n | m | |"
        )),
        1
    );
}
