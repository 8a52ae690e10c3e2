//! Messages of channels with `flush_every`, held in their shard until the channel's
//! moment, so that a member gets those of a whole interval with one write.
//!
//! Moments are the multiples of the interval since the shard was made. So the channels
//! of one interval, and of intervals that divide it, are due together: a member of ten
//! of them is written to once.
//!
//! What is held has left the shard's queue and given its room there back. Otherwise
//! what waits for a moment a minute away could fill the queue, and the fan-out would
//! wait for room on behalf of every channel. So memory has a bound of its own here:
//! a channel may hold the bytes of a turn, and all together [a share](QUEUE_SHARE) of
//! what the queue may.
//!
//! A member of all channels gets all that is held in one moment, and no client reads
//! in that moment. So all together hold no more than [a share](OUTBOX_SHARE) of an
//! outbox either: else the holding alone would close clients that are not slow.
//! Reaching a bound waits for nobody: it ends the holding early.

use std::collections::{BTreeSet, HashMap};
use std::ops::{AddAssign, SubAssign};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use crate::backlog::Kind;
use crate::broadcast::{Broadcast, ChannelKey};
use crate::config::HubConfig;
use crate::turn::{TURN_BYTES, Turn};
use crate::waiting;

/// The part of the queue's bytes that may be held beside it.
const QUEUE_SHARE: usize = 4;
/// The part of an outbox that one moment may take. The rest is for what comes in that
/// moment anyway.
const OUTBOX_SHARE: usize = 2;
/// What a held message costs beside its frames. Twice its size, because a list that
/// grows doubles.
const MESSAGE_OVERHEAD: usize = 2 * size_of::<Broadcast>();
/// What a channel costs beside that. A list begins with room for four messages, of
/// which the first one is charged two. A map that has just grown is a little less than
/// half full, and so is each node of a tree that has just been split.
const CHANNEL_OVERHEAD: usize = 2 * size_of::<Broadcast>()
    + (size_of::<(ChannelKey, HeldChannel)>() + 1) * 16 / 7
    + size_of::<(Instant, ChannelKey)>() * 3;

pub(crate) struct Held {
    made: Instant,
    limit: Cost,
    cost: Cost,
    /// Only channels that hold something.
    channels: HashMap<ChannelKey, HeldChannel>,
    /// Each of them once, the next to be due first.
    moments: BTreeSet<(Instant, ChannelKey)>,
    ended: bool,
}

struct HeldChannel {
    moment: Instant,
    cost: Cost,
    messages: Vec<Broadcast>,
}

/// What is charged for held messages, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Cost {
    memory: usize,
    /// Of the outbox of a member that gets all of them, in the largest encoding.
    outbox: usize,
}

/// Which messages are held no longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Release {
    /// Those whose moment has come.
    Due(Instant),
    /// Those of one channel.
    Channel(ChannelKey),
    All,
}

impl Held {
    /// Holds nothing yet.
    pub(crate) fn new(config: &HubConfig) -> Self {
        let memory = config.queue_bytes / QUEUE_SHARE;
        let outbox = config.outbox_limit / OUTBOX_SHARE;
        Self {
            made: Instant::now(),
            limit: Cost { memory, outbox },
            cost: Cost::default(),
            channels: HashMap::new(),
            moments: BTreeSet::new(),
            ended: false,
        }
    }

    /// When the shard must look next; none while nothing is held, so that its timer
    /// does not wake for nothing.
    pub(crate) fn next_moment(&self) -> Option<Instant> {
        self.moments.first().map(|(moment, _)| *moment)
    }

    /// Over how long this message's channel gathers, if it does.
    pub(crate) fn interval(&self, broadcast: &Broadcast) -> Option<Duration> {
        broadcast.flush_every.filter(|_| !self.ended)
    }

    /// Holds one more of a channel that gathers over `every`; answers what can't wait
    /// any longer because a bound is reached.
    pub(crate) fn hold(&mut self, broadcast: Broadcast, every: Duration) -> Option<Release> {
        let key = broadcast.channel;
        let mut cost = Cost::of(&broadcast);
        let channel = self.channels.entry(key).or_insert_with(|| {
            let moment = moment_after(self.made, Instant::now(), every);
            self.moments.insert((moment, key));
            cost.memory += CHANNEL_OVERHEAD;
            HeldChannel { moment, cost: Cost::default(), messages: Vec::new() }
        });
        channel.messages.push(broadcast);
        channel.cost += cost;
        self.cost += cost;
        if self.cost.memory >= self.limit.memory || self.cost.outbox >= self.limit.outbox {
            return Some(Release::All);
        }
        (channel.cost.memory >= TURN_BYTES).then_some(Release::Channel(key))
    }

    /// Whether [`Self::release`] would find anything.
    pub(crate) fn has(&self, which: Release) -> bool {
        match which {
            Release::Due(now) => self.next_moment().is_some_and(|moment| moment <= now),
            Release::Channel(channel) => self.channels.contains_key(&channel),
            Release::All => !self.channels.is_empty(),
        }
    }

    /// Puts messages into a turn, each channel's in order. The turn may become larger
    /// than others, as far as the bounds of this room go: who is a member of many
    /// channels is to be written to once.
    pub(crate) fn release(&mut self, which: Release, turn: &mut Turn) {
        if let Release::Channel(channel) = which {
            return self.release_channel(channel, turn);
        }
        while let Some((moment, channel)) = self.moments.first().copied() {
            if matches!(which, Release::Due(now) if now < moment) {
                return;
            }
            self.release_channel(channel, turn);
        }
    }

    fn release_channel(&mut self, key: ChannelKey, turn: &mut Turn) {
        let Some(channel) = self.channels.remove(&key) else { return };
        self.moments.remove(&(channel.moment, key));
        self.cost -= channel.cost;
        for broadcast in channel.messages {
            turn.add(broadcast);
        }
    }

    /// From now on nothing is held any more; what is held must be released.
    pub(crate) fn end(&mut self) {
        self.ended = true;
    }
}

impl Cost {
    fn of(broadcast: &Broadcast) -> Self {
        let kind = Kind::of(broadcast);
        let cursor = broadcast.cursor.as_ref().map_or(0, Bytes::len);
        Self {
            memory: broadcast.frames.held_bytes() + cursor + MESSAGE_OVERHEAD,
            outbox: broadcast.frames.largest().map_or(0, |frame| waiting::cost(frame, kind)),
        }
    }
}

impl AddAssign for Cost {
    fn add_assign(&mut self, more: Self) {
        self.memory += more.memory;
        self.outbox += more.outbox;
    }
}

impl SubAssign for Cost {
    fn sub_assign(&mut self, less: Self) {
        self.memory -= less.memory;
        self.outbox -= less.outbox;
    }
}

/// The first multiple of `every` since `made` that is later than `now`.
fn moment_after(made: Instant, now: Instant, every: Duration) -> Instant {
    let every_ns = every.as_nanos().max(1);
    let since = now.saturating_duration_since(made);
    let left_ns = every_ns - since.as_nanos() % every_ns;
    now + Duration::from_nanos(u64::try_from(left_ns).unwrap_or(u64::MAX))
}

#[cfg(test)]
#[path = "held_tests.rs"]
mod tests;
