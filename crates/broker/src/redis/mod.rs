//! The Redis broker: for each Redis a [lane](lane), with a subscriber task that owns one
//! connection, and pools that publish, read snapshots and share counts.

mod backoff;
mod batch;
mod cluster;
mod commands;
mod config;
mod connect;
mod connection;
mod heartbeat;
mod lane;
mod lanes;
mod link;
mod locator;
mod names;
mod once;
mod pool;
mod primary;
mod proof;
mod prover;
mod publisher;
mod readiness;
mod route;
mod sentinel;
mod server;
mod share;
mod snapshot;
mod status;
mod streams;
mod subscriber;
mod tls;
mod url;
mod wish;
mod wishes;

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use redcast_protocol::{Channel, Cursor, ResetReason};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use self::batch::{BatchError, RedisPublisher};
pub use self::config::{BrokerConfigError, MAX_NODES, REDIS_DESCRIPTORS, RedisConfig};
pub use self::streams::{Census, EntryId, Follows, StreamState, Tail, Verdict, follow};
pub use self::tls::{RedisTls, RedisTlsError, RedisTlsPart, install_tls_provider};

use self::lanes::Lanes;
use self::names::Names;
use crate::{
    Broker, BrokerMetrics, Deliveries, Event, Health, HistoryError, OnceKey, Page, PublishError,
    Published, ReadLimit, SnapshotError, SnapshotStore, Source, Stored, SubscribeError, Subscribed,
    deliveries,
};

/// Events over Redis, for any number of instances.
pub struct RedisBroker {
    config: Arc<RedisConfig>,
    lanes: Lanes,
}

impl RedisBroker {
    /// Starts the subscriber on `tracker`; it runs until `cancel`. A Redis that is away
    /// is no error: it is looked for until it is there. Must be called inside a tokio
    /// runtime.
    ///
    /// The queue closes when the subscriber ends; without `cancel` that means it
    /// panicked, and the process should end.
    pub fn start(
        config: RedisConfig,
        metrics: BrokerMetrics,
        tracker: &TaskTracker,
        cancel: CancellationToken,
    ) -> Result<(Arc<Self>, Deliveries), BrokerConfigError> {
        let (sender, receiver) = deliveries(config.queue);
        let config = Arc::new(config);
        let follow = metrics.delivery.clone();
        let lanes = Lanes::start(&config, metrics, &sender, (tracker, cancel))?;
        let broker = Arc::new(Self { config, lanes });
        let watched: Arc<dyn Broker> = broker.clone();
        follow.follow(&watched);
        Ok((broker, receiver))
    }
}

#[async_trait]
impl Broker for RedisBroker {
    fn kind(&self) -> &'static str {
        "redis"
    }

    fn published_name(&self, channel: &Channel) -> String {
        Names::new(&self.config.prefix).channel(channel)
    }

    async fn subscribe(&self, channel: &Channel) -> Result<Subscribed, SubscribeError> {
        self.lanes.of(channel).subscribe(channel).await
    }

    async fn unsubscribe(&self, channel: &Channel) {
        self.lanes.of(channel).unsubscribe(channel);
    }

    async fn publish(&self, channel: &Channel, payload: Bytes) -> Result<(), PublishError> {
        self.lanes.of(channel).publisher.publish(channel, payload).await
    }

    async fn publish_all(
        &self,
        channel: &Channel,
        payloads: &[Bytes],
        key: Option<&OnceKey>,
    ) -> Result<Published, PublishError> {
        self.lanes.of(channel).publisher.publish_whole(channel, payloads, key).await
    }

    fn source(&self, channel: &Channel) -> Source {
        self.config.sources.of(channel)
    }

    async fn events_after(
        &self,
        channel: &Channel,
        since: Cursor,
        limit: ReadLimit,
    ) -> Result<Page, HistoryError> {
        match self.source(channel) {
            Source::Stream => {
                self.lanes.of(channel).history.events_after(channel, since, limit).await
            }
            Source::PubSub => Err(HistoryError::Reset(ResetReason::Unknown)),
        }
    }

    async fn last_events(
        &self,
        channel: &Channel,
        count: usize,
    ) -> Result<Vec<Event>, HistoryError> {
        match self.source(channel) {
            Source::Stream => self.lanes.of(channel).history.last_events(channel, count).await,
            Source::PubSub => Err(HistoryError::Reset(ResetReason::Unknown)),
        }
    }

    fn is_live(&self, channel: &Channel) -> bool {
        self.lanes.of(channel).is_live(channel)
    }

    fn health(&self) -> Health {
        self.lanes.health()
    }
}

#[async_trait]
impl SnapshotStore for RedisBroker {
    async fn read(&self, key: &str) -> Result<Option<Stored>, SnapshotError> {
        self.lanes.of_key(key).snapshots.read(key).await
    }

    async fn share(&self, name: &str, instance: &str, count: u64) -> Result<u64, SnapshotError> {
        self.lanes.of_key(name).shares.share(name, instance, count).await
    }
}
