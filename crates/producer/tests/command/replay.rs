//! A log becomes events and statistics.

use std::process::Stdio;

use redcast_e2e::{Gateway, Listener, PseudoTerminal, RedisServer};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;

use crate::log_file::{Folder, NETWORK, gzip, line, number, statistics, total, views};
use crate::producer::{Running, printed, producer, run, terminate, text};

#[tokio::test]
async fn a_log_arrives_in_order_as_events_and_as_statistics() {
    let redis = RedisServer::start();
    let mut listener = Listener::subscribe(&redis, "live:views").await;
    let mut log = views(1_000, 50);
    log += &line(20, 1, "GET /style.css HTTP/1.1");
    log += "broken\n";
    log += &line(20, 1, "POST / HTTP/1.1");
    let folder = Folder::new();
    let names = ["--prefix", "live:", "--namespace", "site", "--channel", "views"];
    for (name, bytes) in [
        ("plain", log.clone().into_bytes()),
        ("gzip", gzip(log.as_bytes())),
        ("members", [gzip(&log.as_bytes()[..5_000]), gzip(&log.as_bytes()[5_000..])].concat()),
    ] {
        let path = folder.write(name, bytes);
        let flags = [&names[..], &["replay", &path, "--speed", "max", "--json"]].concat();
        let output = run(&redis, &flags, b"").await;
        let summary: Value = serde_json::from_str(&printed(&output)).unwrap();
        assert_eq!(
            summary,
            json!({
                "log": path, "complete": true, "views": 1_000, "unknown": 0, "lines": 1_003,
                "skipped": { "assets": 1, "methods": 1, "statuses": 0, "bots": 0, "no_request": 0 },
                "unreadable": 1, "unreadable_lines": [1_002], "resumed_behind": 0,
            })
        );
        for expected in 0..1_000 {
            let payload = listener.payload().await;
            assert_eq!(number(&payload), expected);
            let payload = text(&payload);
            assert!(!payload.contains(NETWORK) && !payload.contains("secret"), "{payload}");
        }
    }
    let statistics = statistics(&redis, "live:{site}:stats").await;
    assert_eq!(statistics["total_events"], "3000");
    assert_eq!(statistics["views_last_minute"], "3000");
    let referrers: Value = serde_json::from_str(&statistics["top_referrers"]).unwrap();
    assert_eq!(referrers, json!([{ "referrer": "search.example", "views": 3_000 }]));
}

#[tokio::test]
async fn standard_input_is_read_and_a_summary_printed() {
    let redis = RedisServer::start();
    let log = format!("{}broken\nbroken\n\nbroken\n", views(10, 1));
    let flags = ["replay", "-", "--speed", "max", "--site", "search.example"];
    for input in [log.clone().into_bytes(), gzip(log.as_bytes())] {
        let summary = printed(&run(&redis, &flags, &input).await);
        assert_eq!(
            summary,
            "standard input: 10 page views in 14 lines\n  unreadable: 4 (line 11, 12, 13, …)\n"
        );
    }
    // The site's own host refers nobody.
    assert_eq!(statistics(&redis, "{analytics}:stats").await["top_referrers"], "[]");
    let nothing = printed(&run(&redis, &flags, b"").await);
    assert_eq!(nothing, "standard input: 0 page views in 0 lines\n");
}

#[tokio::test]
async fn a_line_is_published_when_it_comes_and_reaches_a_gateways_client() {
    let redis = RedisServer::start();
    let gateway = Gateway::over(&redis.url()).await;
    let mut client = gateway.connect("/ws/analytics").await;
    let mut command = producer(&["replay", "-", "--redis-url", &redis.url()]);
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    gateway.until_metric("redcast_subscriptions", 1.0).await;
    for count in 0..3 {
        stdin
            .write_all(line(count, count, &format!("GET /{count} HTTP/1.1")).as_bytes())
            .await
            .unwrap();
        let event = client.json().await;
        assert_eq!(
            (&event["type"], &event["data"]["path"]),
            (&json!("page_view"), &json!(format!("/{count}")))
        );
    }
    drop(stdin);
    assert!(child.wait().await.unwrap().success());
}

#[tokio::test]
async fn a_run_that_is_told_to_stop_ends_well_and_another_goes_on() {
    const VIEWS: usize = 600;
    let redis = RedisServer::start();
    let mut listener = Listener::subscribe(&redis, "analytics").await;
    let folder = Folder::new();
    let (log, state) = (folder.write("log", views(VIEWS, 1)), folder.path("state"));
    let flags = ["replay", &log, "--resume", &state, "--redis-url", &redis.url()];
    let running = Running::start(producer(&[&flags[..], &["--speed", "100"]].concat()));
    for expected in 0..50 {
        assert_eq!(number(&listener.payload().await), expected);
    }
    terminate(&running.child);
    let (code, summary) = running.ended().await;
    assert_eq!(code, Some(0));
    assert!(summary.contains("; stopped behind line "), "{summary}");
    let before = total(&redis).await;
    assert!((50..VIEWS).contains(&before), "{before}");
    let summary = printed(&run(&redis, &[&flags[..], &["--speed", "max"]].concat(), b"").await);
    assert!(summary.contains(&format!(", behind the {before} of before")), "{summary}");
    assert_eq!(total(&redis).await, VIEWS);
    for expected in 50..VIEWS {
        assert_eq!(number(&listener.payload().await), expected);
    }
}

#[tokio::test]
async fn a_last_line_that_is_still_being_written_is_left_for_the_next_run() {
    let redis = RedisServer::start();
    let mut listener = Listener::subscribe(&redis, "analytics").await;
    let folder = Folder::new();
    let whole = views(12, 1);
    // The common format has an end after the size, so this half is a line too.
    let cut = whole.rfind(" \"https://").unwrap();
    let (log, state) = (folder.write("log", &whole[..cut]), folder.path("state"));
    let flags = ["replay", &log, "--resume", &state, "--speed", "max", "--all"];
    for text in [&whole[..cut], &whole] {
        folder.write("log", text);
        printed(&run(&redis, &flags, b"").await);
    }
    for expected in 0..12 {
        let payload = listener.payload().await;
        assert_eq!(number(&payload), expected);
        let event: serde_json::Value = serde_json::from_slice(&payload).unwrap();
        assert_eq!(event["data"]["referrer"], "https://search.example/", "of its whole line");
    }
    assert_eq!(total(&redis).await, 12);
}

#[tokio::test]
async fn on_a_terminal_a_bar_shows_how_far_it_is() {
    let redis = RedisServer::start();
    let folder = Folder::new();
    let log = folder.write("log", format!("broken\n{}", views(600, 1)));
    let terminal = PseudoTerminal::open();
    let mut command = producer(&["replay", &log, "--redis-url", &redis.url(), "--speed", "50"]);
    let mut child = command
        .env("TERM", "xterm")
        .stderr(terminal.stdio())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    terminal.until_shown(" views, ").await;
    terminal.until_shown(" %  ").await;
    terminate(&child);
    assert!(child.wait().await.unwrap().success());
}
