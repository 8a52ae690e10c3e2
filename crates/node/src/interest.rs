//! Which channels this instance listens to: the first local member subscribes, the
//! last one unsubscribes after a linger, and a refusal is rolled back.
//!
//! Every holder is a guard, so a session that ends in the middle of anything still
//! gives back what it held.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use redcast_broker::{Broker, Source, SubscribeError, Subscribed};
use redcast_hub::{ChannelKey, Encoding, SlowConsumer};
use redcast_protocol::Channel;
use tokio::sync::Notify;
use tokio::sync::futures::Notified;
use tokio::time::{Instant, sleep_until};

use crate::config::NodeConfig;
use crate::encodings::Encodings;
use crate::item::ItemPointer;
use crate::metrics::NodeMetrics;
use crate::stream::{Reader, Ring, Rules, StreamMetrics};

/// All channels of this instance.
pub(crate) struct Interest {
    broker: Arc<dyn Broker>,
    config: NodeConfig,
    metrics: NodeMetrics,
    shards: usize,
    channels: Mutex<HashMap<Channel, Arc<Entry>>>,
    next_key: AtomicU64,
    pub(crate) reader: Reader,
    /// Channels that lost their last holder, oldest first, each at most once, with
    /// the time to look at it.
    idle: Mutex<VecDeque<(Instant, Arc<Entry>)>>,
    became_idle: Notify,
}

/// One channel of this instance.
pub(crate) struct Entry {
    pub(crate) key: ChannelKey,
    pub(crate) channel: Channel,
    pub(crate) policy: SlowConsumer,
    pub(crate) flush_every: Option<Duration>,
    pub(crate) latest_by: Option<ItemPointer>,
    /// The one lock that may wait for the broker: it puts a subscribe and an
    /// unsubscribe of one channel in order.
    asked: tokio::sync::Mutex<Asked>,
    /// The broker has refused it since; that can't wait for whoever holds `asked`.
    doubted: AtomicBool,
    /// Whether its events are kept, so that clients can go on where they were.
    pub(crate) is_stream: bool,
    members: Mutex<Members>,
    /// What the ring holds has changed.
    moved: Notify,
}

/// What the broker was told about a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    /// Nothing, or it was refused or taken back.
    No,
    /// It was asked and has not agreed so far: whoever asked went away before the
    /// answer, or was told to wait, or was refused what others were promised. The
    /// broker may hold the wish, so ask again before relying on it, and take it back
    /// at the end.
    Unsettled,
    /// It was asked and the channel is live.
    Yes,
}

/// Who holds a channel, in which shards its members are, how they get events, and what
/// they were told last.
pub(crate) struct Members {
    holders: usize,
    idle_since: Option<Instant>,
    queued_as_idle: bool,
    encodings: Encodings,
    shards: Box<[u32]>,
    /// Under the same lock as the hand-over of events, so that who joins knows exactly
    /// which of them come before the join. Empty in a channel that is no stream.
    ring: Ring,
}

/// A connection's stake in a channel; dropping it leaves.
pub(crate) struct Membership {
    hold: Hold,
    shard: usize,
    encoding: Encoding,
}

struct Hold {
    interest: Arc<Interest>,
    entry: Arc<Entry>,
}

/// The task that unsubscribes channels whose linger is over, and lets go of what was read
/// of streams.
pub struct Reaper(pub(crate) Arc<Interest>);

impl Interest {
    pub(crate) fn new(
        broker: Arc<dyn Broker>,
        config: NodeConfig,
        metrics: NodeMetrics,
        shards: usize,
    ) -> Arc<Self> {
        let reader = Reader::new(broker.clone(), metrics.streams.clone(), config.replay.bytes);
        Arc::new(Self {
            broker,
            config,
            metrics,
            reader,
            shards,
            channels: Mutex::default(),
            next_key: AtomicU64::new(0),
            idle: Mutex::default(),
            became_idle: Notify::new(),
        })
    }

    /// Makes the channel's events arrive here, and counts the caller among its
    /// members from now on.
    pub(crate) async fn subscribe(
        self: &Arc<Self>,
        channel: &Channel,
        shard: usize,
        encoding: Encoding,
    ) -> Result<Membership, SubscribeError> {
        let hold = self.hold(channel);
        let mut asked = hold.entry.asked.lock().await;
        let doubted = hold.entry.doubted.swap(false, Ordering::Relaxed);
        if doubted || *asked != Asked::Yes {
            // Before the wait, because this future may be dropped in the middle of it.
            let before = std::mem::replace(&mut *asked, Asked::Unsettled);
            let answer = self.broker.subscribe(channel).await;
            *asked = match answer {
                Ok(Subscribed::Live) => Asked::Yes,
                Err(_) if before == Asked::No => Asked::No,
                Ok(Subscribed::Pending) | Err(_) => Asked::Unsettled,
            };
            answer.inspect_err(|_| self.metrics.subscriptions_refused.inc())?;
        }
        drop(asked);
        hold.entry.members.lock().change(shard, encoding, 1);
        Ok(Membership { hold, shard, encoding })
    }

    pub(crate) fn find(&self, channel: &Channel) -> Option<Arc<Entry>> {
        self.channels.lock().get(channel).cloned()
    }

    /// Every channel, in no particular order.
    pub(crate) fn entries(&self) -> Vec<Arc<Entry>> {
        self.channels.lock().values().cloned().collect()
    }

    fn hold(self: &Arc<Self>, channel: &Channel) -> Hold {
        let mut channels = self.channels.lock();
        let entry = channels.entry(channel.clone()).or_insert_with(|| self.entry(channel));
        // Under the map's lock, so that the reaper can't take the entry out between.
        entry.members.lock().holders += 1;
        self.metrics.channels.set(channels_len(channels.len()));
        let entry = channels[channel].clone();
        Hold { interest: self.clone(), entry }
    }

    /// A name within the hub, for a channel or for whatever else it carries.
    pub(crate) fn next_key(&self) -> ChannelKey {
        ChannelKey(self.next_key.fetch_add(1, Ordering::Relaxed))
    }

    pub(crate) fn stream_metrics(&self) -> &StreamMetrics {
        &self.metrics.streams
    }

    /// Whether a channel's events are kept.
    pub(crate) fn is_stream(&self, channel: &Channel) -> bool {
        self.broker.source(channel) == Source::Stream
    }

    /// How much of the past one client may be sent in each of so many channels.
    pub(crate) fn replay_rules(&self, channels: usize) -> Rules {
        Rules::new(self.config.replay, channels)
    }

    /// How many channels one connection may be in.
    pub(crate) fn max_subscriptions(&self) -> usize {
        self.config.max_subscriptions
    }

    fn entry(&self, channel: &Channel) -> Arc<Entry> {
        let rule = self.config.rule(channel);
        Arc::new(Entry {
            key: self.next_key(),
            channel: channel.clone(),
            policy: rule.map_or_else(SlowConsumer::default, |rule| rule.slow_consumer),
            flush_every: rule.and_then(|rule| rule.flush_every),
            latest_by: rule.and_then(|rule| rule.latest_by.clone()),
            asked: tokio::sync::Mutex::new(Asked::No),
            doubted: AtomicBool::new(false),
            members: Mutex::new(Members {
                holders: 0,
                idle_since: None,
                queued_as_idle: false,
                encodings: Encodings::default(),
                shards: vec![0; self.shards].into(),
                ring: Ring::default(),
            }),
            is_stream: self.broker.source(channel) == Source::Stream,
            moved: Notify::new(),
        })
    }

    fn release(&self, entry: &Arc<Entry>) {
        let mut members = entry.members.lock();
        members.holders -= 1;
        if members.holders > 0 {
            return;
        }
        let now = Instant::now();
        members.idle_since = Some(now);
        if !std::mem::replace(&mut members.queued_as_idle, true) {
            drop(members);
            self.idle.lock().push_back((now + self.config.linger, entry.clone()));
            self.became_idle.notify_one();
        }
    }

    /// Forgets the entry unless somebody holds it again.
    async fn reap(&self, entry: &Arc<Entry>) {
        // A holder may be waiting for the broker; the other channels must not wait too.
        if entry.members.lock().stays() {
            return;
        }
        let mut asked = entry.asked.lock().await;
        if entry.members.lock().stays() {
            return;
        }
        if std::mem::replace(&mut *asked, Asked::No) != Asked::No {
            self.broker.unsubscribe(&entry.channel).await;
            // Nobody follows the stream any more, so nobody may take this for its end.
            entry.members.lock().ring.forget();
        }
        let mut channels = self.channels.lock();
        let mut members = entry.members.lock();
        members.queued_as_idle = false;
        // Whoever came meanwhile waits for `asked` and will ask the broker again.
        if members.holders == 0 {
            channels.remove(&entry.channel);
            self.metrics.channels.set(channels_len(channels.len()));
        }
    }
}

impl Entry {
    /// The broker refuses it by now: the next one to come asks anew.
    pub(crate) fn doubt(&self) {
        self.doubted.store(true, Ordering::Relaxed);
    }

    pub(crate) fn members(&self) -> MutexGuard<'_, Members> {
        self.members.lock()
    }

    /// Ready when the ring has changed since the call.
    pub(crate) fn moved(&self) -> Notified<'_> {
        self.moved.notified()
    }

    /// The ring has changed: whoever waits looks again.
    pub(crate) fn move_on(&self) {
        self.moved.notify_waiters();
    }
}

impl Members {
    pub(crate) fn encodings(&self) -> Encodings {
        self.encodings
    }

    /// Whether anybody holds the channel, if only to join it, and how many are in it.
    pub(crate) fn count(&self) -> (bool, usize) {
        let members: u64 = self.shards.iter().map(|members| u64::from(*members)).sum();
        (self.holders > 0, usize::try_from(members).unwrap_or(usize::MAX))
    }

    pub(crate) fn ring(&self) -> &Ring {
        &self.ring
    }

    pub(crate) fn ring_mut(&mut self) -> &mut Ring {
        &mut self.ring
    }

    pub(crate) fn in_shard(&self, shard: usize) -> bool {
        self.shards.get(shard).is_some_and(|members| *members > 0)
    }

    /// Whether somebody holds it again; if so, it has left the queue of idle ones.
    fn stays(&mut self) -> bool {
        self.queued_as_idle &= self.holders == 0;
        self.holders > 0
    }

    /// When its linger ends, or none if somebody holds it.
    fn idle_until(&self, linger: Duration) -> Option<Instant> {
        self.idle_since.filter(|_| self.holders == 0).map(|since| since + linger)
    }

    fn change(&mut self, shard: usize, encoding: Encoding, by: i32) {
        self.encodings.change(encoding, by);
        if let Some(members) = self.shards.get_mut(shard) {
            *members = members.saturating_add_signed(by);
        }
    }
}

impl Membership {
    pub(crate) fn channel(&self) -> &Channel {
        &self.hold.entry.channel
    }

    pub(crate) fn key(&self) -> ChannelKey {
        self.hold.entry.key
    }

    pub(crate) fn entry(&self) -> &Arc<Entry> {
        &self.hold.entry
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        self.hold.entry.members.lock().change(self.shard, self.encoding, -1);
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.interest.release(&self.entry);
    }
}

impl Reaper {
    /// Works until the process ends.
    pub async fn run(self) {
        tokio::join!(self.0.reader.sweep(), self.reap());
    }

    async fn reap(&self) {
        let interest = &self.0;
        loop {
            let next = interest.idle.lock().pop_front();
            let Some((due, entry)) = next else {
                interest.became_idle.notified().await;
                continue;
            };
            // Never longer than the oldest one's time: those behind it come soon after.
            sleep_until(due).await;
            let until = entry.members.lock().idle_until(interest.config.linger);
            match until {
                // It was joined and left again meanwhile: its linger starts anew.
                Some(until) if until > Instant::now() => {
                    interest.idle.lock().push_back((until, entry));
                }
                _ => interest.reap(&entry).await,
            }
        }
    }
}

fn channels_len(len: usize) -> i64 {
    i64::try_from(len).unwrap_or(i64::MAX)
}

#[cfg(test)]
#[path = "interest_tests.rs"]
mod tests;
