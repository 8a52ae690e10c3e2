//! The one task that owns the subscription's connection: it builds it, keeps it
//! proven, asks for what is wanted, and builds it again for ever.
//!
//! It never waits for Redis without a deadline. The client library's own reconnecting
//! manager is not used: it gives up for good after a long outage, hides failed
//! resubscriptions and never notices a hung server.

use std::sync::Arc;
use std::time::{Duration, Instant};

use redcast_protocol::Channel;
use redis::aio::MultiplexedConnection;
use redis::{ConnectionInfo, RedisResult};
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Interval, MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;

use super::backoff::Backoff;
use super::commands::{Commands, Done, Kind};
use super::config::RedisConfig;
use super::connect::open_subscription;
use super::heartbeat::Heartbeat;
use super::link::{Link, PushReader};
use super::locator::Locator;
use super::names::Names;
use super::proof::Proof;
use super::server::{Server, is_not_let_in};
use super::status::Status;
use super::wish::Effect;
use super::wishes::{Refusal, Wishes};
use crate::clock;
use crate::intake::Intake;

/// A link that held this long was a good one: the next loss starts a new back-off.
const GOOD_LINK: Duration = Duration::from_secs(1);

/// With this many commands on their way, new wishes wait for an answer and then go out
/// together: many clients that subscribe at once cost a few commands, not one each.
const COMMANDS_IN_FLIGHT: usize = 4;

/// Everything the task needs. It holds the only way into the queue of deliveries, so
/// that the queue closes when the task ends.
pub(super) struct Subscriber {
    /// Where Redis is.
    pub(super) locator: Locator,
    /// How messages name it.
    pub(super) server: Server,
    /// How patient to be.
    pub(super) config: Arc<RedisConfig>,
    /// How Redis channels are spelled.
    pub(super) names: Names,
    /// What is wanted.
    pub(super) wishes: Arc<Wishes>,
    /// What is wanted of streams.
    pub(super) streams: Arc<[Arc<Wishes>]>,
    /// What the canaries say.
    pub(super) proof: Arc<Proof>,
    /// What the outside sees.
    pub(super) status: Arc<Status>,
    /// Where events go.
    pub(super) intake: Intake,
}

impl Subscriber {
    /// Runs until `cancel`.
    pub(super) async fn run(self, cancel: CancellationToken) {
        let mut backoff = Backoff::new(self.config.backoff_first, self.config.backoff_cap);
        let mut outage_logged = false;
        while let Some(attempt) = cancel.run_until_cancelled(self.connect()).await {
            match attempt {
                Ok((link, place, connection)) => {
                    outage_logged = false;
                    let up_since = Instant::now();
                    self.serve((&link, &place), connection, &cancel).await;
                    if up_since.elapsed() >= GOOD_LINK {
                        backoff.reset();
                    }
                }
                Err(error) => {
                    // Several attempts a second: one line per outage is enough.
                    let reason = self.server.trouble(&error);
                    if !std::mem::replace(&mut outage_logged, true) {
                        tracing::warn!(reason, "no connection to Redis, trying on");
                    }
                    if is_not_let_in(&error) {
                        self.status.not_let_in(&reason);
                    } else {
                        self.status.link_down(&reason);
                    }
                }
            }
            self.locator.doubt();
            if cancel.run_until_cancelled(sleep(backoff.delay())).await.is_none() {
                break;
            }
        }
    }

    async fn connect(&self) -> RedisResult<(Arc<Link>, ConnectionInfo, MultiplexedConnection)> {
        let link = Arc::new(Link::new());
        let reader = PushReader {
            link: Arc::clone(&link),
            wishes: Arc::clone(&self.wishes),
            streams: Arc::clone(&self.streams),
            proof: Arc::clone(&self.proof),
            intake: self.intake.clone(),
            names: self.names.clone(),
            shard: self.locator.shard().cloned(),
        };
        let dial = |info| async move {
            open_subscription(&info, &self.config, move |push| reader.read(push)).await
        };
        let (place, connection) = self.locator.reach(dial).await?;
        link.hear(Instant::now());
        Ok((link, place, connection))
    }

    /// Uses a link until it is of no more use, then settles what its loss means.
    async fn serve(
        &self,
        (link, place): (&Arc<Link>, &ConnectionInfo),
        connection: MultiplexedConnection,
        cancel: &CancellationToken,
    ) {
        // In this order: what the link takes over counts before the link does.
        self.wishes.link_up();
        self.status.link_up(link);
        tracing::info!("connected to Redis");
        let watch = Watch::new(self, (link, place), connection);
        let reason = cancel.run_until_cancelled(watch.run()).await;
        // From here on nothing of this link counts, so whatever the next link brings
        // stands behind it in the queue.
        link.close();
        self.proof.link_lost();
        match reason {
            Some(reason) => {
                let reason = self.server.away(&reason);
                tracing::warn!(reason, "lost the connection to Redis");
                self.status.link_down(&reason);
            }
            None => self.status.link_down("shutting down"),
        }
        // A link to the wrong Redis is heard to its end, and brings nothing.
        let right_until = self.locator.right_until(place).unwrap_or_else(|| link.proven());
        self.wishes.link_lost(clock::unix_ms_of(link.proven().min(right_until)));
    }
}

/// The watch over one link. Dropping it ends its commands and closes the socket.
struct Watch<'a> {
    subscriber: &'a Subscriber,
    link: &'a Arc<Link>,
    place: &'a ConnectionInfo,
    commands: Commands,
    running: JoinSet<Done>,
    heartbeat: Heartbeat,
    /// When the PING was sent that is not answered yet.
    pinging: Option<Instant>,
    asking_for_canary: bool,
}

impl<'a> Watch<'a> {
    fn new(
        subscriber: &'a Subscriber,
        (link, place): (&'a Arc<Link>, &'a ConnectionInfo),
        connection: MultiplexedConnection,
    ) -> Self {
        let config = &subscriber.config;
        let kind = match subscriber.locator.shard() {
            Some(_) => Kind::Shard,
            None => Kind::Plain,
        };
        let commands = Commands {
            kind,
            connection,
            names: subscriber.names.clone(),
            deadline: config.response_timeout,
        };
        let heartbeat = Heartbeat::new(config.heartbeat_every, config.dead_after, Instant::now());
        let running = JoinSet::new();
        Self {
            subscriber,
            link,
            place,
            commands,
            running,
            heartbeat,
            pinging: None,
            asking_for_canary: false,
        }
    }

    /// Returns why the link is of no more use.
    async fn run(mut self) -> String {
        let config = &self.subscriber.config;
        let wishes = &self.subscriber.wishes;
        let mut beats = ticker(config.heartbeat_every);
        let mut rounds = ticker(config.ask_again_every);
        loop {
            self.send_work();
            tokio::select! {
                reason = self.link.broken() => return reason,
                reason = self.subscriber.locator.moved(self.place) => return reason,
                () = wishes.changed() => {}
                Some(done) = self.running.join_next() => {
                    if let Err(reason) = self.settle(done) {
                        return reason;
                    }
                }
                _ = beats.tick() => {
                    if !self.heartbeat.beat(Instant::now(), self.link.heard()) {
                        return "it has been silent for too long".to_owned();
                    }
                    self.ping();
                }
                _ = rounds.tick() => {
                    wishes.ask_again(Instant::now(), config.ask_again_every);
                    if self.subscriber.proof.is_deaf(Instant::now()) {
                        return "what is published does not arrive".to_owned();
                    }
                    self.ask_for_canary();
                }
            }
        }
    }

    /// Sends the commands that are due, without waiting for any of them.
    fn send_work(&mut self) {
        if self.running.len() - usize::from(self.pinging.is_some()) >= COMMANDS_IN_FLIGHT {
            return;
        }
        let work = self.subscriber.wishes.take_work(Instant::now());
        let batch = self.subscriber.config.subscribe_batch;
        for channels in work.subscribe.chunks(batch) {
            self.send(self.commands.clone().subscribe(channels.to_vec()));
        }
        for channels in work.subscribe_singly.chunks(batch) {
            self.send(self.commands.clone().subscribe_singly(channels.to_vec()));
        }
        for channels in work.unsubscribe.chunks(batch) {
            self.send(self.commands.clone().unsubscribe(channels.to_vec()));
        }
    }

    fn send(&mut self, command: impl Future<Output = Done> + Send + 'static) {
        let on_its_way = self.link.sends();
        self.running.spawn(async move {
            let done = command.await;
            drop(on_its_way);
            done
        });
    }

    /// Behind the first wishes, so that its first proof has them behind it.
    fn ask_for_canary(&mut self) {
        let proof = &self.subscriber.proof;
        if proof.needs_subscription() && !self.asking_for_canary {
            self.asking_for_canary = true;
            if let Some(shard) = self.subscriber.locator.shard() {
                proof.move_to(|name| shard.has(name));
            }
            self.send(self.commands.clone().subscribe_canary(proof.channel()));
        }
    }

    /// One unanswered PING says all that many would.
    fn ping(&mut self) {
        if self.pinging.is_none() {
            self.pinging = Some(Instant::now());
            self.send(self.commands.clone().ping());
        }
    }

    fn settle(&mut self, done: Result<Done, JoinError>) -> Result<(), String> {
        match done {
            Ok(Done::Pong) => {
                self.pinging.take().into_iter().for_each(|asked| self.link.prove(asked));
                self.link.hear(Instant::now());
            }
            Ok(Done::Canary(refusal)) => {
                self.asking_for_canary = false;
                refusal.iter().for_each(|why| self.canary_refused(why));
            }
            Ok(Done::Answered(refusals)) => self.refused(&refusals),
            Ok(Done::Broken(reason)) => return Err(reason),
            Err(error) => return Err(format!("a command failed: {error}")),
        }
        Ok(())
    }

    fn canary_refused(&self, why: &str) {
        let Subscriber { server, status, proof, locator, .. } = self.subscriber;
        if locator.shard().is_some_and(|shard| shard.has_moved(why)) {
            // It will have another name.
            return;
        }
        let what = format!("the subscription to the canary's channel {}", proof.channel());
        let sentence = server.refused(&what, why);
        status.error(&sentence);
        if proof.refused(sentence) {
            tracing::warn!(reason = why, "Redis refused the canary; this instance is not ready");
        }
    }

    fn refused(&self, refusals: &[(Channel, Refusal)]) {
        let Subscriber { server, status, wishes, intake, locator, .. } = self.subscriber;
        for (channel, refusal) in refusals {
            if locator.shard().is_some_and(|shard| shard.has_moved(&refusal.reason)) {
                // It will be asked for at the right place, and nobody needs to know.
                wishes.refused(channel, refusal);
                continue;
            }
            let what = format!("the subscription to {channel}");
            status.error(&server.refused(&what, &refusal.reason));
            self.link.between_pushes(|| match wishes.refused(channel, refusal) {
                // It is asked for every second; one line and one notice are enough.
                Effect::None => {}
                Effect::News => log_refusal(channel, refusal),
                Effect::BrokenPromise(error) => {
                    log_refusal(channel, refusal);
                    intake.refused(error);
                }
            });
        }
    }
}

fn log_refusal(channel: &Channel, refusal: &Refusal) {
    tracing::warn!(%channel, reason = refusal.reason, "Redis refused a subscription");
}

fn ticker(every: Duration) -> Interval {
    let mut ticker = interval(every);
    // After a pause of ours one tick is enough; a burst would ask Redis too much.
    ticker.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticker
}
