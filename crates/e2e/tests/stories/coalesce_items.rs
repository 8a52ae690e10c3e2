//! `latest_by`: a client that did not read for a while finds the newest value of every
//! item, and waiting for it cost no more than the items do.

use std::collections::BTreeMap;
use std::time::Duration;

use redcast_e2e::{Dial, Gateway, GatewayOptions, Message, RawClient, RedisServer, within};
use redis::aio::MultiplexedConnection;
use serde_json::{Value, json};

const PATH: &str = "/ws/prices";
const ITEMS: usize = 500;
const UPDATES: usize = 50_000;
/// Published at once, then waited for: the broker's queue must not overflow.
const BATCH: usize = 2_000;
const OUTBOX: usize = 1 << 20;
/// What an event may cost while it waits: its frame and the two places it has.
const EACH: usize = 400;
const PATIENCE: Duration = Duration::from_secs(120);

struct Feed {
    _redis: RedisServer,
    gateway: Gateway,
    producer: MultiplexedConnection,
    /// What the producer said last of each item.
    newest: BTreeMap<String, u64>,
    published: usize,
}

/// What a client saw.
#[derive(Default)]
struct Seen {
    last: BTreeMap<String, u64>,
    /// Events that are about no item.
    notes: Vec<u64>,
    events: usize,
    /// The number of the last event of all.
    end: u64,
}

impl Feed {
    async fn with_rule(rule: &str) -> Self {
        let config = format!(
            r#"
            [limits]
            outbox = "{OUTBOX}B"
            [http]
            unsent_limit = "16KiB"
            [[endpoints]]
            path = "{PATH}"
            channels = ["prices"]
            [[channels]]
            pattern = "prices"
            slow_consumer = "keep_latest"
            {rule}
            "#
        );
        let redis = RedisServer::start();
        let redis_url = Some(redis.url());
        let options = GatewayOptions { redis_url, config, ..Default::default() };
        let gateway = Gateway::ready(options).await;
        let producer = redis.connection().await;
        let (newest, published) = (BTreeMap::new(), 0);
        Self { _redis: redis, gateway, producer, newest, published }
    }

    async fn silent(&self) -> RawClient {
        let mut client =
            RawClient::dial(self.gateway.public(), PATH, Dial::silent()).await.unwrap();
        client.settled().await;
        client
    }

    /// Publishes the next batch, as one producer would write it and then another: the
    /// same name of an item may be spelled in two ways.
    async fn publish(&mut self, events: impl Iterator<Item = Value>) {
        let mut batch = redis::pipe();
        for event in events {
            let text = event.to_string();
            let text =
                if self.published.is_multiple_of(2) { text } else { text.replace('é', "\\u00e9") };
            batch.cmd("PUBLISH").arg("prices").arg(text).ignore();
            self.published += 1;
        }
        batch.query_async::<()>(&mut self.producer).await.unwrap();
        let delivered = self.published as f64;
        within(PATIENCE, "the batch is handed over", async || {
            self.metric("redcast_events_delivered_total").await == delivered
        })
        .await;
    }

    /// All updates, every item in each batch, with a few notes among them.
    async fn publish_all(&mut self) {
        for begin in (0..UPDATES).step_by(BATCH) {
            let updates = begin..begin + BATCH;
            for number in updates.clone() {
                self.newest.insert(name(number), number as u64);
            }
            let note = json!({"note": begin});
            self.publish(updates.map(update).chain([note])).await;
        }
    }

    async fn metric(&self, name: &str) -> f64 {
        self.gateway.metrics().await.value(name)
    }

    async fn dropped(&self, reason: &str) -> usize {
        let name = format!(r#"redcast_deliveries_dropped_total{{reason="{reason}"}}"#);
        self.metric(&name).await as usize
    }
}

fn name(number: usize) -> String {
    format!("caf\u{e9}-{}", number * 7919 % ITEMS)
}

fn update(number: usize) -> Value {
    let pad = "x".repeat(100);
    json!({"type": "tick", "pad": pad, "data": {"id": name(number), "n": number}})
}

/// Reads everything that waits.
async fn read_all(client: &mut RawClient) -> Seen {
    client.say(r#"{"type":"ping"}"#).await;
    let mut seen = Seen::default();
    loop {
        let Message::Text(text) = client.message().await else { panic!("text frames alone") };
        let event: Value = serde_json::from_str(&text).unwrap();
        if event["type"] == "pong" {
            return seen;
        }
        seen.events += 1;
        if let Some(note) = event["note"].as_u64() {
            seen.notes.push(note);
            continue;
        }
        let (id, number) = (event["data"]["id"].as_str(), event["data"]["n"].as_u64());
        let (Some(id), Some(number)) = (id, number) else { panic!("no update: {text}") };
        let before = seen.last.insert(id.to_owned(), number);
        assert!(before.is_none_or(|before| before < number), "{id} goes back to {number}");
        seen.end = number;
    }
}

#[tokio::test]
async fn a_client_that_stopped_reading_finds_the_newest_value_of_each_item() {
    let mut feed = Feed::with_rule(r#"latest_by = "/data/id""#).await;
    let mut silent = feed.silent().await;
    feed.publish_all().await;
    let waiting = feed.metric("redcast_outbox_bytes").await as usize;
    let notes = UPDATES / BATCH;
    println!("{waiting} bytes wait for {ITEMS} items");
    assert!(waiting <= (ITEMS + notes) * EACH, "{waiting} bytes wait for {ITEMS} items");
    let seen = read_all(&mut silent).await;
    assert_eq!(seen.last, feed.newest);
    let expected: Vec<u64> = (0..UPDATES as u64).step_by(BATCH).collect();
    assert_eq!(seen.notes, expected, "an event without the value is replaced by none");
    let conflated = feed.dropped("conflated").await;
    assert_eq!(seen.events + conflated, feed.published, "what is missing was conflated");
    assert!(conflated > UPDATES / 2, "only {conflated} were conflated");
    assert_eq!(feed.dropped("drop_oldest").await, 0);
    // From here on it is like any other.
    feed.publish([update(UPDATES)].into_iter()).await;
    let Message::Text(text) = silent.message().await else { panic!("no event") };
    assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), update(UPDATES));
    feed.gateway.until_metric("redcast_outbox_bytes", 0.0).await;
}

#[tokio::test]
async fn without_latest_by_only_the_newest_of_all_waits() {
    let mut feed = Feed::with_rule("").await;
    let mut silent = feed.silent().await;
    feed.publish_all().await;
    feed.publish([update(UPDATES)].into_iter()).await;
    let waiting = feed.metric("redcast_outbox_bytes").await as usize;
    assert!(waiting <= EACH, "{waiting} bytes wait for one event");
    let seen = read_all(&mut silent).await;
    assert_eq!(seen.end, UPDATES as u64);
    let missing = feed.newest.iter().filter(|(id, number)| seen.last.get(*id) != Some(*number));
    let missing = missing.count();
    assert!(missing > ITEMS / 2, "the newest of only {missing} items is missing");
    assert_eq!(seen.events + feed.dropped("conflated").await, feed.published);
}
