//! One Redis and all that is done with it: the subscriber that listens to it, and the
//! connections that publish to it and read from it. Several make a broker of many nodes.

use std::sync::Arc;

use redcast_protocol::Channel;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::cluster::{Placer, Shards, Topology};
use super::config::{BrokerConfigError, RedisConfig, SNAPSHOT_POOL_SIZE};
use super::connect::with_socket_options;
use super::locator::Locator;
use super::names::Names;
use super::pool::Pool;
use super::publisher::Publisher;
use super::server::Server;
use super::share::Shares;
use super::snapshot::Snapshots;
use super::status::{Links, Status};
use super::subscriber::Subscriber;
use super::wishes::{Answer, Wishes};
use crate::intake::Intake;
use crate::{BrokerMetrics, DeliverySender, Health, SubscribeError, Subscribed, clock};

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
    /// Starts what listens to it on `tracker`, until `cancel`.
    pub(super) fn start(
        config: Arc<RedisConfig>,
        metrics: BrokerMetrics,
        sender: DeliverySender,
        (tracker, cancel): (&TaskTracker, CancellationToken),
    ) -> Result<Self, BrokerConfigError> {
        let topology = config.cluster()?.map(Topology::new);
        let (locator, server, pool) = match &topology {
            Some(topology) => (
                Locator::Cluster(Arc::clone(topology)),
                topology.server(),
                Pool::of_cluster(Arc::clone(topology), &config),
            ),
            None => {
                let info = with_socket_options(config.connection_info()?);
                let pool = Pool::new(info.clone(), &config)?;
                let server = Server::of(&info, &config.url);
                (Locator::Fixed(Box::new(info)), server, pool)
            }
        };
        let small = pool.beside(SNAPSHOT_POOL_SIZE)?;
        let publisher = Publisher::new(pool, &config);
        let snapshots = Snapshots::new(small.clone(), &config);
        let shares = Shares::new(small, &config);
        let wishes = Arc::new(Wishes::new(metrics.channels.clone()));
        let links = Links::new(1, metrics.clone());
        let status = Arc::new(Status::new(Arc::clone(&links)));
        let gauge = metrics.channels.clone();
        let subscriber = Subscriber {
            server,
            locator,
            config: Arc::clone(&config),
            names: Names::new(&config.prefix),
            wishes: Arc::clone(&wishes),
            status: Arc::clone(&status),
            intake: Intake::new(sender, metrics, config.max_event_size),
        };
        // Whichever of them ends, by a panic even, ends the others: the process should end,
        // and a queue that some of them still feed would not tell.
        let together = cancel.child_token();
        let mut shards = None;
        if let Some(topology) = topology {
            spawn(tracker, &together, Arc::clone(&topology).keep(together.clone()));
            if config.sharded {
                let placer = Placer::new(topology, &subscriber, (links, gauge), tracker);
                shards = Some(Arc::clone(&placer.shards));
                spawn(tracker, &together, placer.run(together.clone()));
            }
        }
        spawn(tracker, &together, subscriber.run(together.clone()));
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
        match &self.shards {
            Some(shards) => both(own, shards.health(self.config.dead_after)),
            None => own,
        }
    }
}

/// Runs `task` on `tracker`; when it ends, by a panic even, so does everything until
/// `together`.
fn spawn(
    tracker: &TaskTracker,
    together: &CancellationToken,
    task: impl Future<Output = ()> + Send + 'static,
) {
    let end_all = together.clone().drop_guard();
    tracker.spawn(async move {
        task.await;
        drop(end_all);
    });
}

/// How two sorts of links are together: as well as the worse of them.
fn both(one: Health, other: Health) -> Health {
    let silences = one.last_heard.zip(other.last_heard);
    // Who looks for what is wrong now is not helped by what was wrong elsewhere.
    let last_error = match (one.is_ready(), other.is_ready()) {
        (true, false) => other.last_error,
        (false, true) => one.last_error,
        _ => one.last_error.or(other.last_error),
    };
    Health {
        connected: one.connected && other.connected,
        wanted: one.wanted + other.wanted,
        confirmed: one.confirmed + other.confirmed,
        overdue: one.overdue + other.overdue,
        last_heard: silences.map(|(one, other)| one.max(other)),
        last_error,
    }
}
