//! `flush_every`: the events of an interval reach a client with one write, in order, and
//! nothing else changes: other channels, acknowledgements, gaps and the end.

use std::time::{Duration, Instant};

use redcast_e2e::{Client, FrameReader, Gateway, GatewayOptions, Incoming, RawClient, RedisServer};
use redis::aio::MultiplexedConnection;
use serde_json::{Value, json};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::{interval, timeout};

const PATH: &str = "/ws/board";
const INTERVAL: Duration = Duration::from_millis(250);
const EVENTS: usize = 200;
const PUBLISH_EVERY: Duration = Duration::from_millis(5);
const PATIENCE: Duration = Duration::from_secs(20);
/// So many that every shard has some.
const MANY: usize = 16;

struct Board {
    _redis: RedisServer,
    gateway: Gateway,
    producer: MultiplexedConnection,
}

impl Board {
    /// Channels `calm*` gather over `flush_every`, in which nobody waits for it to pass
    /// if it is a minute.
    async fn with(flush_every: &str) -> Self {
        let config = format!(
            r#"
            [limits]
            max_event_size = "1KiB"
            [[endpoints]]
            path = "{PATH}"
            subscribe = ["*"]
            [shutdown]
            accept_for = "0s"
            window = "2s"
            [[channels]]
            pattern = "calm*"
            flush_every = "{flush_every}"
            "#
        );
        let redis = RedisServer::start();
        let redis_url = Some(redis.url());
        let options = GatewayOptions { redis_url, config, ..Default::default() };
        let gateway = Gateway::ready(options).await;
        let producer = redis.connection().await;
        Self { _redis: redis, gateway, producer }
    }

    /// An envelope client that has joined some channels.
    async fn member(&self, channels: &[&str]) -> Client {
        let mut client = self.gateway.connect_envelope(PATH).await;
        say(&mut client, "subscribe", channels, 0).await;
        assert_eq!(client.json().await, json!({"type": "ack", "id": 0}));
        client
    }

    async fn publish(&mut self, channel: &str, payload: &str) {
        let mut publish = redis::cmd("PUBLISH");
        publish.arg(channel).arg(payload);
        publish.query_async::<()>(&mut self.producer).await.unwrap();
    }
}

async fn say(client: &mut Client, command: &str, channels: &[&str], id: u32) {
    for (index, channel) in channels.iter().enumerate() {
        let mut message = json!({"type": command, "channel": channel});
        if index + 1 == channels.len() {
            message["id"] = id.into();
        }
        client.send(&message.to_string()).await;
    }
}

fn event(channel: &str, data: impl Into<Value>) -> Value {
    json!({"type": "event", "channel": channel, "data": data.into()})
}

/// Reads all events with as many reads as it takes; answers how many those were.
async fn count_reads(client: RawClient) -> usize {
    let (mut stream, mut reader): (TcpStream, FrameReader) = client.into_parts();
    let mut scratch = vec![0; 64 << 10];
    let (mut reads, mut next) = (0, 0);
    while next < EVENTS {
        let count = timeout(PATIENCE, stream.read(&mut scratch)).await.unwrap().unwrap();
        reader.feed(&scratch[..count]);
        reads += 1;
        while let Some(frame) = reader.next_frame().unwrap() {
            assert_eq!(frame.text(), next.to_string(), "in order, and each of them");
            next += 1;
        }
        assert!(reader.is_between_frames(), "a write ends with a whole frame");
    }
    assert_eq!(next, EVENTS, "and not one more");
    reads
}

#[tokio::test]
async fn the_events_of_an_interval_are_one_write_for_each_client() {
    const CLIENTS: usize = 3;
    let mut board = Board::with("250ms").await;
    let mut reading = Vec::new();
    for _ in 0..CLIENTS {
        let mut client = RawClient::connect(board.gateway.public(), PATH).await;
        client.say(r#"{"type":"subscribe","channel":"calm"}"#).await;
        client.settled().await;
        reading.push(tokio::spawn(count_reads(client)));
    }
    let start = Instant::now();
    let mut pace = interval(PUBLISH_EVERY);
    for number in 0..EVENTS {
        pace.tick().await;
        board.publish("calm", &number.to_string()).await;
    }
    let mut most = 0;
    for reads in reading {
        most = most.max(reads.await.unwrap());
    }
    let moments = start.elapsed().div_duration_f64(INTERVAL) as usize + 1;
    assert!(most <= moments, "{most} reads in {moments} moments");
    let metric = async |name| board.gateway.metrics().await.value(name) as usize;
    board.gateway.until_metric("redcast_events_delivered_total", (CLIENTS * EVENTS) as f64).await;
    // Each delivery either began a write or was coalesced into one.
    let writes = async || CLIENTS * EVENTS - metric("redcast_deliveries_coalesced_total").await;
    // The last turn is counted when it has been written.
    let what = format!("at most {moments} writes for each client");
    board.gateway.until(&what, async || writes().await <= CLIENTS * moments).await;
    let writes = writes().await;
    println!("{writes} writes for {CLIENTS} clients, at most {most} reads, {moments} moments");
    // They were published over a second, so one moment alone can't have had them all.
    assert!(writes >= 2 * CLIENTS, "{writes} writes");
}

#[tokio::test]
async fn another_channel_is_not_delayed_and_nothing_follows_the_ack_of_an_unsubscribe() {
    let mut board = Board::with("60s").await;
    let mut client = board.member(&["calm", "calm:2", "fast"]).await;
    for number in 0..3 {
        board.publish("calm", &number.to_string()).await;
        board.publish("fast", &number.to_string()).await;
        assert_eq!(client.json().await, event("fast", number));
    }
    board.publish("calm:2", "7").await;
    client.settled().await;
    say(&mut client, "unsubscribe", &["calm"], 1).await;
    for number in 0..3 {
        assert_eq!(client.json().await, event("calm", number));
    }
    assert_eq!(client.json().await, json!({"type": "ack", "id": 1}));
    board.publish("calm", "after").await;
    board.publish("fast", "after").await;
    assert_eq!(client.json().await, event("fast", "after"));
    // Another channel of the same rule holds what it has.
    say(&mut client, "unsubscribe", &["calm:2"], 2).await;
    assert_eq!(client.json().await, event("calm:2", 7));
    assert_eq!(client.json().await, json!({"type": "ack", "id": 2}));
}

#[tokio::test]
async fn who_subscribes_meanwhile_gets_nothing_from_before() {
    let mut board = Board::with("60s").await;
    let mut members = Vec::new();
    for _ in 0..MANY {
        members.push(board.member(&["calm", "fast"]).await);
    }
    board.publish("calm", "before").await;
    board.publish("fast", "barrier").await;
    for member in &mut members {
        assert_eq!(member.json().await, event("fast", "barrier"));
    }
    let mut newcomer = board.member(&["calm", "fast"]).await;
    board.publish("calm", "after").await;
    board.publish("fast", "barrier").await;
    assert_eq!(newcomer.json().await, event("fast", "barrier"));
    say(&mut newcomer, "unsubscribe", &["calm"], 1).await;
    assert_eq!(newcomer.json().await, event("calm", "after"));
    assert_eq!(newcomer.json().await, json!({"type": "ack", "id": 1}));
    // The others have got both, whenever that was.
    for member in &mut members {
        say(member, "unsubscribe", &["calm"], 1).await;
        let mut calm = Vec::new();
        loop {
            let message = member.json().await;
            match (message["type"].as_str(), message["channel"].as_str()) {
                (Some("ack"), _) => break,
                (_, Some("calm")) => calm.push(message["data"].clone()),
                _ => assert_eq!(message, event("fast", "barrier")),
            }
        }
        assert_eq!(calm, ["before", "after"]);
    }
}

#[tokio::test]
async fn a_gap_keeps_its_place_among_the_events() {
    let mut board = Board::with("60s").await;
    let mut client = board.member(&["calm"]).await;
    board.publish("calm", "1").await;
    board.publish("calm", &"x".repeat(2 << 10)).await;
    board.publish("calm", "2").await;
    board.gateway.until_metric("redcast_events_received_total", 3.0).await;
    say(&mut client, "unsubscribe", &["calm"], 1).await;
    assert_eq!(client.json().await, event("calm", 1));
    let gap = client.json().await;
    assert_eq!((&gap["type"], &gap["reason"]), (&json!("gap"), &json!("too_large")));
    assert_eq!(client.json().await, event("calm", 2));
    assert_eq!(client.json().await, json!({"type": "ack", "id": 1}));
}

#[tokio::test]
async fn a_drain_delivers_what_is_held_before_the_close() {
    let mut board = Board::with("60s").await;
    let mut members = Vec::new();
    for _ in 0..MANY {
        members.push(board.member(&["calm", "fast"]).await);
    }
    for number in 0..3 {
        board.publish("calm", &number.to_string()).await;
    }
    board.publish("fast", "barrier").await;
    for member in &mut members {
        assert_eq!(member.json().await, event("fast", "barrier"));
    }
    board.gateway.terminate();
    for member in &mut members {
        for number in 0..3 {
            assert_eq!(member.json().await, event("calm", number));
        }
        let Incoming::Closed(1012, _) = member.next().await else { panic!("no restart") };
    }
    drop(members);
    assert!(board.gateway.exit().await.success());
}
