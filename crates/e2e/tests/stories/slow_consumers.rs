//! Clients that do not read: what they cost is bounded, the others lose nothing, and
//! each policy does what its name says.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use redcast_e2e::{
    Dial, Gateway, GatewayOptions, Message, RawClient, RedisServer, raise_descriptor_limit, turn,
    unacknowledged, unix_ms, within,
};
use redis::aio::MultiplexedConnection;
use serde_json::Value;

const PATH: &str = "/ws/feed";
const QUIET: &str = "/ws/quiet";
const OUTBOX: usize = 64 << 10;
const UNSENT: usize = 16 << 10;
const EVENT: usize = 1 << 10;
/// Several times what outbox and kernel hold for a client that does not read.
const EVENTS: usize = 400;
/// Published at once, then waited for: a reader on a busy machine must not be taken
/// for a slow one.
const BATCH: usize = 20;
const PATIENCE: Duration = Duration::from_secs(60);
/// What the kernel holds beyond `unsent_limit`: what fills the client's receive
/// buffer, and the piece with which the limit was passed.
const KERNEL: u64 = 64 << 10;

struct Feed {
    redis: RedisServer,
    gateway: Gateway,
    producer: MultiplexedConnection,
    published: usize,
}

impl Feed {
    async fn with_policy(policy: &str) -> Self {
        let config = format!(
            r#"
            [limits]
            outbox = "{OUTBOX}B"
            [http]
            unsent_limit = "{UNSENT}B"
            [[endpoints]]
            path = "{PATH}"
            channels = ["feed"]
            subscribe = ["*"]
            [[endpoints]]
            path = "{QUIET}"
            channels = ["feed"]
            notices = false
            [[channels]]
            pattern = "feed*"
            slow_consumer = "{policy}"
            "#
        );
        let redis = RedisServer::start();
        let redis_url = Some(redis.url());
        let options = GatewayOptions { redis_url, config, ..Default::default() };
        let gateway = Gateway::ready(options).await;
        let producer = redis.connection().await;
        Self { redis, gateway, producer, published: 0 }
    }

    /// A client that has joined and from now on reads only if the test does.
    async fn silent(&self) -> RawClient {
        let mut client =
            RawClient::dial(self.gateway.public(), PATH, Dial::silent()).await.unwrap();
        client.settled().await;
        client
    }

    /// Publishes a batch of numbered events.
    async fn publish(&mut self, channels: &[&str], count: usize) {
        let mut batch = redis::pipe();
        for number in self.published..self.published + count {
            for channel in channels {
                batch.cmd("PUBLISH").arg(channel).arg(event(number)).ignore();
            }
        }
        self.published += count;
        batch.query_async::<()>(&mut self.producer).await.unwrap();
    }

    /// Publishes all events, each batch once `reader` has got the one before.
    async fn publish_all(&mut self, reader: &mut RawClient) {
        while self.published < EVENTS {
            let before = self.published;
            self.publish(&["feed"], BATCH).await;
            for number in before..self.published {
                assert_eq!(reader.message().await, Message::Text(event(number)));
            }
        }
    }

    async fn metric(&self, name: &str) -> usize {
        self.gateway.metrics().await.value(name) as usize
    }

    async fn dropped(&self, reason: &str) -> usize {
        self.metric(&format!(r#"redcast_deliveries_dropped_total{{reason="{reason}"}}"#)).await
    }
}

/// An event that tells its number.
fn event(number: usize) -> String {
    format!("{number:0EVENT$}")
}

fn number(text: &str) -> usize {
    assert_eq!(text.len(), EVENT, "an event of another size: {text:.80}");
    text.parse().unwrap()
}

/// Reads events up to and including `last`; they must never go back.
async fn read_until(client: &mut RawClient, last: usize) -> Vec<usize> {
    let mut numbers: Vec<usize> = Vec::new();
    while numbers.last() != Some(&last) {
        let Message::Text(text) = client.message().await else { panic!("no event") };
        let number = number(&text);
        assert!(numbers.last().is_none_or(|before| *before < number), "{number} after {numbers:?}");
        numbers.push(number);
    }
    numbers
}

/// How many of the first numbers follow each other without a hole.
fn unbroken(numbers: &[usize]) -> usize {
    numbers.iter().enumerate().take_while(|(index, number)| index == *number).count()
}

/// Reads every event in order, and counts it where the producer can see it.
async fn read_all(mut client: RawClient, read: Arc<AtomicUsize>) {
    for expected in 0..EVENTS {
        let Message::Text(text) = client.message().await else { panic!("no event") };
        assert_eq!(number(&text), expected);
        read.fetch_add(1, Ordering::Relaxed);
    }
}

#[tokio::test]
async fn one_that_never_reads_costs_its_limits_and_the_other_999_get_everything() {
    let _turn = turn().await;
    raise_descriptor_limit();
    let mut feed = Feed::with_policy("drop_oldest").await;
    let silent = feed.silent().await;
    let address = feed.gateway.public().to_owned();
    let readers = join_all((0..999).map(|_| RawClient::connect(&address, PATH))).await;
    feed.gateway.until_metric("redcast_subscriptions", 1000.0).await;
    let read = Arc::new(AtomicUsize::new(0));
    let reading = readers.into_iter().map(|reader| tokio::spawn(read_all(reader, read.clone())));
    let reading: Vec<_> = reading.collect();
    while feed.published < EVENTS {
        feed.publish(&["feed"], BATCH).await;
        let expected = feed.published * 999;
        within(PATIENCE, "all readers have the batch", async || {
            read.load(Ordering::Relaxed) == expected
        })
        .await;
    }
    for reader in reading {
        reader.await.unwrap();
    }
    // The others have everything, so what still waits is the silent one's.
    let waiting = feed.metric("redcast_outbox_bytes").await;
    assert!((OUTBOX / 2..=OUTBOX).contains(&waiting), "{waiting} bytes wait, limit {OUTBOX}");
    let port = address.rsplit_once(':').unwrap().1.parse().unwrap();
    let held = unacknowledged(port, silent.port()).unwrap();
    assert!(held <= UNSENT as u64 + KERNEL, "the kernel holds {held} bytes");
    println!("the silent client costs {waiting} bytes in its outbox, {held} in the kernel");
    feed.gateway.until_metric("redcast_connections", 1.0).await;
    assert!(feed.dropped("drop_oldest").await > 0);
}

#[tokio::test]
async fn silent_clients_grow_the_process_by_no_more_than_their_outboxes() {
    const CLIENTS: usize = 32;
    const LIMIT: usize = 1 << 20;
    const LARGE: usize = 16 << 10;
    /// Buffers of the link to Redis, queues, and what the allocator does not give back.
    const SLACK: usize = 16 << 20;
    let redis = RedisServer::start();
    let config = "[[channels]]\npattern = \"*\"\nslow_consumer = \"drop_oldest\"".to_owned();
    let options = GatewayOptions { redis_url: Some(redis.url()), config, ..Default::default() };
    let gateway = Gateway::ready(options).await;
    let mut pacer = RawClient::connect(gateway.public(), "/ws/analytics").await;
    let mut silent = Vec::new();
    for number in 0..CLIENTS {
        let mut client =
            RawClient::dial(gateway.public(), "/ws/analytics", Dial::silent()).await.unwrap();
        client.say(r#"{"type":"unsubscribe","channel":"analytics"}"#).await;
        client.say(&format!(r#"{{"type":"subscribe","channel":"analytics:{number}"}}"#)).await;
        client.settled().await;
        silent.push(client);
    }
    let resident = async || gateway.metrics().await.value("process_resident_memory_bytes");
    let before = resident().await;
    let mut producer = redis.connection().await;
    // Four times what the outboxes may hold.
    for _ in 0..4 * LIMIT / LARGE {
        let mut batch = redis::pipe();
        for number in 0..CLIENTS {
            let channel = format!("analytics:{number}");
            batch.cmd("PUBLISH").arg(channel).arg("x".repeat(LARGE)).ignore();
        }
        batch.cmd("PUBLISH").arg("analytics").arg("next").ignore();
        batch.query_async::<()>(&mut producer).await.unwrap();
        assert_eq!(pacer.message().await, Message::Text("next".to_owned()));
    }
    let grown = (resident().await - before) as usize;
    let waiting = gateway.metrics().await.value("redcast_outbox_bytes") as usize;
    println!("{CLIENTS} silent clients: {waiting} bytes wait, the process grew by {grown}");
    assert!((CLIENTS * LIMIT / 2..=CLIENTS * LIMIT).contains(&waiting), "{waiting} bytes wait");
    assert!(grown <= CLIENTS * LIMIT + SLACK, "the process grew by {grown} bytes");
}

#[tokio::test]
async fn disconnect_gives_every_event_or_a_close_frame() {
    let mut feed = Feed::with_policy("disconnect").await;
    let (mut late, _never) = (feed.silent().await, feed.silent().await);
    let mut reader = RawClient::connect(feed.gateway.public(), PATH).await;
    reader.settled().await;
    feed.publish_all(&mut reader).await;
    assert!(feed.dropped("slow_consumer").await > 0);
    let mut numbers = Vec::new();
    let closed = loop {
        match late.message().await {
            Message::Text(text) => numbers.push(number(&text)),
            other => break other,
        }
    };
    assert_eq!(closed, Message::Closed(4409, "slow consumer".to_owned()));
    assert_eq!(late.message().await, Message::End);
    assert_eq!(unbroken(&numbers), numbers.len(), "a hole before the close: {numbers:?}");
    assert!(numbers.len() < EVENTS);
    drop(late);
    // The other one never reads its close frame and is gone all the same.
    let closed = r#"redcast_connections_closed_total{code="4409"}"#;
    feed.gateway.until_metric(closed, 2.0).await;
    feed.gateway.until_metric("redcast_connections", 1.0).await;
    feed.gateway.until_metric("redcast_outbox_bytes", 0.0).await;
    reader.settled().await;
}

#[tokio::test]
async fn drop_oldest_gives_the_newest_and_tells_how_many_are_missing() {
    let start = unix_ms();
    let mut feed = Feed::with_policy("drop_oldest").await;
    let mut silent = feed.silent().await;
    let mut reader = RawClient::connect(feed.gateway.public(), PATH).await;
    reader.settled().await;
    feed.publish_all(&mut reader).await;
    let dropped = feed.dropped("drop_oldest").await;
    let numbers = read_until(&mut silent, EVENTS - 1).await;
    assert_eq!(dropped, EVENTS - numbers.len(), "what was dropped is what is missing");
    assert!(dropped > 0);
    // One hole: what the kernel had, then the newest that fit into the outbox.
    let newest = numbers.len() - unbroken(&numbers);
    assert_eq!(numbers[unbroken(&numbers)], EVENTS - newest, "{numbers:?}");
    assert!(newest >= OUTBOX / EVENT / 2, "only {newest} of the newest");
    let Message::Text(gap) = silent.message().await else { panic!("a gap follows") };
    let gap: Value = serde_json::from_str(&gap).unwrap();
    assert_eq!((&gap["type"], &gap["channel"]), (&"gap".into(), &"feed".into()));
    assert_eq!((&gap["reason"], &gap["dropped"]), (&"overflow".into(), &dropped.into()));
    let (from, to) = (gap["from"].as_u64().unwrap(), gap["to"].as_u64().unwrap());
    assert!(start <= from && from <= to && to <= unix_ms(), "{gap}");
    silent.settled().await;
    // From here on it is like any other.
    feed.publish(&["feed"], 1).await;
    assert_eq!(silent.message().await, Message::Text(event(EVENTS)));
    feed.gateway.until_metric("redcast_outbox_bytes", 0.0).await;
}

#[tokio::test]
async fn without_notices_an_envelope_client_is_told_all_the_same() {
    let mut feed = Feed::with_policy("drop_oldest").await;
    let dial = Dial { envelope: true, ..Dial::silent() };
    let mut silent = RawClient::dial(feed.gateway.public(), QUIET, dial).await.unwrap();
    let Message::Text(welcome) = silent.message().await else { panic!("a welcome comes first") };
    assert!(welcome.contains("welcome"), "{welcome}");
    silent.settled().await;
    let mut reader = RawClient::connect(feed.gateway.public(), PATH).await;
    reader.settled().await;
    feed.publish_all(&mut reader).await;
    let dropped = feed.dropped("drop_oldest").await;
    assert!(dropped > 0);
    loop {
        let Message::Text(text) = silent.message().await else { panic!("text frames alone") };
        let message: Value = serde_json::from_str(&text).unwrap();
        if message["type"] == "gap" {
            assert_eq!(message["dropped"], dropped);
            break;
        }
    }
}

#[tokio::test]
async fn keep_latest_gives_the_newest_of_each_channel_and_counts_the_rest() {
    let mut feed = Feed::with_policy("keep_latest").await;
    let mut silent = feed.silent().await;
    silent.say(r#"{"type":"subscribe","channel":"feed:b"}"#).await;
    silent.settled().await;
    let mut reader = RawClient::connect(feed.gateway.public(), PATH).await;
    reader.settled().await;
    // Of one channel first, until its events wait; then one of the other.
    feed.publish_all(&mut reader).await;
    feed.publish(&["feed:b", "feed"], 1).await;
    assert_eq!(reader.message().await, Message::Text(event(EVENTS)));
    feed.publish(&["feed:b", "feed"], 1).await;
    assert_eq!(reader.message().await, Message::Text(event(EVENTS + 1)));
    let conflated = feed.dropped("conflated").await;
    let waiting = feed.metric("redcast_outbox_bytes").await;
    assert!(waiting <= 2 * (EVENT + 200), "{waiting} bytes wait for two events");
    let newest = EVENTS + 1;
    let mut numbers = read_until(&mut silent, newest).await;
    // The second newest, of the other channel.
    assert_eq!(silent.message().await, Message::Text(event(newest)));
    let unbroken = unbroken(&numbers);
    assert_eq!(numbers.split_off(unbroken), [newest], "between old and newest nothing remains");
    let sent = EVENTS + 4;
    assert_eq!(conflated, sent - unbroken - 2, "what is missing was counted as conflated");
    silent.settled().await;
    drop(feed.redis);
}
