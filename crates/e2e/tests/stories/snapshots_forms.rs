//! Snapshots in every form of connection, in front of events, and for clients that read
//! too slowly.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use redcast_e2e::{Dial, Gateway, GatewayOptions, Message, RawClient, RedisServer, within};
use redis::AsyncCommands;
use serde_json::{Value, json};

const CONFIG: &str = "[[endpoints]]\npath = \"/ws\"\nchannels = [\"feed\"]\nsnapshot = \"s\"\n\
    [[endpoints]]\npath = \"/quiet\"\nnotices = false\nsnapshot = \"s\"\n\
    [[endpoints]]\npath = \"/none\"\n\
    [limits]\noutbox = \"64KiB\"\n[http]\nunsent_limit = \"16KiB\"\n\
    [[snapshots]]\nname = \"s\"\nkey = \"stats\"\n";

async fn start(redis: &RedisServer, every: &str) -> Gateway {
    let config = format!("{CONFIG}every = \"{every}\"\n");
    Gateway::ready(GatewayOptions { redis_url: Some(redis.url()), config, ..Default::default() })
        .await
}

async fn set(redis: &RedisServer, document: &str) {
    let () = redis.connection().await.set("stats", document).await.unwrap();
}

fn json(message: &Message) -> Value {
    let Message::Text(text) = message else { panic!("no text: {message:?}") };
    serde_json::from_str(text).unwrap()
}

#[tokio::test]
async fn every_form_gets_the_same_frames_and_an_acknowledgement_where_it_asks_for_one() {
    let redis = RedisServer::start();
    set(&redis, "{\"a\":1}").await;
    let gateway = start(&redis, "300ms").await;
    let mut envelope = gateway.connect_envelope("/ws").await;
    for client in
        [&mut gateway.connect("/ws").await, &mut gateway.connect("/quiet").await, &mut envelope]
    {
        assert_eq!(client.text().await, r#"{"type":"initial_stats","data":{"a":1}}"#);
        for _ in 0..2 {
            assert_eq!(client.text().await, r#"{"type":"heartbeat","data":{"a":1}}"#);
        }
        client.send(r#"{"type":"refresh_stats","id":7}"#).await;
        let mut answer = client.json().await;
        while answer["type"] == "heartbeat" {
            answer = client.json().await;
        }
        assert_eq!(answer, json!({"type":"initial_stats","data":{"a":1}}));
    }
    let mut ack = envelope.json().await;
    while ack["type"] == "heartbeat" {
        ack = envelope.json().await;
    }
    assert_eq!(ack, json!({"type":"ack","id":7}));
    let mut none = gateway.connect("/none").await;
    none.send(r#"{"type":"refresh_stats"}"#).await;
    assert_eq!(none.json().await["code"], "not_supported");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_greeting_comes_before_the_first_event() {
    let redis = RedisServer::start();
    set(&redis, "{}").await;
    let gateway = start(&redis, "1h").await;
    let mut producer = redis.connection().await;
    let done = AtomicBool::new(false);
    let publishing = async {
        while !done.load(Ordering::Relaxed) {
            let () = producer.publish("feed", "event").await.unwrap();
        }
    };
    let connecting = async {
        for _ in 0..10 {
            let clients = (0..20).map(|_| async {
                let mut client = gateway.connect("/ws").await;
                assert_eq!(client.text().await, r#"{"type":"initial_stats","data":{}}"#);
                assert_eq!(client.text().await, "event");
            });
            join_all(clients).await;
        }
        done.store(true, Ordering::Relaxed);
    };
    tokio::join!(publishing, connecting);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_does_not_read_keeps_the_newest_beat_alone() {
    const TURNS: u64 = 40;
    let redis = RedisServer::start();
    let letters = "x".repeat(20_000);
    let document = |turn: u64| format!(r#"{{"turn":{turn},"letters":"{letters}"}}"#);
    set(&redis, &document(0)).await;
    let gateway = start(&redis, "100ms").await;
    let mut slow = RawClient::dial(gateway.public(), "/ws", Dial::silent()).await.unwrap();
    let mut quick = gateway.connect("/ws").await;
    for turn in 1..=TURNS {
        set(&redis, &document(turn)).await;
        while quick.json().await["data"]["turn"] != turn {}
    }
    let dropped = r#"redcast_deliveries_dropped_total{reason="conflated"}"#;
    let metrics = gateway.metrics().await;
    let conflated = metrics.value(dropped);
    assert!(conflated > 10.0, "{conflated}");
    // One beat waits for it, whatever was said meanwhile; the other client keeps up.
    within(Duration::from_secs(10), "one beat waits", async || {
        let waiting = gateway.metrics().await.value("redcast_outbox_bytes");
        waiting < 22_000.0
    })
    .await;
    let mut beats = 0;
    loop {
        let frame = json(&slow.message().await);
        assert!(
            frame["type"] == "initial_stats" || frame["type"] == "heartbeat",
            "{}",
            frame["type"]
        );
        beats += 1;
        if frame["data"]["turn"] == TURNS {
            break;
        }
    }
    assert!(beats < TURNS / 2, "{beats} beats were kept");
    let metrics = gateway.metrics().await;
    assert_eq!(metrics.value("redcast_connections"), 2.0);
    assert_eq!(metrics.value("redcast_events_delivered_total"), 0.0, "a beat is no event");
    assert_eq!(metrics.value(r#"redcast_deliveries_dropped_total{reason="drop_oldest"}"#), 0.0);
}
