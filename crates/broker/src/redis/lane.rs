//! One Redis and all that is done with it: the subscriber that listens to it, and the
//! connections that publish to it and read from it. Several make a broker of many nodes.

use std::pin::Pin;
use std::sync::Arc;

use redcast_protocol::Channel;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::cluster::{Placer, Shards};
use super::config::{BrokerConfigError, RedisConfig, SNAPSHOT_POOL_SIZE};
use super::lanes::together;
use super::locator::Locator;
use super::names::Names;
use super::pool::Pool;
use super::publisher::Publisher;
use super::server::Server;
use super::share::Shares;
use super::snapshot::Snapshots;
use super::status::{Links, Status};
use super::subscriber::Subscriber;
use super::url::Address;
use super::wishes::{Answer, Wishes};
use crate::intake::Intake;
use crate::{DeliverySender, Health, SubscribeError, Subscribed, clock};

/// One Redis as the broker uses it.
pub(super) struct Lane {
    config: Arc<RedisConfig>,
    wishes: Arc<Wishes>,
    /// What is wanted of a cluster's primaries, each for its own slots.
    shards: Option<Arc<Shards>>,
    status: Arc<Status>,
    /// Publishes to it.
    pub(super) publisher: Publisher,
    /// Reads snapshots from it.
    pub(super) snapshots: Snapshots,
    /// Tells the other instances counts through it.
    pub(super) shares: Shares,
}

impl Lane {
    /// Starts what listens to the Redis at `address`, until `cancel`.
    pub(super) fn start(
        (address, url): (&Address, &str),
        config: &Arc<RedisConfig>,
        links: &Arc<Links>,
        sender: DeliverySender,
        (tracker, cancel): (&TaskTracker, &CancellationToken),
    ) -> Result<Self, BrokerConfigError> {
        let metrics = links.metrics();
        let locator = Locator::new(address, config)?;
        let server = Server::of(address, url);
        let pool = Pool::new(locator.clone(), server.clone(), config);
        let small = pool.beside(SNAPSHOT_POOL_SIZE);
        let publisher = Publisher::new(pool, config);
        let snapshots = Snapshots::new(small.clone(), config);
        let shares = Shares::new(small, config);
        let wishes = Arc::new(Wishes::new(metrics.channels.clone()));
        let status = Arc::new(Status::new(Arc::clone(links)));
        let (watched, topology) = (locator.watched(), locator.topology().map(Arc::clone));
        let subscriber = Subscriber {
            server,
            locator,
            config: Arc::clone(config),
            names: Names::new(&config.prefix),
            wishes: Arc::clone(&wishes),
            status: Arc::clone(&status),
            intake: Intake::new(sender, metrics.clone(), config.max_event_size),
        };
        // Whichever of them ends, by a panic even, ends the lanes: the process should end,
        // and a queue that some lanes still feed would not tell.
        let spawn = |task: Pin<Box<dyn Future<Output = ()> + Send>>| {
            let end = cancel.clone().drop_guard();
            tracker.spawn(async move {
                task.await;
                drop(end);
            })
        };
        let mut shards = None;
        if let Some(topology) = topology {
            spawn(Box::pin(Arc::clone(&topology).keep(cancel.clone())));
            if config.sharded {
                let placer = Placer::new(topology, &subscriber, links, tracker);
                shards = Some(Arc::clone(&placer.shards));
                spawn(Box::pin(placer.run(cancel.clone())));
            }
        }
        spawn(Box::pin(subscriber.run(cancel.clone())));
        if let Some(primary) = watched {
            spawn(Box::pin(primary.watch(cancel.clone())));
        }
        let config = Arc::clone(config);
        Ok(Self { config, wishes, shards, status, publisher, snapshots, shares })
    }

    /// Does something with the wishes among which that for `channel` is.
    fn with<R>(&self, channel: &Channel, work: impl FnOnce(&Wishes) -> R) -> R {
        match &self.shards {
            Some(shards) => shards.with(channel, work),
            None => work(&self.wishes),
        }
    }

    /// Wants a pub/sub channel's events, see [`Broker::subscribe`](crate::Broker::subscribe).
    pub(super) async fn subscribe(&self, channel: &Channel) -> Result<Subscribed, SubscribeError> {
        let asked_ms = clock::unix_ms();
        let verdict = match self.with(channel, |wishes| wishes.want(channel, asked_ms)) {
            Answer::Now(subscribed) => return Ok(subscribed),
            Answer::Later(verdict) => verdict,
        };
        match timeout(self.config.subscribe_timeout, verdict).await {
            Ok(Ok(verdict)) => verdict,
            // Unsubscribed by somebody else meanwhile.
            Ok(Err(_)) => Ok(Subscribed::Pending),
            Err(_) => Ok(self.with(channel, |wishes| wishes.stop_waiting(channel, asked_ms))),
        }
    }

    /// Ends the interest in a channel.
    pub(super) fn unsubscribe(&self, channel: &Channel) {
        self.with(channel, |wishes| wishes.forget(channel));
    }

    /// Whether a channel's events arrive.
    pub(super) fn is_live(&self, channel: &Channel) -> bool {
        self.with(channel, |wishes| wishes.live_channel(channel.as_str()).is_some())
    }

    /// How it is.
    pub(super) fn health(&self) -> Health {
        // In this order: whoever sees a link sees what it has taken over, too.
        let silence = self.status.silence();
        let tally = self.wishes.tally();
        let own = Health {
            connected: silence.is_some_and(|silence| silence < self.config.dead_after),
            wanted: tally.wanted,
            confirmed: tally.confirmed,
            overdue: tally.overdue,
            last_heard: silence,
            last_error: self.status.last_error(),
        };
        let shards = self.shards.iter().map(|shards| shards.health(self.config.dead_after));
        together(std::iter::once(own).chain(shards))
    }
}
