//! One Redis and all that is done with it: the subscriber that listens to it, and the
//! connections that publish to it and read from it. Several make a broker of many nodes.

use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use redcast_protocol::Channel;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::cluster::{Shards, follow};
use super::config::{BrokerConfigError, HISTORY_POOL_SIZE, RedisConfig, SNAPSHOT_POOL_SIZE};
use super::lanes::together;
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
use super::streams::{History, Outlet, Reader, Streams};
use super::subscriber::Subscriber;
use super::url::Address;
use super::wish::Tally;
use super::wishes::{Answer, Wishes};
use crate::intake::Intake;
use crate::{DeliverySender, Health, Source, SubscribeError, Subscribed, clock};

/// What has to be run for a Redis.
pub(super) type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// One Redis as the broker uses it.
pub(super) struct Lane {
    config: Arc<RedisConfig>,
    wishes: Arc<Wishes>,
    /// What is wanted of a cluster's primaries, each for its own slots.
    shards: Option<Arc<Shards>>,
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
        let history = History::new(pool.beside(HISTORY_POOL_SIZE), config);
        let publisher = Publisher::new(pool.clone(), config);
        let snapshots = Snapshots::new(small.clone(), config);
        let shares = Shares::new(small, config);
        let wishes = Arc::new(Wishes::new(metrics.channels.clone()));
        let status = Arc::new(Status::new(Arc::clone(links)));
        let proof = Arc::new(Proof::new(config));
        let (watched, topology) = (locator.watched(), locator.topology().map(Arc::clone));
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
        let (its_proof, its_status) = (Arc::clone(&proof), Arc::clone(&status));
        let prover =
            Prover { pool: pool.clone(), proof: its_proof, status: its_status, sharded: false };
        let (mut tasks, mut shards) = (Vec::new(), None);
        if let Some(topology) = topology {
            let followed = follow(&topology, (&subscriber, &pool), links, (tracker, cancel));
            shards = followed.shards;
            tasks.extend(followed.tasks);
        }
        tasks.extend(listening(subscriber, prover, readers, cancel));
        tasks.extend(watched.map(|primary| Box::pin(primary.watch(cancel.clone())) as Task));
        spawn(tasks, tracker, cancel);
        let config = Arc::clone(config);
        Ok(Self {
            config,
            wishes,
            shards,
            status,
            proof,
            streams,
            publisher,
            snapshots,
            history,
            shares,
        })
    }

    /// Does something with the wishes among which that for a pub/sub channel is.
    fn with<R>(&self, channel: &Channel, work: impl FnOnce(&Wishes) -> R) -> R {
        match &self.shards {
            Some(shards) => shards.with(channel, work),
            None => work(&self.wishes),
        }
    }

    /// Wants a channel's events, see [`Broker::subscribe`](crate::Broker::subscribe).
    pub(super) async fn subscribe(&self, channel: &Channel) -> Result<Subscribed, SubscribeError> {
        let asked_ms = clock::unix_ms();
        let stream = match self.config.sources.of(channel) {
            Source::PubSub => None,
            Source::Stream => Some(self.streams.want(channel)),
        };
        let answer = match stream {
            Some(wishes) => wishes.want(channel, asked_ms),
            None => self.with(channel, |wishes| wishes.want(channel, asked_ms)),
        };
        let verdict = match answer {
            Answer::Now(subscribed) => return Ok(subscribed),
            Answer::Later(verdict) => verdict,
        };
        match timeout(self.config.subscribe_timeout, verdict).await {
            Ok(Ok(verdict)) => {
                if stream.is_some() && verdict.is_err() {
                    self.streams.refused(channel);
                }
                verdict
            }
            // Unsubscribed by somebody else meanwhile.
            Ok(Err(_)) => Ok(Subscribed::Pending),
            Err(_) => Ok(match stream {
                Some(wishes) => wishes.stop_waiting(channel, asked_ms),
                None => self.with(channel, |wishes| wishes.stop_waiting(channel, asked_ms)),
            }),
        }
    }

    /// Ends the interest in a channel.
    pub(super) fn unsubscribe(&self, channel: &Channel) {
        match self.config.sources.of(channel) {
            Source::PubSub => self.with(channel, |wishes| wishes.forget(channel)),
            Source::Stream => self.streams.forget(channel),
        }
    }

    /// Whether a channel's events arrive.
    pub(super) fn is_live(&self, channel: &Channel) -> bool {
        match self.config.sources.of(channel) {
            Source::PubSub => {
                self.with(channel, |wishes| wishes.live_channel(channel.as_str()).is_some())
            }
            Source::Stream => self.streams.is_live(channel),
        }
    }

    /// How it is.
    pub(super) fn health(&self) -> Health {
        let tally = || self.wishes.tally() + self.streams.tally();
        let own = health(&self.status, &self.proof, tally, self.config.dead_after);
        let own =
            Health { last_error: self.streams.last_error().or(own.last_error.clone()), ..own };
        let shards = self.shards.iter().flat_map(|shards| shards.health(self.config.dead_after));
        together(std::iter::once(own).chain(shards))
    }
}

/// What listens, and proves that it does.
fn listening(
    subscriber: Subscriber,
    prover: Prover,
    readers: Vec<Reader>,
    cancel: &CancellationToken,
) -> Vec<Task> {
    let mut tasks: Vec<Task> =
        vec![Box::pin(subscriber.run(cancel.clone())), Box::pin(prover.run(cancel.clone()))];
    for reader in readers {
        tasks.push(Box::pin(reader.run(cancel.clone())));
    }
    tasks
}

/// Runs `tasks` until `cancel`. Whichever of them ends, by a panic even, ends the lanes: the
/// process should end, and a queue that some lanes still feed would not tell.
fn spawn(tasks: Vec<Task>, tracker: &TaskTracker, cancel: &CancellationToken) {
    for task in tasks {
        let end = cancel.clone().drop_guard();
        tracker.spawn(async move {
            task.await;
            drop(end);
        });
    }
}

/// How one link is and what is wanted of it.
pub(super) fn health(
    status: &Status,
    proof: &Proof,
    tally: impl FnOnce() -> Tally,
    dead_after: Duration,
) -> Health {
    // In this order: whoever sees a link sees what it has taken over, too.
    let silence = status.silence();
    let tally = tally();
    let verdict = status.judge(proof, Instant::now());
    Health {
        readiness: verdict.readiness,
        connected: silence.is_some_and(|silence| silence < dead_after),
        wanted: tally.wanted,
        confirmed: tally.confirmed,
        overdue: tally.overdue,
        last_heard: silence,
        last_proof: verdict.age,
        proof_error: verdict.trouble,
        last_error: status.last_error(),
    }
}
