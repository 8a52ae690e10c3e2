//! What the broker's tests share: a broker of each kind, and a reader of what it
//! delivers that never waits without a limit.

#![allow(dead_code, unreachable_pub, reason = "redis_overflow.rs uses a part of it")]

pub mod load;
pub mod streams;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use prometheus::Registry;
use redcast_broker::{
    Broker, BrokerMetrics, Deliveries, Delivery, Event, Gap, MemoryBroker, MemoryConfig, Position,
    RedisBroker, RedisConfig, SnapshotStore, SubscribeError, Subscribed,
};
use redcast_e2e::RedisServer;
use redcast_protocol::{Channel, Cursor};
use redis::aio::MultiplexedConnection;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

/// Longer than anything here takes, shorter than a reader's patience.
pub const LIMIT: Duration = Duration::from_secs(20);

/// A broker and everything it delivers.
pub struct Rig {
    pub broker: Arc<dyn Broker>,
    pub inbox: Inbox,
    pub registry: Registry,
    pub tracker: TaskTracker,
    pub cancel: CancellationToken,
    _stop: DropGuard,
}

impl Rig {
    pub fn memory(config: &MemoryConfig) -> Self {
        let registry = Registry::new();
        let metrics = BrokerMetrics::register(&registry).unwrap();
        let (broker, deliveries) = MemoryBroker::new(config, metrics);
        Self::new(broker, deliveries, registry, TaskTracker::new(), CancellationToken::new())
    }

    /// A broker that may not have found its Redis yet.
    pub fn redis_unconnected(config: RedisConfig) -> Self {
        let registry = Registry::new();
        let metrics = BrokerMetrics::register(&registry).unwrap();
        let (tracker, cancel) = (TaskTracker::new(), CancellationToken::new());
        let (broker, deliveries) =
            RedisBroker::start(config, metrics, &tracker, cancel.clone()).unwrap();
        Self::new(broker, deliveries, registry, tracker, cancel)
    }

    /// A broker that is connected.
    pub async fn redis(config: RedisConfig) -> Self {
        let rig = Self::redis_unconnected(config);
        rig.until_ready(LIMIT).await;
        rig
    }

    fn new(
        broker: Arc<dyn Broker>,
        deliveries: Deliveries,
        registry: Registry,
        tracker: TaskTracker,
        cancel: CancellationToken,
    ) -> Self {
        let inbox = Inbox { deliveries, read: VecDeque::new() };
        let stop = cancel.clone().drop_guard();
        Self { broker, inbox, registry, tracker, cancel, _stop: stop }
    }

    pub async fn publish(&self, channel: &Channel, payload: &'static [u8]) {
        self.broker.publish(channel, Bytes::from_static(payload)).await.unwrap();
    }

    /// Waits until every wanted channel is heard; returns how long that took.
    pub async fn until_ready(&self, limit: Duration) -> Duration {
        let took = until(limit, || self.broker.health().is_ready()).await;
        took.unwrap_or_else(|| panic!("not ready in {limit:?}: {:?}", self.broker.health()))
    }

    /// Waits until readiness is lost; returns how long that took.
    pub async fn until_not_ready(&self, limit: Duration) -> Duration {
        let took = until(limit, || !self.broker.health().is_ready()).await;
        took.unwrap_or_else(|| panic!("still ready after {limit:?}"))
    }

    /// The value of a series, e.g. `redcast_gaps_total{reason="overflow"}`.
    pub fn metric(&self, series: &str) -> u64 {
        let text =
            prometheus::TextEncoder::new().encode_to_string(&self.registry.gather()).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("{series} is not in\n{text}")).parse().unwrap()
    }
}

/// Reads deliveries in their order.
pub struct Inbox {
    deliveries: Deliveries,
    read: VecDeque<Delivery>,
}

impl Inbox {
    pub async fn next(&mut self) -> Delivery {
        if self.read.is_empty() {
            let mut batch = Vec::new();
            let count = timeout(LIMIT, self.deliveries.recv_many(&mut batch, 1024)).await;
            assert!(count.expect("a delivery arrives") > 0, "the queue has ended");
            self.read.extend(batch);
        }
        self.read.pop_front().unwrap()
    }

    pub async fn event(&mut self) -> Event {
        match self.next().await {
            Delivery::Event(event) => event,
            other => panic!("instead of an event: {other:?}"),
        }
    }

    pub async fn gap(&mut self) -> Gap {
        match self.next().await {
            Delivery::Gap(gap) => gap,
            other => panic!("instead of a gap: {other:?}"),
        }
    }

    pub async fn position(&mut self) -> Position {
        match self.next().await {
            Delivery::Position(position) => position,
            other => panic!("instead of a position: {other:?}"),
        }
    }

    pub async fn passed(&mut self) -> Cursor {
        match self.next().await {
            Delivery::Passed { cursor, .. } => cursor,
            other => panic!("instead of an entry that is no event: {other:?}"),
        }
    }

    pub async fn refusal(&mut self) -> SubscribeError {
        match self.next().await {
            Delivery::Refused(error) => error,
            other => panic!("instead of a refusal: {other:?}"),
        }
    }

    /// Reads until an event of `channel` with this payload; returns what came before.
    pub async fn until_event(&mut self, channel: &Channel, payload: &[u8]) -> Vec<Delivery> {
        let mut before = Vec::new();
        loop {
            match self.next().await {
                Delivery::Event(event) if event.channel == *channel && event.payload == payload => {
                    return before;
                }
                other => before.push(other),
            }
        }
    }

    /// Waits for the end of the queue.
    pub async fn end(&mut self) {
        let mut rest = Vec::new();
        while timeout(LIMIT, self.deliveries.recv_many(&mut rest, 1024)).await.unwrap() > 0 {}
        assert!(self.deliveries.is_closed());
    }
}

/// Looks every few milliseconds whether `holds`; returns how long it took.
pub async fn until(limit: Duration, mut holds: impl FnMut() -> bool) -> Option<Duration> {
    let start = Instant::now();
    while start.elapsed() < limit {
        if holds() {
            return Some(start.elapsed());
        }
        sleep(Duration::from_millis(5)).await;
    }
    None
}

pub fn config(server: &RedisServer) -> RedisConfig {
    RedisConfig { url: server.url(), prefix: "test:".to_owned(), ..RedisConfig::default() }
}

/// A connection of the test's own, for what an operator or a producer would do.
pub async fn operator(server: &RedisServer) -> MultiplexedConnection {
    let client = redis::Client::open(server.url()).unwrap();
    client.get_multiplexed_async_connection().await.unwrap()
}

/// Waits for the first PONG of a server that is coming back.
pub async fn first_pong(server: &RedisServer) -> Instant {
    let client = redis::Client::open(server.url()).unwrap();
    let start = Instant::now();
    while start.elapsed() < LIMIT {
        if let Ok(mut connection) = client.get_multiplexed_async_connection().await
            && redis::cmd("PING").query_async::<String>(&mut connection).await.is_ok()
        {
            return Instant::now();
        }
        sleep(Duration::from_millis(5)).await;
    }
    panic!("no PONG in {LIMIT:?}");
}

/// How many clients Redis counts for each of these channels.
pub async fn numsub(connection: &mut MultiplexedConnection, channels: &[Channel]) -> Vec<u64> {
    let names: Vec<String> = channels.iter().map(|channel| format!("test:{channel}")).collect();
    let reply: Vec<(String, u64)> =
        redis::cmd("PUBSUB").arg("NUMSUB").arg(names).query_async(connection).await.unwrap();
    reply.into_iter().map(|(_, count)| count).collect()
}

/// Waits until Redis counts `expected` clients for every one of these channels.
pub async fn until_numsub(
    connection: &mut MultiplexedConnection,
    channels: &[Channel],
    expected: u64,
) {
    let start = Instant::now();
    loop {
        let counts = numsub(connection, channels).await;
        if counts.iter().all(|&count| count == expected) {
            return;
        }
        assert!(start.elapsed() < LIMIT, "{counts:?} are not all {expected}");
        sleep(Duration::from_millis(5)).await;
    }
}

/// A Redis broker for what needs no subscription; it ends with the guard.
pub fn snapshot_store(config: RedisConfig) -> (Arc<dyn SnapshotStore>, DropGuard) {
    let (broker, stop) = unheard_redis(config);
    (broker, stop)
}

/// A Redis broker whose deliveries nobody reads; it ends with the guard.
pub fn unheard_redis(config: RedisConfig) -> (Arc<RedisBroker>, DropGuard) {
    let metrics = BrokerMetrics::register(&Registry::new()).unwrap();
    let cancel = CancellationToken::new();
    let (broker, _) =
        RedisBroker::start(config, metrics, &TaskTracker::new(), cancel.clone()).unwrap();
    (broker, cancel.drop_guard())
}

pub fn channel(name: &str) -> Channel {
    Channel::parse(name).unwrap()
}

pub fn channels(count: usize) -> Vec<Channel> {
    (0..count).map(|n| channel(&format!("channel:{n}"))).collect()
}

pub fn unix_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis().try_into().unwrap()
}

/// Subscribes to all of them at once, as many clients would.
pub async fn subscribe_all(
    rig: &Rig,
    channels: &[Channel],
) -> Vec<(Channel, Result<Subscribed, SubscribeError>)> {
    let mut running = JoinSet::new();
    for channel in channels.iter().cloned() {
        let broker = rig.broker.clone();
        running.spawn(async move {
            let answer = broker.subscribe(&channel).await;
            (channel, answer)
        });
    }
    timeout(LIMIT, running.join_all()).await.expect("every subscribe is answered")
}

/// How often Redis has carried out a command.
pub async fn calls(connection: &mut MultiplexedConnection, command: &str) -> u64 {
    let info: String =
        redis::cmd("INFO").arg("commandstats").query_async(connection).await.unwrap();
    let key = format!("cmdstat_{command}:calls=");
    let calls = info.lines().find_map(|line| line.strip_prefix(&key)?.split(',').next());
    calls.map_or(0, |calls| calls.parse().unwrap())
}

/// PUBLISH as a producer does it; returns how many clients Redis gave it to.
pub async fn produce(
    connection: &mut MultiplexedConnection,
    channel: &Channel,
    payload: &[u8],
) -> u64 {
    redis::cmd("PUBLISH")
        .arg(format!("test:{channel}"))
        .arg(payload)
        .query_async(connection)
        .await
        .unwrap()
}
