//! The memory broker: one process, no set-up, gone at its end.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;
use redcast_protocol::{Channel, Cursor, ResetReason};

use crate::intake::Intake;
use crate::memory_snapshots::MemorySnapshots;
use crate::memory_streams::MemoryStreams;
use crate::once::{OnceKeys, fingerprint};
use crate::{
    Broker, BrokerMetrics, Deliveries, Delivery, Event, Health, HistoryError, OnceKey, Page,
    Position, PublishError, Published, QueueLimits, ReadLimit, Readiness, SnapshotError,
    SnapshotStore, Source, Sources, Stored, SubscribeError, Subscribed, clock, deliveries,
    snapshot,
};

/// Idempotency keys that are remembered; a newer one takes the place of the oldest.
const ONCE_KEYS: usize = 10_000;

/// The memory broker's bounds.
#[derive(Debug, Clone)]
pub struct MemoryConfig {
    /// The largest payload, bytes; 1 MiB by default.
    pub max_event_size: usize,
    /// Which channels are streams; none by default.
    pub sources: Sources,
    /// How much may wait for the fan-out.
    pub queue: QueueLimits,
    /// The largest snapshot that can be read, bytes; 1 MiB by default.
    pub max_snapshot_size: usize,
    /// How many snapshots are kept; 64 by default.
    pub max_snapshots: usize,
    /// How long what an instance told is remembered; 8 s by default.
    pub share_lifetime: Duration,
}

impl Default for MemoryConfig {
    fn default() -> Self {
        Self {
            max_event_size: 1 << 20,
            sources: Sources::default(),
            queue: QueueLimits::default(),
            max_snapshot_size: snapshot::MAX_SIZE,
            max_snapshots: 64,
            share_lifetime: snapshot::SHARE_LIFETIME,
        }
    }
}

/// A broker for one process: what is published here is delivered here.
#[derive(Debug)]
pub struct MemoryBroker {
    max_event_size: usize,
    sources: Sources,
    intake: Intake,
    metrics: BrokerMetrics,
    subscribed: Mutex<HashSet<Channel>>,
    streams: Mutex<MemoryStreams>,
    snapshots: MemorySnapshots,
    published: Mutex<OnceKeys>,
}

impl MemoryBroker {
    /// Makes one and the queue it delivers into. The queue closes when the broker is
    /// dropped.
    pub fn new(config: &MemoryConfig, metrics: BrokerMetrics) -> (Arc<Self>, Deliveries) {
        let (sender, receiver) = deliveries(config.queue);
        // There is no link that could be down.
        metrics.up.set(1);
        let delivery = metrics.delivery.clone();
        let broker = Self {
            max_event_size: config.max_event_size,
            sources: config.sources.clone(),
            intake: Intake::new(sender, metrics.clone(), config.max_event_size),
            metrics,
            subscribed: Mutex::default(),
            streams: Mutex::new(MemoryStreams::new(clock::unix_ms())),
            snapshots: MemorySnapshots::new(config),
            published: Mutex::new(OnceKeys::new(ONCE_KEYS)),
        };
        let broker = Arc::new(broker);
        let watched: Arc<dyn Broker> = broker.clone();
        delivery.follow(&watched);
        (broker, receiver)
    }

    /// Stores a snapshot, as a producer does in Redis: it replaces what was stored, and
    /// a hash without fields removes it. One that is too large is told to whoever reads
    /// it; of more than `max_snapshots`, the one that was stored longest ago goes.
    pub fn store(&self, key: &str, stored: Stored) {
        self.snapshots.store(key, stored);
    }

    fn count_channels(&self, channels: usize) {
        self.metrics.channels.set(i64::try_from(channels).unwrap_or(i64::MAX));
    }
}

#[async_trait]
impl Broker for MemoryBroker {
    fn kind(&self) -> &'static str {
        "memory"
    }

    async fn subscribe(&self, channel: &Channel) -> Result<Subscribed, SubscribeError> {
        let mut room = match self.source(channel) {
            Source::Stream => Some(self.intake.room(1, 0).await),
            Source::PubSub => None,
        };
        let mut subscribed = self.subscribed.lock();
        let is_new = subscribed.insert(channel.clone());
        self.count_channels(subscribed.len());
        if let Some(room) = room.as_mut().filter(|_| is_new) {
            let (channel, cursor) = (channel.clone(), self.streams.lock().end(channel));
            room.send(Delivery::Position(Position { channel, cursor, reset: None }));
        }
        Ok(Subscribed::Live)
    }

    async fn unsubscribe(&self, channel: &Channel) {
        let mut subscribed = self.subscribed.lock();
        subscribed.remove(channel);
        self.count_channels(subscribed.len());
    }

    async fn publish(&self, channel: &Channel, payload: Bytes) -> Result<(), PublishError> {
        self.publish_all(channel, &[payload], None).await.map(|_| ())
    }

    async fn publish_all(
        &self,
        channel: &Channel,
        payloads: &[Bytes],
        key: Option<&OnceKey>,
    ) -> Result<Published, PublishError> {
        let limit = self.max_event_size;
        if let Some(large) = payloads.iter().find(|payload| payload.len() > limit) {
            return Err(PublishError::TooLarge { size: large.len(), limit });
        }
        let content = key.map(|key| (key, fingerprint(channel, payloads)));
        // A stream loses nothing: whoever publishes waits for the fan-out.
        let mut room = match self.source(channel) {
            Source::Stream => {
                let bytes = payloads.iter().map(Bytes::len).sum();
                Some(self.intake.room(payloads.len(), bytes).await)
            }
            Source::PubSub => None,
        };
        let now = Instant::now();
        // The lock spans the queueing, so that nothing arrives after an unsubscribe, and
        // nothing between two events of a batch.
        let subscribed = self.subscribed.lock();
        if let Some((key, content)) = content
            && self.published.lock().take(key, content, now)? == Published::Before
        {
            return Ok(Published::Before);
        }
        let is_subscribed = subscribed.contains(channel);
        for payload in payloads {
            let (channel, payload) = (channel.clone(), payload.clone());
            match &mut room {
                Some(room) => {
                    let mut streams = self.streams.lock();
                    let cursor = streams.append(&channel, payload.clone(), clock::unix_ms());
                    let cursor = Some(cursor);
                    if is_subscribed {
                        let event = Event { channel, payload, received: now, cursor };
                        self.intake.stream_event(room, event);
                    }
                }
                None if is_subscribed => self.intake.event(channel, payload, now),
                None => {}
            }
        }
        Ok(Published::Now)
    }

    fn source(&self, channel: &Channel) -> Source {
        self.sources.of(channel)
    }

    async fn events_after(
        &self,
        channel: &Channel,
        since: Cursor,
        limit: ReadLimit,
    ) -> Result<Page, HistoryError> {
        match self.source(channel) {
            Source::Stream => self.streams.lock().events_after(channel, since, limit),
            Source::PubSub => Err(HistoryError::Reset(ResetReason::Unknown)),
        }
    }

    async fn last_events(
        &self,
        channel: &Channel,
        count: usize,
    ) -> Result<Vec<Event>, HistoryError> {
        match self.source(channel) {
            Source::Stream => Ok(self.streams.lock().last_events(channel, count)),
            Source::PubSub => Err(HistoryError::Reset(ResetReason::Unknown)),
        }
    }

    fn is_live(&self, channel: &Channel) -> bool {
        self.subscribed.lock().contains(channel)
    }

    fn health(&self) -> Health {
        let channels = self.subscribed.lock().len();
        // A call of a function needs no proof that it arrives.
        Health {
            readiness: Readiness::Ready,
            connected: true,
            wanted: channels,
            confirmed: channels,
            last_proof: Some(Duration::ZERO),
            ..Health::default()
        }
    }
}

#[async_trait]
impl SnapshotStore for MemoryBroker {
    async fn read(&self, key: &str) -> Result<Option<Stored>, SnapshotError> {
        self.snapshots.read(key)
    }

    async fn share(&self, name: &str, instance: &str, count: u64) -> Result<u64, SnapshotError> {
        Ok(self.snapshots.share(name, instance, count))
    }
}
