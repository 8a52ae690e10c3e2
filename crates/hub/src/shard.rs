//! A shard: the task that alone touches its members' lists.
//!
//! It takes all waiting messages at once, runs the broadcasts among them as one
//! [turn](crate::turn::Turn), and looks after pings and idle time-outs on one timer.
//! Broadcasts of channels with `flush_every` are [held](crate::held) before their turn.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use redcast_protocol::CloseCode;
use redcast_wire::ping_frame;
use slab::Slab;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Interval, MissedTickBehavior, interval};

use crate::broadcast::{ChannelKey, Form};
use crate::connection::{Common, Member};
use crate::cursors::Cursors;
use crate::held::{Held, Release};
use crate::hub::{Desk, Message};
use crate::turn::{END, Tally, Turn, breathe};

/// Messages taken from the queue at once.
const TAKE: usize = 1024;

/// One shard's work; run it to the end of the process.
pub struct ShardTask {
    desk: Arc<Desk>,
    waiting: mpsc::Receiver<Message>,
    shard: Shard,
    held: Held,
    ping: Bytes,
    phase: u32,
}

/// The members and who of them listens to what.
pub(crate) struct Shard {
    pub(crate) common: Arc<Common>,
    pub(crate) members: Slab<Seated>,
    pub(crate) channels: HashMap<ChannelKey, Vec<u32>>,
    pub(crate) cursors: Cursors,
}

pub(crate) struct Seated {
    pub(crate) member: Arc<Member>,
    channels: Vec<ChannelKey>,
    /// Last link of this member's chain within the present turn.
    pub(crate) chain: u32,
}

impl ShardTask {
    pub(crate) fn new(
        common: Arc<Common>,
        desk: Arc<Desk>,
        waiting: mpsc::Receiver<Message>,
    ) -> Self {
        // The slots fill from 0, so of few members the first is pinged half a round
        // after the start, and not at once: who has just come has shown that it lives.
        let phase = common.config.ping_phases() / 2;
        let held = Held::new(&common.config);
        let (members, channels, cursors) = Default::default();
        let shard = Shard { common, members, channels, cursors };
        Self { desk, waiting, shard, held, ping: ping_frame(&[]), phase }
    }

    /// Works until the hub is gone.
    pub async fn run(mut self) {
        let mut timer = timer(self.shard.common.config.tick());
        let mut turn = Turn::default();
        let mut taken = Vec::with_capacity(TAKE);
        loop {
            tokio::select! {
                count = self.waiting.recv_many(&mut taken, TAKE) => {
                    if count == 0 {
                        // Every seat is gone, so what is held has nobody to go to.
                        self.sweep();
                        return;
                    }
                    self.work(&mut taken, &mut turn).await;
                }
                () = self.desk.departure.notified() => self.sweep(),
                _ = timer.tick() => self.tick(),
                () = reached(self.held.next_moment()) => self.deliver(&mut turn).await,
                () = reached(self.shard.cursors.next_moment()) => self.tell_cursors().await,
            }
        }
    }

    async fn work(&mut self, taken: &mut Vec<Message>, turn: &mut Turn) {
        let mut freed = 0;
        for message in taken.drain(..) {
            if let Message::Broadcast { broadcast, reserved } = message {
                freed += reserved;
                if let Some(every) = self.held.interval(&broadcast) {
                    if let Some(full) = self.held.hold(broadcast, every) {
                        self.release(full, turn).await;
                    }
                } else if turn.add(broadcast) {
                    self.deliver(turn).await;
                }
                continue;
            }
            // What changes the lists must see the events before it delivered.
            self.deliver(turn).await;
            if let Message::JoinAll { channels, .. } = &message {
                for channel in channels {
                    self.release(Release::Channel(*channel), turn).await;
                }
            } else if let Some(before) = self.released_by(&message) {
                self.release(before, turn).await;
            }
            self.shard.apply(message);
        }
        self.deliver(turn).await;
        self.desk.room.add_permits(freed);
    }

    /// What is held that a message must find delivered: who joins gets nothing older
    /// than the acknowledgement, and who leaves gets nothing after it.
    fn released_by(&mut self, message: &Message) -> Option<Release> {
        match message {
            Message::Join { channel, .. } | Message::Leave { channel, .. } => {
                Some(Release::Channel(*channel))
            }
            Message::EndHolding => {
                self.held.end();
                Some(Release::All)
            }
            Message::Broadcast { .. }
            | Message::Enter(_)
            | Message::JoinAll { .. }
            | Message::GiveBack { .. }
            | Message::Members(_) => None,
        }
    }

    /// Delivers the turn, and what has become due by then: a busy queue must not keep
    /// a moment waiting.
    async fn deliver(&mut self, turn: &mut Turn) {
        self.run_turn(turn).await;
        if self.held.next_moment().is_some() {
            self.release(Release::Due(tokio::time::Instant::now()), turn).await;
        }
    }

    /// Delivers what was held, as a turn of its own: every share of it is one that
    /// `flush_every` has brought together, which is what is counted.
    async fn release(&mut self, which: Release, turn: &mut Turn) {
        if !self.held.has(which) {
            return;
        }
        self.run_turn(turn).await;
        self.held.release(which, turn);
        let done = self.run_turn(turn).await;
        self.shard.common.metrics.coalesced.inc_by(done.events.saturating_sub(done.shares));
    }

    async fn tell_cursors(&mut self) {
        let mut told = 0;
        for (channel, frame) in self.shard.cursors.take() {
            let Some(members) = self.shard.channels.get(&channel) else { continue };
            for slot in members {
                let member = &self.shard.members[*slot as usize].member;
                if member.encoding().form == Form::Tracked {
                    member.send(&frame);
                    breathe(&mut told).await;
                }
            }
        }
    }

    // The rest between turns, because under overload one batch may hold many: who
    // left must not keep its descriptor, nor the timer seem stuck, until all are done.
    async fn run_turn(&mut self, turn: &mut Turn) -> Tally {
        let done = turn.run(&mut self.shard).await;
        self.sweep();
        let silence = self.desk.ticked.lock().elapsed();
        if silence > self.shard.common.config.tick() * 2 {
            self.tick();
        }
        done
    }

    fn sweep(&mut self) {
        let departed = std::mem::take(&mut *self.desk.departed.lock());
        if !departed.is_empty() {
            self.shard.remove(&departed);
        }
    }

    fn tick(&mut self) {
        *self.desk.ticked.lock() = Instant::now();
        let phases = self.shard.common.config.ping_phases();
        self.phase = (self.phase + 1) % phases;
        let idle_timeout = self.shard.common.config.idle_timeout;
        for (slot, seated) in &self.shard.members {
            if seated.member.idle_for() > idle_timeout {
                let code = CloseCode::PongTimeout;
                seated.member.close(code, code.reason());
            } else if slot as u32 % phases == self.phase {
                seated.member.ping(&self.ping);
            }
        }
    }
}

impl Drop for ShardTask {
    fn drop(&mut self) {
        // Nobody gives room back any more: whoever waits for it must learn that.
        self.desk.room.close();
    }
}

impl Shard {
    fn apply(&mut self, message: Message) {
        match message {
            Message::Broadcast { .. } => debug_assert!(false, "broadcasts belong to the turn"),
            Message::Enter(member) => self.enter(member),
            Message::Join { member, channel, then, applied } => {
                self.join(&member, channel);
                confirm(&member, then, applied);
            }
            Message::JoinAll { member, channels, then, applied } => {
                for channel in channels {
                    self.join(&member, channel);
                }
                confirm(&member, then, applied);
            }
            Message::GiveBack { member, code, reason } => {
                self.tell_all_cursors(&member);
                member.close_after_flush(code, &reason);
            }
            Message::Leave { member, channel, then, applied } => {
                self.leave(&member, channel);
                confirm(&member, then, applied);
            }
            Message::Members(answer) => {
                let members = self.members.iter().map(|(_, seated)| Arc::downgrade(&seated.member));
                // Whoever asked may have given up waiting.
                let _ = answer.send(members.collect());
            }
            // The task itself has seen to it.
            Message::EndHolding => {}
        }
    }

    fn enter(&mut self, member: Arc<Member>) {
        // A session that ended before its entry was read has been swept already.
        if member.has_departed() {
            return;
        }
        let entry = self.members.vacant_entry();
        member.set_slot(Some(entry.key()));
        entry.insert(Seated { member, channels: Vec::new(), chain: END });
    }

    fn join(&mut self, member: &Member, channel: ChannelKey) {
        let Some(slot) = member.slot() else { return };
        let seated = &mut self.members[slot];
        if seated.channels.contains(&channel) {
            return;
        }
        seated.channels.push(channel);
        self.channels.entry(channel).or_default().push(slot as u32);
        self.common.metrics.subscriptions.inc();
    }

    fn leave(&mut self, member: &Member, channel: ChannelKey) {
        let Some(slot) = member.slot() else { return };
        let channels = &mut self.members[slot].channels;
        let Some(index) = channels.iter().position(|joined| *joined == channel) else { return };
        channels.swap_remove(index);
        self.common.metrics.subscriptions.dec();
        self.retain(channel, |member| member as usize != slot);
    }

    fn tell_all_cursors(&self, member: &Member) {
        let Some(slot) = member.slot() else { return };
        for channel in &self.members[slot].channels {
            if let Some(frame) = self.cursors.due(*channel) {
                member.send(frame);
            }
        }
    }

    // One pass over each channel for all who left together, or a storm of leavers
    // would cost the square of the channel's size.
    fn remove(&mut self, departed: &[Arc<Member>]) {
        let mut affected: Vec<ChannelKey> = Vec::new();
        for member in departed {
            let Some(slot) = member.slot() else { continue };
            member.set_slot(None);
            let seated = self.members.remove(slot);
            self.common.metrics.subscriptions.sub(seated.channels.len() as i64);
            affected.extend(seated.channels);
        }
        affected.sort_unstable();
        affected.dedup();
        for channel in affected {
            let members = std::mem::take(self.channels.entry(channel).or_default());
            let staying = members.into_iter().filter(|slot| self.members.contains(*slot as usize));
            let staying = staying.collect();
            self.put_back(channel, staying);
        }
    }

    fn retain(&mut self, channel: ChannelKey, keep: impl Fn(u32) -> bool) {
        if let Some(mut members) = self.channels.remove(&channel) {
            members.retain(|slot| keep(*slot));
            self.put_back(channel, members);
        }
    }

    fn put_back(&mut self, channel: ChannelKey, members: Vec<u32>) {
        if members.is_empty() {
            self.channels.remove(&channel);
            self.cursors.forget(channel);
        } else {
            self.channels.insert(channel, members);
        }
    }
}

fn confirm(member: &Member, then: Option<Bytes>, applied: oneshot::Sender<()>) {
    if let Some(frame) = then {
        member.send(&frame);
    }
    // A session that ended meanwhile does not wait for it any more.
    let _ = applied.send(());
}

/// Waits for a moment; for ever without one.
async fn reached(moment: Option<tokio::time::Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

fn timer(every: Duration) -> Interval {
    let mut timer = interval(every);
    // After a stall one look is enough; the missed ones would all see the same.
    timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
    timer
}

#[cfg(test)]
#[path = "shard_tests.rs"]
mod tests;
