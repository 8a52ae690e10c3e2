//! Clients that come back to a stream channel and do not read what they are sent: each is
//! held no more than a page, however much it missed.

use std::time::Duration;

use redcast_e2e::{Dial, Gateway, GatewayOptions, RawClient, RedisServer, within};
use serde_json::{Value, json};
use tokio::time::sleep;

const PATH: &str = "/ws/feed";
const CLIENTS: usize = 48;
const EVENT: usize = 4 << 10;
const EVENTS: usize = 1000;
/// What is held for a client: a page as frames, and some of it in flight.
const EACH: usize = 192 << 10;
/// What is kept for others that come back, what the pool reads at one moment, and room for
/// an allocator that does not give everything back.
const SLACK: usize = 32 << 20;
const STANDS_STILL: Duration = Duration::from_millis(500);
const PATIENCE: Duration = Duration::from_secs(60);

const CONFIG: &str = "
[[endpoints]]
path = \"/ws/feed\"
subscribe = [\"feed\"]

[[channels]]
pattern = \"feed\"
source = \"stream\"

[http]
unsent_limit = \"16KiB\"
";

async fn gateway(redis: &RedisServer) -> Gateway {
    let mut producer = redis.connection().await;
    for first in (0..EVENTS).step_by(100) {
        let mut batch = redis::pipe();
        for number in first..first + 100 {
            let event = format!("{number:0EVENT$}");
            batch.cmd("XADD").arg("feed").arg("*").arg("data").arg(event).ignore();
        }
        let () = batch.query_async(&mut producer).await.unwrap();
    }
    let (redis_url, config) = (Some(redis.url()), CONFIG.to_owned());
    Gateway::ready(GatewayOptions { redis_url, config, ..Default::default() }).await
}

/// The places of all events, from a client that reads; it stays.
async fn places(gateway: &Gateway) -> (redcast_e2e::Client, Vec<String>) {
    let mut reader = gateway.connect_envelope(PATH).await;
    let recent = json!({"type": "subscribe", "channel": "feed", "recent": EVENTS, "id": 1});
    reader.send(&recent.to_string()).await;
    let mut places = Vec::new();
    loop {
        let frame = reader.json().await;
        match frame["type"].as_str().unwrap() {
            "event" => places.push(frame["id"].as_str().unwrap().to_owned()),
            "ack" => return (reader, places),
            "welcome" => {}
            other => panic!("{other}"),
        }
    }
}

/// How much the process grows by clients of which each says one of these and reads nothing.
async fn grown_by(gateway: &Gateway, commands: impl Iterator<Item = Value>) -> usize {
    let resident = async || gateway.metrics().await.value("process_resident_memory_bytes");
    let reads = async || gateway.metrics().await.value("redcast_stream_reads_total");
    let (before, read) = (resident().await, reads().await);
    let mut silent = Vec::new();
    for command in commands {
        let how = Dial { envelope: true, ..Dial::silent() };
        let mut client = RawClient::dial(gateway.public(), PATH, how).await.unwrap();
        client.say(&command.to_string()).await;
        silent.push(client);
    }
    // Their sockets are full once nothing is read for them any more.
    let mut last = 0.0;
    within(PATIENCE, "all of them are stuck", async || {
        let now = reads().await;
        let is_still = now > read && now == last;
        last = now;
        sleep(STANDS_STILL).await;
        is_still
    })
    .await;
    (resident().await - before).max(0.0) as usize
}

#[tokio::test]
async fn clients_that_come_back_and_never_read_are_held_a_page_each() {
    let redis = RedisServer::start();
    let gateway = gateway(&redis).await;
    let (_reader, places) = places(&gateway).await;
    assert_eq!(places.len(), EVENTS);
    let command = |more: (&str, Value)| {
        let mut command = json!({"type": "subscribe", "channel": "feed"});
        command[more.0] = more.1;
        command
    };
    // Each from another place, or they would share what was read.
    let resuming = places.iter().take(CLIENTS).map(|place| command(("since", json!(place))));
    let grown = grown_by(&gateway, resuming).await;
    println!("{CLIENTS} silent resumes: the process grew by {grown} bytes");
    assert!(grown <= CLIENTS * EACH + SLACK, "the process grew by {grown} bytes");
    let recent = (0..CLIENTS).map(|fewer| command(("recent", json!(EVENTS - fewer))));
    let grown = grown_by(&gateway, recent).await;
    println!("{CLIENTS} silent clients with the last events: the process grew by {grown} bytes");
    assert!(grown <= CLIENTS * EACH + SLACK, "the process grew by {grown} bytes");
}
