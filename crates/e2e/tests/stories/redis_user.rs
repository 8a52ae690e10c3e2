//! docs/REDIS.md tells the rights that a gateway needs of its Redis user: what it names is
//! enough, and Redis refuses nothing.

use std::time::Duration;

use redcast_e2e::{
    Client, ClusterSet, Gateway, GatewayOptions, RedisServer, SentinelOptions, SentinelSet, post,
    post_with,
};
use redis::Value;
use serde_json::json;

const PATIENCE: Duration = Duration::from_secs(30);

/// The lines of the page's blocks of rights: those of its user, in their order, and those
/// that more than one server take besides.
fn blocks() -> [Vec<String>; 2] {
    let page = include_str!("../../../../docs/REDIS.md");
    let (_, section) = page.split_once("## The gateway's user\n").expect("the section");
    let blocks = section.split("```acl\n").skip(1).map(|rest| {
        let (lines, _) = rest.split_once("\n```").expect("their end");
        lines.lines().map(str::to_owned).collect()
    });
    let blocks: Vec<Vec<String>> = blocks.take(2).collect();
    blocks.try_into().expect("two blocks")
}

fn rights() -> Vec<String> {
    let [rights, _] = blocks();
    rights
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
    // The log would have told: what the user may not do is in it.
    let mut client = gateway.connect_envelope("/ws").await;
    client.send(r#"{"type":"subscribe","channel":"secret"}"#).await;
    assert_eq!(client.json().await["code"], "forbidden");
    assert_eq!(refusals(&redis).await.0.len(), 1);
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn counts_of_all_instances_need_the_line_of_shares() {
    let config = |merge: &str| {
        format!(
            "[[endpoints]]\npath = \"/ws\"\nchannels = [\"orders\"]\nsnapshot = \"stats\"\n\
             [[snapshots]]\nname = \"stats\"\nkey = \"stats\"\nevery = \"100ms\"\n\
             merge = {{ \"/data/here\" = \"{merge}\" }}\n"
        )
    };
    let redis = redis_with(&[1, 2, 4]);
    let mut producer = redis.connection().await;
    redis::cmd("SET").arg(&["stats", "{\"x\":1}"]).exec_async(&mut producer).await.unwrap();
    let alone = gateway(&redis, &config("instance_connections")).await;
    let mut client = alone.connect_envelope("/ws").await;
    until_event(&mut client, json!({"x": 1, "here": 1})).await;
    assert_eq!(refusals(&redis).await, (vec![], vec![]));
    let together = gateway(&redis, &config("connections")).await;
    let _client = together.connect("/ws").await;
    together.until("Redis refuses", async || !refusals(&redis).await.0.is_empty()).await;
}

/// Pub/sub and stream channels, over the API as well.
const BOTH: &str = "[[endpoints]]\npath = \"/ws\"\nchannels = [\"orders\", \"audit:1\"]\n\
    [[channels]]\npattern = \"audit:*\"\nsource = \"stream\"\n[api]\nkey = \"key\"\n";

/// Publishes to both channels until each publish is heard, as after a failover.
async fn until_both_are_heard(gateway: &Gateway, client: &mut Client, event: u64) {
    for channel in ["orders", "audit:1"] {
        let path = format!("/api/publish/{channel}");
        let body = event.to_string();
        let publish = async || post(gateway.public(), &path, Some("key"), &body).await.status;
        gateway.until("it is published", async || publish().await == 200).await;
        let heard = async {
            loop {
                let said = client.json().await;
                if said["channel"] == channel && said["data"] == event {
                    break;
                }
            }
        };
        tokio::time::timeout(PATIENCE, heard).await.expect("what was published is heard");
    }
}

async fn refused(redis: &RedisServer) -> Vec<Value> {
    let (log, errors) = refusals(redis).await;
    assert!(!errors.iter().any(|line| line.contains("NOPERM")), "{errors:?}");
    log
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn behind_sentinels_it_takes_one_right_more() {
    let [rights, more] = blocks();
    let lines = [&rights[..], &more[..1]].concat().join(" ");
    let user = lines.split(' ').map(|word| if word == "user" { "--user" } else { word });
    let user: Vec<&str> = user.collect();
    let options = SentinelOptions { server: &user, ..Default::default() };
    let mut set = SentinelSet::start_with(options).await;
    let url = set.url();
    let (_, place) = url.split_once('@').unwrap();
    let gateway = Gateway::ready(GatewayOptions {
        redis_url: Some(format!("redis+sentinel://redcast:CHANGE-ME@{place}")),
        config: BOTH.to_owned(),
        ..Default::default()
    })
    .await;
    let mut client = gateway.connect_envelope("/ws").await;
    client.settled().await;
    until_both_are_heard(&gateway, &mut client, 1).await;
    let old = set.primary_port().await;
    let new = set.failover().await;
    set.until_complete().await;
    gateway.until_ready().await;
    until_both_are_heard(&gateway, &mut client, 2).await;
    for port in [old, new] {
        assert_eq!(refused(set.server_at(port)).await, vec![], "{port}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_a_cluster_it_takes_the_lines_of_clusters() {
    let [rights, more] = blocks();
    let set = ClusterSet::start().await;
    for (sharded, more) in [("false", &more[1..2]), ("true", &more[1..3])] {
        let lines = [&rights[..], more].concat().join(" ");
        for n in 0..6 {
            let mut user = redis::cmd("ACL");
            user.arg("SETUSER").arg(lines.split(' ').skip(1).collect::<Vec<_>>());
            set.ask::<()>(n, &user).await;
        }
        let (_, places) =
            set.url().split_once("://").map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
        let gateway = Gateway::ready(GatewayOptions {
            redis_url: Some(format!("redis+cluster://redcast:CHANGE-ME@{places}")),
            config: format!("{BOTH}[redis]\nsharded = {sharded}\n"),
            ..Default::default()
        })
        .await;
        let mut client = gateway.connect_envelope("/ws").await;
        client.settled().await;
        until_both_are_heard(&gateway, &mut client, 1).await;
        for n in 0..6 {
            assert_eq!(refused(set.server(n)).await, vec![], "{n}");
        }
    }
}
