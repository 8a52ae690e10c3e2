//! One Redis and all that is done with it: the subscriber that listens to it, and the
//! connections that publish to it and read from it. Several make a broker of many nodes.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;

use redcast_protocol::Channel;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::config::{BrokerConfigError, HISTORY_POOL_SIZE, RedisConfig, SNAPSHOT_POOL_SIZE};
use super::locator::Locator;
use super::names::Names;
use super::pool::Pool;
use super::proof::Proof;
use super::prover::Prover;
use super::publisher::Publisher;
use super::server::Server;
use super::share::Shares;
use super::snapshot::Snapshots;
use super::status::{Links, Status};
use super::streams::{History, Outlet, Streams};
use super::subscriber::Subscriber;
use super::url::Address;
use super::wishes::{Answer, Wishes};
use crate::intake::Intake;
use crate::{DeliverySender, Health, Source, SubscribeError, Subscribed, clock};

/// One Redis as the broker uses it.
pub(super) struct Lane {
    config: Arc<RedisConfig>,
    wishes: Arc<Wishes>,
    status: Arc<Status>,
    proof: Arc<Proof>,
    streams: Streams,
    /// Publishes to it.
    pub(super) publisher: Publisher,
    /// Reads snapshots from it.
    pub(super) snapshots: Snapshots,
    /// Reads what lies further back in its streams.
    pub(super) history: History,
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
        let history = History::new(pool.beside(HISTORY_POOL_SIZE), config, metrics.clone());
        let publisher = Publisher::new(pool.clone(), config);
        let snapshots = Snapshots::new(small.clone(), config);
        let shares = Shares::new(small, config);
        let wishes = Arc::new(Wishes::new(metrics.channels.clone()));
        let status = Arc::new(Status::new(Arc::clone(links)));
        let proof = Arc::new(Proof::new(config));
        let prover = Prover { pool, proof: Arc::clone(&proof), status: Arc::clone(&status) };
        let watched = locator.watched();
        let outlet = Outlet::new(sender.clone(), metrics.clone(), config.max_event_size);
        let (streams, readers) = Streams::new(config, &locator, &server, &outlet);
        let subscriber = Subscriber {
            server,
            locator,
            config: Arc::clone(config),
            names: Names::new(&config.prefix),
            wishes: Arc::clone(&wishes),
            streams: streams.wishes(),
            proof: Arc::clone(&proof),
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
        spawn(Box::pin(subscriber.run(cancel.clone())));
        for reader in readers {
            spawn(Box::pin(reader.run(cancel.clone())));
        }
        spawn(Box::pin(prover.run(cancel.clone())));
        if let Some(primary) = watched {
            spawn(Box::pin(primary.watch(cancel.clone())));
        }
        let config = Arc::clone(config);
        Ok(Self { config, wishes, status, proof, streams, publisher, snapshots, history, shares })
    }

    /// Wants a channel's events, see [`Broker::subscribe`](crate::Broker::subscribe).
    pub(super) async fn subscribe(&self, channel: &Channel) -> Result<Subscribed, SubscribeError> {
        let asked_ms = clock::unix_ms();
        let wishes = match self.config.sources.of(channel) {
            Source::PubSub => &self.wishes,
            Source::Stream => self.streams.want(channel),
        };
        let verdict = match wishes.want(channel, asked_ms) {
            Answer::Now(subscribed) => return Ok(subscribed),
            Answer::Later(verdict) => verdict,
        };
        match timeout(self.config.subscribe_timeout, verdict).await {
            Ok(Ok(verdict)) => verdict,
            // Unsubscribed by somebody else meanwhile.
            Ok(Err(_)) => Ok(Subscribed::Pending),
            Err(_) => Ok(wishes.stop_waiting(channel, asked_ms)),
        }
    }

    /// Ends the interest in a channel.
    pub(super) fn unsubscribe(&self, channel: &Channel) {
        match self.config.sources.of(channel) {
            Source::PubSub => self.wishes.forget(channel),
            Source::Stream => self.streams.forget(channel),
        }
    }

    /// Whether a channel's events arrive.
    pub(super) fn is_live(&self, channel: &Channel) -> bool {
        match self.config.sources.of(channel) {
            Source::PubSub => self.wishes.live_channel(channel.as_str()).is_some(),
            Source::Stream => self.streams.is_live(channel),
        }
    }

    /// How it is.
    pub(super) fn health(&self) -> Health {
        // In this order: whoever sees a link sees what it has taken over, too.
        let silence = self.status.silence();
        let tally = self.wishes.tally() + self.streams.tally();
        let verdict = self.status.judge(&self.proof, Instant::now());
        let last_error = self.streams.last_error().or_else(|| self.status.last_error());
        Health {
            readiness: verdict.readiness,
            connected: silence.is_some_and(|silence| silence < self.config.dead_after),
            wanted: tally.wanted,
            confirmed: tally.confirmed,
            overdue: tally.overdue,
            last_heard: silence,
            last_proof: verdict.age,
            proof_error: verdict.trouble,
            last_error,
        }
    }
}
