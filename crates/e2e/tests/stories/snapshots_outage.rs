//! Redis is away, or holds nothing that could be read: clients get the last good document
//! marked as stale, nobody is disconnected, and all heals by itself.

use redcast_e2e::{Client, Gateway, GatewayOptions, RedisServer};
use redis::AsyncCommands;
use serde_json::{Value, json};

const CONFIG: &str = "[[endpoints]]\npath = \"/ws\"\nsnapshot = \"s\"\n\
    [[snapshots]]\nname = \"s\"\nkey = \"stats\"\nevery = \"200ms\"\n\
    merge = { \"/data/n\" = \"connections\", \"/at\" = \"now_ms\" }\n";
const STALE: &str = "redcast_snapshot_stale";

async fn start(redis: &RedisServer) -> Gateway {
    let config = CONFIG.to_owned();
    Gateway::start(GatewayOptions { redis_url: Some(redis.url()), config, ..Default::default() })
        .await
}

async fn set(redis: &RedisServer, document: &str) {
    let mut producer = redis.connection().await;
    let () = producer.del("stats").await.unwrap();
    let () = producer.set("stats", document).await.unwrap();
}

async fn reads(gateway: &Gateway, outcome: &str) -> f64 {
    let name = format!("redcast_snapshot_reads_total{{outcome=\"{outcome}\"}}");
    gateway.metrics().await.value(&name)
}

/// Waits for a beat that is what `wanted` says: its document and whether it is stale.
async fn until(client: &mut Client, wanted: (Value, bool)) {
    loop {
        let beat = client.json().await;
        assert_eq!(beat["type"], "heartbeat", "{beat}");
        assert!(beat["at"].is_u64(), "{beat}");
        assert!(beat.get("stale").is_none_or(|stale| *stale == true), "{beat}");
        if (beat["data"].clone(), beat.get("stale").is_some()) == wanted {
            return;
        }
    }
}

#[tokio::test]
async fn killed_and_back() {
    let mut redis = RedisServer::start();
    set(&redis, r#"{"a":1}"#).await;
    let gateway = start(&redis).await;
    let mut client = gateway.connect("/ws").await;
    let greeting = client.json().await;
    assert_eq!((&greeting["data"], greeting.get("stale")), (&json!({"a":1,"n":1}), None));
    until(&mut client, (json!({"a":1,"n":1}), false)).await;
    redis.kill();
    until(&mut client, (json!({"a":1,"n":1}), true)).await;
    gateway.until_metric(STALE, 1.0).await;
    assert!(reads(&gateway, "unavailable").await > 0.0);
    // Who comes now is told the same, and counted: the gateway's own values live on.
    let mut second = gateway.connect("/ws").await;
    let greeting = second.json().await;
    assert_eq!((&greeting["data"], &greeting["stale"]), (&json!({"a":1,"n":2}), &json!(true)));
    until(&mut client, (json!({"a":1,"n":2}), true)).await;
    second.send(r#"{"type":"refresh_stats"}"#).await;
    let mut answer = second.json().await;
    while answer["type"] == "heartbeat" {
        answer = second.json().await;
    }
    assert_eq!((&answer["data"]["a"], &answer["stale"]), (&json!(1), &json!(true)));
    redis.restart();
    // A Redis that came back empty holds no document yet.
    until(&mut client, (json!({"a":1,"n":2}), true)).await;
    set(&redis, r#"{"a":2}"#).await;
    until(&mut client, (json!({"a":2,"n":2}), false)).await;
    gateway.until_metric(STALE, 0.0).await;
    let metrics = gateway.metrics().await;
    assert_eq!(metrics.value("redcast_connections_opened_total"), 2.0);
    assert_eq!(metrics.value("redcast_connections"), 2.0);
}

#[tokio::test]
async fn frozen_and_thawed() {
    let redis = RedisServer::start();
    set(&redis, r#"{"a":1}"#).await;
    let gateway = start(&redis).await;
    let mut client = gateway.connect("/ws").await;
    assert_eq!(client.json().await["type"], "initial_stats");
    redis.freeze();
    for _ in 0..3 {
        until(&mut client, (json!({"a":1,"n":1}), true)).await;
    }
    redis.thaw();
    until(&mut client, (json!({"a":1,"n":1}), false)).await;
}

#[tokio::test]
async fn what_is_stored_is_no_document() {
    let redis = RedisServer::start();
    let gateway = start(&redis).await;
    let mut client = gateway.connect("/ws").await;
    let greeting = client.json().await;
    let expected = json!({"type":"initial_stats","data":{"n":1},"stale":true,"at":greeting["at"]});
    assert_eq!(greeting, expected, "there never was one");
    set(&redis, r#"{"a":1}"#).await;
    until(&mut client, (json!({"a":1,"n":1}), false)).await;
    let mut producer = redis.connection().await;
    let () = producer.del("stats").await.unwrap();
    until(&mut client, (json!({"a":1,"n":1}), true)).await;
    assert!(reads(&gateway, "missing").await > 0.0);
    for (turn, wrong) in ["{\"a\":2", "[2]", "\"2\"", "", "{\"a\":2}}"].into_iter().enumerate() {
        let before = reads(&gateway, "malformed").await;
        set(&redis, wrong).await;
        until(&mut client, (json!({"a":turn + 1,"n":1}), true)).await;
        gateway
            .until("it was read", async || reads(&gateway, "malformed").await > before + 1.0)
            .await;
        set(&redis, &format!(r#"{{"a":{}}}"#, turn + 2)).await;
        until(&mut client, (json!({"a":turn + 2,"n":1}), false)).await;
    }
    let () = producer.del("stats").await.unwrap();
    let () = producer.rpush("stats", "a list").await.unwrap();
    until(&mut client, (json!({"a":6,"n":1}), true)).await;
    let () = producer.del("stats").await.unwrap();
    let fields = [("a", "7"), ("b", "x"), ("c", "[1,{}]")];
    let () = producer.hset_multiple("stats", &fields).await.unwrap();
    until(&mut client, (json!({"a":7,"b":"x","c":[1,{}],"n":1}), false)).await;
    let told = gateway.log().iter().filter(|line| line.contains("can't be read")).count();
    assert!((7..=8).contains(&told), "told once each time it became stale: {told}");
}
