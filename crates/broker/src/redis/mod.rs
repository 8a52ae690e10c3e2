//! The Redis broker: a subscriber task that owns one connection, and a pool that
//! publishes, and a small one that reads snapshots and shares counts.

mod backoff;
mod batch;
mod commands;
mod config;
mod connect;
mod heartbeat;
mod link;
mod names;
mod once;
mod pool;
mod publisher;
mod server;
mod share;
mod snapshot;
mod status;
mod subscriber;
mod wish;
mod wishes;

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use redcast_protocol::Channel;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use self::batch::{BatchError, RedisPublisher};
pub use self::config::{BrokerConfigError, REDIS_DESCRIPTORS, RedisConfig};

use self::config::SNAPSHOT_POOL_SIZE;
use self::connect::with_socket_options;
use self::names::Names;
use self::pool::Pool;
use self::publisher::Publisher;
use self::server::Server;
use self::share::Shares;
use self::snapshot::Snapshots;
use self::status::Status;
use self::subscriber::Subscriber;
use self::wishes::{Answer, Wishes};
use crate::intake::Intake;
use crate::{
    Broker, BrokerMetrics, Deliveries, Health, OnceKey, PublishError, Published, SnapshotError,
    SnapshotStore, Stored, SubscribeError, Subscribed, clock, deliveries,
};

/// Events over Redis pub/sub, for any number of instances.
pub struct RedisBroker {
    config: Arc<RedisConfig>,
    wishes: Arc<Wishes>,
    status: Arc<Status>,
    publisher: Publisher,
    snapshots: Snapshots,
    shares: Shares,
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
        let info = with_socket_options(config.connection_info()?);
        let pool = Pool::new(info.clone(), &config)?;
        let small = pool.beside(SNAPSHOT_POOL_SIZE)?;
        let publisher = Publisher::new(pool, &config);
        let snapshots = Snapshots::new(small.clone(), &config);
        let shares = Shares::new(small, &config);
        let (sender, receiver) = deliveries(config.queue);
        let config = Arc::new(config);
        let wishes = Arc::new(Wishes::new(metrics.channels.clone()));
        let status = Arc::new(Status::new(metrics.clone()));
        let subscriber = Subscriber {
            server: Server::of(&info, &config.url),
            info,
            config: Arc::clone(&config),
            names: Names::new(&config.prefix),
            wishes: Arc::clone(&wishes),
            status: Arc::clone(&status),
            intake: Intake::new(sender, metrics, config.max_event_size),
        };
        tracker.spawn(subscriber.run(cancel));
        Ok((Arc::new(Self { config, wishes, status, publisher, snapshots, shares }), receiver))
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
        let asked_ms = clock::unix_ms();
        let verdict = match self.wishes.want(channel, asked_ms) {
            Answer::Now(subscribed) => return Ok(subscribed),
            Answer::Later(verdict) => verdict,
        };
        match timeout(self.config.subscribe_timeout, verdict).await {
            Ok(Ok(verdict)) => verdict,
            // Unsubscribed by somebody else meanwhile.
            Ok(Err(_)) => Ok(Subscribed::Pending),
            Err(_) => Ok(self.wishes.stop_waiting(channel, asked_ms)),
        }
    }

    async fn unsubscribe(&self, channel: &Channel) {
        self.wishes.forget(channel);
    }

    async fn publish(&self, channel: &Channel, payload: Bytes) -> Result<(), PublishError> {
        self.publisher.publish(channel, payload).await
    }

    async fn publish_all(
        &self,
        channel: &Channel,
        payloads: &[Bytes],
        key: Option<&OnceKey>,
    ) -> Result<Published, PublishError> {
        self.publisher.publish_whole(channel, payloads, key).await
    }

    fn is_live(&self, channel: &Channel) -> bool {
        self.wishes.live_channel(channel.as_str()).is_some()
    }

    fn health(&self) -> Health {
        // In this order: whoever sees a link sees what it has taken over, too.
        let silence = self.status.silence();
        let tally = self.wishes.tally();
        Health {
            connected: silence.is_some_and(|silence| silence < self.config.dead_after),
            wanted: tally.wanted,
            confirmed: tally.confirmed,
            overdue: tally.overdue,
            last_heard: silence,
            last_error: self.status.last_error(),
        }
    }
}

#[async_trait]
impl SnapshotStore for RedisBroker {
    async fn read(&self, key: &str) -> Result<Option<Stored>, SnapshotError> {
        self.snapshots.read(key).await
    }

    async fn share(&self, name: &str, instance: &str, count: u64) -> Result<u64, SnapshotError> {
        self.shares.share(name, instance, count).await
    }
}
