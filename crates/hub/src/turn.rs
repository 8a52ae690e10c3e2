//! A turn: the broadcasts a shard found waiting, written to each member that
//! wants any of them with one call.

use crate::broadcast::Broadcast;
use crate::joined::Joined;
use crate::outbox::{Delivered, Share};
use crate::shard::Shard;

/// After this many writes the thread's other tasks get a chance: the subscriber
/// must read, and a session must flush.
const WRITES_PER_YIELD: usize = 128;
/// Bytes of one turn: more than a socket takes at once would be joined in vain.
pub(crate) const TURN_BYTES: usize = 256 << 10;
/// Room for messages that is kept between turns; a moment at which much was held may
/// need more.
const TURN_EVENTS: usize = 4096;
/// Links of one turn; a bound, or many wide channels would take a gigabyte.
const TURN_LINKS: usize = 1 << 18;
/// The end of a member's chain of links.
pub(crate) const END: u32 = u32::MAX;

/// Buffers that live as long as the shard, so that a turn allocates nothing.
#[derive(Default)]
pub(crate) struct Turn {
    events: Vec<Broadcast>,
    picks: Vec<u32>,
    joined: Joined,
    /// Chains of event numbers, newest first, one chain per member.
    links: Vec<(u32, u32)>,
    touched: Vec<u32>,
    done: Tally,
    writes: usize,
    bytes: usize,
}

/// What a turn achieved, over all members.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Deliveries.
    pub(crate) events: u64,
    /// Bytes that sockets took at once.
    pub(crate) bytes: u64,
    /// Members that got at least one event.
    pub(crate) shares: u64,
}

impl Turn {
    /// Adds a message; answers whether the turn is full and should run.
    pub(crate) fn add(&mut self, broadcast: Broadcast) -> bool {
        self.bytes += broadcast.frames.held_bytes();
        self.events.push(broadcast);
        self.bytes >= TURN_BYTES
    }

    /// Delivers what was added and forgets it.
    pub(crate) async fn run(&mut self, shard: &mut Shard) -> Tally {
        let Some(first) = self.events.first() else { return Tally::default() };
        let channel = first.channel;
        if self.events.iter().all(|event| event.channel == channel) {
            self.run_one_channel(shard).await;
        } else {
            self.run_many_channels(shard).await;
        }
        let done = self.account(shard);
        self.events.clear();
        self.events.shrink_to(TURN_EVENTS);
        self.bytes = 0;
        done
    }

    /// All members get the same frames: one joined buffer per encoding serves all.
    async fn run_one_channel(&mut self, shard: &mut Shard) {
        self.picks.clear();
        self.picks.extend(0..self.events.len() as u32);
        let Some(members) =
            self.events.first().and_then(|event| shard.channels.get(&event.channel))
        else {
            return;
        };
        for slot in members {
            let member = &shard.members[*slot as usize].member;
            let joined = self.joined.of(&self.events, member.encoding());
            self.done +=
                member.deliver(&Share { events: &self.events, picks: &self.picks, joined });
            breathe(&mut self.writes).await;
        }
        self.joined.clear();
    }

    /// Each member's share is collected as a chain of links, then written at once.
    async fn run_many_channels(&mut self, shard: &mut Shard) {
        for number in 0..self.events.len() {
            self.link(number, shard);
            if self.links.len() >= TURN_LINKS {
                self.deliver_linked(shard).await;
            }
        }
        self.deliver_linked(shard).await;
    }

    fn link(&mut self, number: usize, shard: &mut Shard) {
        let Some(members) = shard.channels.get(&self.events[number].channel) else { return };
        for slot in members {
            let seated = &mut shard.members[*slot as usize];
            if seated.chain == END {
                self.touched.push(*slot);
            }
            self.links.push((number as u32, seated.chain));
            seated.chain = self.links.len() as u32 - 1;
        }
    }

    async fn deliver_linked(&mut self, shard: &mut Shard) {
        for slot in &self.touched {
            let seated = &mut shard.members[*slot as usize];
            let mut link = std::mem::replace(&mut seated.chain, END);
            self.picks.clear();
            while link != END {
                let (number, older) = self.links[link as usize];
                self.picks.push(number);
                link = older;
            }
            self.picks.reverse();
            let share = Share { events: &self.events, picks: &self.picks, joined: None };
            self.done += seated.member.deliver(&share);
            breathe(&mut self.writes).await;
        }
        self.links.clear();
        self.touched.clear();
    }

    // Once per turn: an atomic per delivery would cost as much as the copy.
    fn account(&mut self, shard: &mut Shard) -> Tally {
        for event in &mut self.events {
            shard.cursors.note(event.channel, event.cursor.take());
        }
        let metrics = &shard.common.metrics;
        let done = std::mem::take(&mut self.done);
        metrics.delivered.inc_by(done.events);
        metrics.bytes_out.inc_by(done.bytes);
        for received in self.events.iter().filter_map(|event| event.received) {
            metrics.delivery_latency.observe(received.elapsed().as_secs_f64());
        }
        done
    }
}

impl std::ops::AddAssign<Delivered> for Tally {
    fn add_assign(&mut self, share: Delivered) {
        self.events += share.events;
        self.bytes += share.bytes;
        self.shares += u64::from(share.events > 0);
    }
}

pub(crate) async fn breathe(writes: &mut usize) {
    *writes += 1;
    if *writes >= WRITES_PER_YIELD {
        *writes = 0;
        tokio::task::yield_now().await;
    }
}

#[cfg(test)]
#[path = "turn_tests.rs"]
mod tests;
