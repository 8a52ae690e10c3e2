//! docs/REDIS.md tells the rights that a gateway needs of its Redis user: what it names is
//! enough, and Redis refuses nothing.

use std::time::Duration;

use redcast_e2e::{Client, Gateway, GatewayOptions, RedisServer, post, post_with};
use redis::Value;
use serde_json::json;

/// The lines of the page's user, in its order.
fn rights() -> Vec<String> {
    let page = include_str!("../../../../docs/REDIS.md");
    let (_, section) = page.split_once("## The gateway's user\n").expect("the section");
    let (_, rest) = section.split_once("```acl\n").expect("the page shows rights");
    let (lines, _) = rest.split_once("\n```").expect("their end");
    lines.lines().map(str::to_owned).collect()
}

/// A Redis whose one other user has these of the page's lines, counted from 1.
fn redis_with(lines: &[usize]) -> RedisServer {
    let all = rights();
    let user = lines.iter().map(|line| all[line - 1].as_str()).collect::<Vec<_>>().join(" ");
    let words = user.split(' ').map(|word| if word == "user" { "--user" } else { word });
    RedisServer::start_with(&words.collect::<Vec<_>>())
}

async fn gateway(redis: &RedisServer, config: &str) -> Gateway {
    let url = format!("redis://redcast:CHANGE-ME@127.0.0.1:{}", redis.port());
    let config = config.to_owned();
    Gateway::ready(GatewayOptions { redis_url: Some(url), config, ..Default::default() }).await
}

/// What Redis refused; an old one logs no command that it does not know, but counts it.
async fn refusals(redis: &RedisServer) -> (Vec<Value>, Vec<String>) {
    let mut operator = redis.connection().await;
    let log = redis::cmd("ACL").arg("LOG").query_async(&mut operator).await.unwrap();
    let info: String =
        redis::cmd("INFO").arg("errorstats").query_async(&mut operator).await.unwrap();
    let errors = info.lines().filter(|line| line.starts_with("errorstat_"));
    // Redis has to be told a script before it knows it by its hash.
    let errors = errors.filter(|line| !line.contains("NOSCRIPT"));
    (log, errors.map(str::to_owned).collect())
}

async fn until_event(client: &mut Client, event: serde_json::Value) {
    while client.json().await["data"] != event {}
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_that_listens_needs_two_lines() {
    const CONFIG: &str = "[[endpoints]]\npath = \"/ws\"\nchannels = [\"orders\"]\n\
        subscribe = [\"*\"]\n[interest]\nlinger = \"10ms\"\n";
    let redis = redis_with(&[1, 2]);
    let gateway = gateway(&redis, CONFIG).await;
    let mut client = gateway.connect_envelope("/ws").await;
    client.send(r#"{"type":"subscribe","channel":"orders:eu","id":1}"#).await;
    assert_eq!(client.json().await, json!({"type": "ack", "id": 1}));
    let mut producer = redis.connection().await;
    let mut publish = redis::cmd("PUBLISH");
    let heard: u64 = publish.arg("orders:eu").arg("1").query_async(&mut producer).await.unwrap();
    assert_eq!(heard, 1);
    until_event(&mut client, json!(1)).await;
    drop(client);
    gateway.until_metric("redcast_redis_channels", 0.0).await;
    // Long enough for each connection of the pool to be used again.
    let proofs = || async { gateway.metrics().await.value("redcast_redis_last_proof_seconds") };
    gateway.until("a proof", async || proofs().await < 0.5).await;
    assert_eq!(gateway.ask("/readyz").await.status, 200);
    assert_eq!(refusals(&redis).await, (vec![], vec![]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_lines_are_enough_to_publish_and_for_snapshots() {
    const CONFIG: &str = "[[endpoints]]\npath = \"/ws\"\nchannels = [\"orders\"]\n\
        snapshot = \"stats\"\n[[snapshots]]\nname = \"stats\"\nkey = \"stats\"\n\
        every = \"100ms\"\nmerge = { \"/data/here\" = \"connections\" }\n[api]\nkey = \"key\"\n";
    let redis = redis_with(&[1, 2, 3, 4, 5, 6, 7]);
    let mut producer = redis.connection().await;
    let gateway = gateway(&redis, CONFIG).await;
    for (command, words, stats) in [
        ("SET", &["stats", "{\"x\":1}"][..], json!({"x": 1, "here": 1})),
        ("DEL", &["stats"], json!({"x": 1, "here": 1})),
        ("HSET", &["stats", "x", "2"], json!({"x": 2, "here": 1})),
    ] {
        let () = redis::cmd(command).arg(words).query_async(&mut producer).await.unwrap();
        let mut client = gateway.connect_envelope("/ws").await;
        until_event(&mut client, stats).await;
        let path = "/api/publish/orders";
        assert_eq!(post(gateway.public(), path, Some("key"), "\"one\"").await.status, 200);
        let key = [("Authorization", "Bearer key"), ("Idempotency-Key", command)];
        for _ in 0..2 {
            assert_eq!(post_with(gateway.public(), path, &key, "\"once\"").await.status, 200);
        }
        until_event(&mut client, json!("once")).await;
        drop(client);
        gateway.until_metric("redcast_connections", 0.0).await;
    }
    assert_eq!(refusals(&redis).await, (vec![], vec![]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_of_streams_needs_two_lines_and_one_more_to_publish() {
    const CONFIG: &str = "[[endpoints]]\npath = \"/ws\"\nsubscribe = [\"*\"]\n\
        [[channels]]\npattern = \"audit:*\"\nsource = \"stream\"\n[api]\nkey = \"key\"\n\
        [interest]\nlinger = \"10ms\"\n";
    let redis = redis_with(&[1, 6, 7]);
    let mut producer = redis.connection().await;
    let add = async |producer: &mut _, event: &str| {
        let mut add = redis::cmd("XADD");
        add.arg("audit:1").arg("*").arg("data").arg(event);
        let _: String = add.query_async(producer).await.unwrap();
    };
    // Of a stream that is not there Redis answers an error, which is no refusal.
    add(&mut producer, "0").await;
    let gateway = gateway(&redis, CONFIG).await;
    let mut client = gateway.connect_envelope("/ws").await;
    client.send(r#"{"type":"subscribe","channel":"audit:1","id":1}"#).await;
    let ack = client.json().await;
    let start = ack["cursors"]["audit:1"].clone();
    assert!(start.is_string(), "{ack}");
    add(&mut producer, "1").await;
    until_event(&mut client, json!(1)).await;
    let path = "/api/publish/audit:1";
    assert_eq!(post(gateway.public(), path, Some("key"), "2").await.status, 200);
    until_event(&mut client, json!(2)).await;

    // What was missed, and what was told last, both read from Redis: nobody is there who
    // could know.
    drop(client);
    let since = json!({"type": "subscribe", "channel": "audit:1", "since": start, "id": 2});
    let recent = json!({"type": "subscribe", "channel": "audit:1", "recent": 2, "id": 2});
    for command in [since, recent] {
        gateway.until_metric("redcast_channels", 0.0).await;
        let mut client = gateway.connect_envelope("/ws").await;
        client.send(&command.to_string()).await;
        until_event(&mut client, json!(1)).await;
        until_event(&mut client, json!(2)).await;
        while client.json().await["type"] != "ack" {}
    }
    assert_eq!(gateway.ask("/readyz").await.status, 200);
    assert_eq!(refusals(&redis).await, (vec![], vec![]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_canary_a_gateway_says_what_it_lacks() {
    let line = rights()[0].replace("&redcast:canary:*", "&orders");
    let words = line.split(' ').map(|word| if word == "user" { "--user" } else { word });
    let redis = RedisServer::start_with(&words.collect::<Vec<_>>());
    let url = format!("redis://redcast:CHANGE-ME@127.0.0.1:{}", redis.port());
    let options = GatewayOptions { redis_url: Some(url), ..Default::default() };
    let gateway = Gateway::start(options).await;
    gateway
        .until("/readyz names the channel", async || {
            let answer = gateway.ask("/readyz").await;
            answer.status == 503 && answer.body.contains("redcast:canary:")
        })
        .await;
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert_eq!(gateway.ask("/readyz").await.status, 503, "nothing makes up for it");
}
