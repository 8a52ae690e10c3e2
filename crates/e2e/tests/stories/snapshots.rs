//! The example configurations as they are shipped: statistics from a real Redis greet
//! each client, beat every 5 seconds, and come when a client asks for them.

use std::time::Duration;

use redcast_e2e::{Client, Gateway, GatewayOptions, Incoming, RedisServer, unix_ms};
use serde_json::{Value, json};
use tokio::time::Instant;

/// How often the examples beat.
const EVERY: Duration = Duration::from_secs(5);

/// A gateway with one of the files in deploy/config.
async fn shipped(name: &str, redis: &RedisServer) -> Gateway {
    let path = format!("{}/../../deploy/config/{name}", env!("CARGO_MANIFEST_DIR"));
    let flags = vec!["--config".to_owned(), path];
    Gateway::ready(GatewayOptions { redis_url: Some(redis.url()), flags, ..Default::default() })
        .await
}

async fn command(redis: &RedisServer, words: &[&str]) {
    let mut command = redis::cmd(words[0]);
    command.arg(&words[1..]);
    command.query_async::<redis::Value>(&mut redis.connection().await).await.unwrap();
}

fn now() -> u64 {
    unix_ms() / 1000
}

/// Reads a time in Unix seconds that must be of this story.
fn check_time(time: &Value, begun: u64) {
    assert!(time.as_u64().is_some_and(|time| (begun..=now()).contains(&time)), "{time}");
}

/// Waits for the next message of a type; nothing else may come but one of `others`.
async fn next_of(client: &mut Client, wanted: &str, others: &[&str]) -> Value {
    loop {
        let message = client.json().await;
        let name = message["type"].as_str().unwrap().to_owned();
        if name == wanted {
            return message;
        }
        assert!(others.contains(&name.as_str()), "{message}");
    }
}

#[tokio::test]
async fn analytics_as_shipped() {
    let redis = RedisServer::start();
    let document = r#"{"current_visitors":0,"unique_today":145,"total_events":2340,"letters_today":23,"timestamp":1733683200}"#;
    command(&redis, &["SET", "{analytics}:stats", document]).await;
    let gateway = shipped("analytics.toml", &redis).await;
    let mut clients = Vec::new();
    for _ in 0..12 {
        clients.push(gateway.connect("/ws/analytics").await);
    }
    let mut client = clients.pop().unwrap();
    // When the document is from is what its producer says, also of one that is gone.
    assert_eq!(
        client.text().await,
        r#"{"type":"initial_stats","data":{"current_visitors":12,"unique_today":145,"total_events":2340,"letters_today":23,"timestamp":1733683200}}"#
    );
    // An event comes as it was published.
    let event = r#"{"type":"page_view","visitor_id":"uuid","timestamp":"2025-12-08T12:34:56Z","data":{"path":"/"}}"#;
    command(&redis, &["PUBLISH", "analytics", event]).await;
    loop {
        let text = client.text().await;
        if text == event {
            break;
        }
        assert!(text.starts_with(r#"{"type":"heartbeat","#), "{text}");
    }
    // Who asks is answered, and nobody else.
    client.send(r#"{"type":"refresh_stats"}"#).await;
    let answer = next_of(&mut client, "initial_stats", &["heartbeat"]).await;
    assert_eq!(answer["data"]["unique_today"], 145);
    client.send(r#"{"type":"ping"}"#).await;
    next_of(&mut client, "pong", &["heartbeat"]).await;
    let mut other = clients.pop().unwrap();
    assert_eq!(other.json().await["type"], "initial_stats");
    next_of(&mut other, "page_view", &["heartbeat"]).await;
    // Beats come in step, each with what Redis holds by then.
    command(&redis, &["SET", "{analytics}:stats", &document.replace("145", "146")]).await;
    next_of(&mut client, "heartbeat", &[]).await;
    next_of(&mut other, "heartbeat", &[]).await;
    let beaten = Instant::now();
    let beat = next_of(&mut client, "heartbeat", &[]).await;
    let between = beaten.elapsed();
    assert!(between.abs_diff(EVERY) < Duration::from_secs(2), "{between:?}");
    assert_eq!(
        (&beat["data"]["unique_today"], &beat["data"]["timestamp"]),
        (&json!(146), &json!(1733683200))
    );
    assert_eq!(beat["data"]["current_visitors"], 12);
}

#[tokio::test]
async fn stats_as_shipped() {
    let redis = RedisServer::start();
    let fields = ["HSET", "stats", "peers_online", "15", "bytes", "1.5e9", "version", "1.2.3"];
    command(&redis, &fields).await;
    let gateway = shipped("stats.toml", &redis).await;
    let begun = now();
    let mut clients = Vec::new();
    for _ in 0..5 {
        let mut client = gateway.connect("/ws").await;
        let greeting = client.json().await;
        check_time(&greeting["timestamp"], begun);
        let time = &greeting["timestamp"];
        let data = json!({"bytes":1.5e9,"peers_online":15,"version":"1.2.3","ws_clients":clients.len() + 1});
        assert_eq!(greeting, json!({"type":"stats_update","data":data,"timestamp":time}));
        clients.push(client);
    }
    // A tick may have come while they connected.
    let patience = EVERY + Duration::from_secs(10);
    for client in &mut clients {
        loop {
            let Some(Incoming::Text(text)) = client.next_within(patience).await else {
                panic!("no beat")
            };
            let time = serde_json::from_str::<Value>(&text).unwrap()["timestamp"].clone();
            check_time(&time, begun);
            let all = r#"{"type":"stats_update","data":{"bytes":1.5e9,"peers_online":15,"version":"1.2.3","ws_clients":5},"timestamp":"#;
            if text == format!("{all}{time}}}") {
                break;
            }
            assert!(text.starts_with(r#"{"type":"stats_update","data":{"#), "{text}");
        }
    }
}
