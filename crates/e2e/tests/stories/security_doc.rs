//! docs/SECURITY.md tells the truth: each threat has a state, each promise names tests
//! that exist, and the Redis user it recommends is enough.

use std::path::PathBuf;

use redcast_e2e::{Gateway, GatewayOptions, RedisServer, post, post_with};
use redis::Value;

/// How many threats the page has to speak of.
const THREATS: usize = 23;
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
        let function = format!("fn {name}(");
        let is_test = code.split_once(&function).is_some_and(|(before, _)| {
            before.trim_end().trim_end_matches("async").trim_end().ends_with(']')
        });
        if !is_test {
            faults.push(format!("{}: no test {name} in {path}", row.number));
        }
    }
    faults
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
        "| 1 | a | held | b | [s](nowhere.rs) `a_row_that_is_wrong_is_noticed` |".to_owned(),
    ] {
        assert_eq!(faults(&rows(&wrong)[0]).len(), 1, "{wrong}");
    }
}

/// The line of the page that creates the user, as arguments of a server.
fn user() -> Vec<String> {
    let page = page();
    let (_, rest) = page.split_once("```acl\n").expect("the page shows a user");
    let line = rest.lines().next().expect("a line");
    let words = line.split(' ').map(str::to_owned);
    words.map(|word| if word == "user" { "--user".to_owned() } else { word }).collect()
}

async fn acl_log(redis: &RedisServer) -> Vec<Value> {
    let mut operator = redis.connection().await;
    redis::cmd("ACL").arg("LOG").query_async(&mut operator).await.unwrap()
}

/// Every kind of error that Redis has answered so far. An old Redis logs no command that
/// it does not know, and a newer one may know and refuse it.
async fn errors(redis: &RedisServer) -> Vec<String> {
    let mut operator = redis.connection().await;
    let info: String =
        redis::cmd("INFO").arg("errorstats").query_async(&mut operator).await.unwrap();
    info.lines().filter(|line| line.starts_with("errorstat_")).map(str::to_owned).collect()
}

#[tokio::test]
async fn the_redis_user_of_the_page_is_enough_and_nothing_is_refused() {
    const CONFIG: &str = "[[endpoints]]\npath = \"/ws\"\nchannels = [\"orders\"]\n\
        subscribe = [\"*\"]\n[api]\nkey = \"key\"\n[interest]\nlinger = \"10ms\"\n";
    let user = user();
    let redis = RedisServer::start_with(&user.iter().map(String::as_str).collect::<Vec<_>>());
    let options = GatewayOptions {
        redis_url: Some(format!("redis://redcast:CHANGE-ME@127.0.0.1:{}", redis.port())),
        config: CONFIG.to_owned(),
        ..Default::default()
    };
    let gateway = Gateway::ready(options).await;
    let mut client = gateway.connect_envelope("/ws").await;
    for (number, channel) in ["orders", "orders:eu", "orders:us"].into_iter().enumerate() {
        let command = format!(r#"{{"type":"subscribe","channel":"{channel}","id":{number}}}"#);
        client.send(&command).await;
        assert_eq!(client.json().await["type"], "ack");
        // Twice, so that a connection of the pool is used again.
        for _ in 0..2 {
            let path = format!("/api/publish/{channel}");
            assert_eq!(post(gateway.public(), &path, Some("key"), "1").await.status, 200);
            assert_eq!(client.json().await["channel"], channel);
        }
    }
    let key = [("Authorization", "Bearer key"), ("Idempotency-Key", "k")];
    for _ in 0..2 {
        let once = post_with(gateway.public(), "/api/publish/orders", &key, "once").await;
        assert_eq!(once.status, 200, "{once:?}");
    }
    assert_eq!(client.json().await["data"], "once");
    drop(client);
    gateway.until_metric("redcast_redis_channels", 0.0).await;
    assert_eq!(errors(&redis).await, Vec::<String>::new(), "Redis refused something");
    assert_eq!(acl_log(&redis).await, vec![], "Redis refused something");
    // The log would have told: what the page's user may not do is in it.
    let mut client = gateway.connect_envelope("/ws").await;
    client.send(r#"{"type":"subscribe","channel":"secret"}"#).await;
    assert_eq!(client.json().await["code"], "forbidden");
    assert_eq!(acl_log(&redis).await.len(), 1);
}
