//! docs/SECURITY.md tells the truth: each threat has a state, each promise names tests
//! that exist, and the Redis user it recommends is enough.

use std::path::PathBuf;
use std::time::Duration;

use redcast_e2e::{Gateway, GatewayOptions, RedisServer, post, post_with};
use redis::Value;
use serde_json::json;
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(30);

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

/// The lines of the page's first block of rights behind `heading`.
fn rights(heading: &str) -> Vec<String> {
    let page = page();
    let (_, section) = page.split_once(heading).expect("the section");
    let (_, rest) = section.split_once("```acl\n").expect("the page shows rights");
    let (lines, _) = rest.split_once("\n```").expect("their end");
    lines.lines().map(str::to_owned).collect()
}

/// A Redis with the page's user, who has `more` rights than the page gives to all.
fn redis_with_user(more: &[String]) -> RedisServer {
    let user = [rights("## Redis\n"), more.to_vec()].concat().join(" ");
    let words = user.split(' ').map(|word| if word == "user" { "--user" } else { word });
    RedisServer::start_with(&words.collect::<Vec<_>>())
}

async fn gateway_as_user(redis: &RedisServer, config: String) -> Gateway {
    let url = format!("redis://redcast:CHANGE-ME@127.0.0.1:{}", redis.port());
    Gateway::ready(GatewayOptions { redis_url: Some(url), config, ..Default::default() }).await
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
    let redis = redis_with_user(&[]);
    let gateway = gateway_as_user(&redis, CONFIG.to_owned()).await;
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

#[tokio::test]
async fn with_a_snapshot_the_rights_of_the_page_are_enough() {
    let lines = rights("### Snapshots in Redis\n");
    let [read, share] = &lines[..] else { panic!("not two lines: {lines:?}") };
    for (more, merge) in
        [(vec![read.clone()], "instance_connections"), (lines.clone(), "connections")]
    {
        assert!(!read.contains("shares") && share.contains("shares"), "{lines:?}");
        let redis = redis_with_user(&more);
        let config = format!(
            "[[endpoints]]\npath = \"/ws\"\nchannels = [\"orders\"]\nsnapshot = \"stats\"\n\
            [[snapshots]]\nname = \"stats\"\nkey = \"stats\"\nevery = \"100ms\"\n\
            merge = {{ \"/data/here\" = \"{merge}\" }}\n"
        );
        let mut producer = redis.connection().await;
        let gateway = gateway_as_user(&redis, config).await;
        let mut client = gateway.connect("/ws").await;
        for (command, words, expected) in [
            ("SET", &["stats", "{\"x\":1}"][..], json!({"x": 1, "here": 1})),
            // The last one stays, and says that it is old.
            ("DEL", &["stats"], json!({"x": 1, "here": 1})),
            ("HSET", &["stats", "x", "2"], json!({"x": 2, "here": 1})),
        ] {
            let () = redis::cmd(command).arg(words).query_async(&mut producer).await.unwrap();
            let shown = async {
                let mut frame = client.json().await;
                while frame["data"] != expected || (command == "DEL") != (frame["stale"] == true) {
                    frame = client.json().await;
                }
            };
            timeout(PATIENCE, shown).await.expect("the snapshot");
        }
        drop(client);
        gateway.until_metric("redcast_connections", 0.0).await;
        drop(gateway);
        // Redis has to be told a script before it knows it by its hash.
        let refused = errors(&redis).await.into_iter().filter(|line| !line.contains("NOSCRIPT"));
        assert_eq!(refused.collect::<Vec<_>>(), Vec::<String>::new(), "{merge}: refused something");
        assert_eq!(acl_log(&redis).await, vec![], "{merge}: refused something");
    }
}

#[tokio::test]
async fn without_the_second_line_counts_are_refused() {
    let [read, _] = &rights("### Snapshots in Redis\n")[..] else { panic!("not two lines") };
    let redis = redis_with_user(std::slice::from_ref(read));
    let config = "[[endpoints]]\npath = \"/ws\"\nchannels = [\"orders\"]\nsnapshot = \"stats\"\n\
        [[snapshots]]\nname = \"stats\"\nkey = \"stats\"\n\
        merge = { \"/data/here\" = \"connections\" }\n";
    let gateway = gateway_as_user(&redis, config.to_owned()).await;
    let _client = gateway.connect("/ws").await;
    gateway.until("Redis refuses", async || !acl_log(&redis).await.is_empty()).await;
}
