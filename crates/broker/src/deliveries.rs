//! The bounded queue between whatever reads the broker and the fan-out.
//!
//! The sending half is called from the read path of the Redis client, so it never
//! waits: events that do not fit are counted per channel and come out as a gap. For each
//! channel a gap stands after every event that was queued before the loss and before
//! every later one.
//!
//! What can be read again, the entries of a stream, waits for room instead: it is offered
//! half of the queue, so that catching up never costs the others an event.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use parking_lot::Mutex;
use redcast_protocol::{Channel, GapReason};
use tokio::sync::Notify;

use crate::{Delivery, Gap, SubscribeError, clock};

/// How much may wait in the queue; whichever is reached first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueLimits {
    /// Deliveries of every kind.
    pub events: usize,
    /// Payload bytes of the waiting events.
    pub bytes: usize,
}

impl Default for QueueLimits {
    /// 8,192 events or 32 MiB: more than a second of work for the fan-out, and a
    /// bound that an instance can afford.
    fn default() -> Self {
        Self { events: 8192, bytes: 32 << 20 }
    }
}

/// Makes a queue: the half that is fed and the half that is read.
pub fn deliveries(limits: QueueLimits) -> (DeliverySender, Deliveries) {
    let queue = Arc::new(Queue {
        limits,
        state: Mutex::new(State { senders: 1, ..State::default() }),
        arrived: Notify::new(),
        taken: Notify::new(),
    });
    (DeliverySender { queue: Arc::clone(&queue) }, Deliveries { queue })
}

/// What became of a delivery that was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SendOutcome {
    /// It waits in the queue, or is a notice that will be told as soon as there is room.
    Queued,
    /// There was no room: the event is gone and a gap will tell.
    Lost {
        /// Whether this loss is the first of its gap.
        new_gap: bool,
    },
    /// Nobody reads any more.
    Closed,
}

/// The half that is fed.
#[derive(Debug)]
pub struct DeliverySender {
    queue: Arc<Queue>,
}

/// The half that is read.
#[derive(Debug)]
pub struct Deliveries {
    queue: Arc<Queue>,
}

#[derive(Debug)]
struct Queue {
    limits: QueueLimits,
    state: Mutex<State>,
    arrived: Notify,
    /// Something was taken, or will never be.
    taken: Notify,
}

/// Room that is kept for deliveries which may be made ready meanwhile. What was not used
/// is free again when it is dropped.
#[derive(Debug)]
pub(crate) struct Room {
    queue: Arc<Queue>,
    events: usize,
    bytes: usize,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Delivery>,
    /// Payload bytes in `waiting`.
    bytes: usize,
    /// What room is kept for.
    kept_events: usize,
    kept_bytes: usize,
    /// Notices that found no room: at most one gap per channel and reason and one
    /// refusal per channel, so the map is bounded by the number of channels.
    untold: HashMap<Channel, Vec<Delivery>>,
    senders: usize,
    receiver_gone: bool,
}

impl DeliverySender {
    /// Queues `delivery`, or counts it as lost if there is no room.
    pub fn send(&self, delivery: Delivery) -> SendOutcome {
        let mut state = self.queue.state.lock();
        if state.receiver_gone {
            return SendOutcome::Closed;
        }
        // A receiver that still has something to take needs no other wake-up.
        let was_idle = state.waiting.is_empty() && state.untold.is_empty();
        let outcome = state.push(self.queue.limits, delivery);
        drop(state);
        if was_idle {
            self.queue.arrived.notify_one();
        }
        outcome
    }

    /// Queues `delivery` as soon as there is room for it; waits as long as that takes.
    ///
    /// Cancel safe: a future dropped before it is ready has queued nothing.
    pub async fn send_in_turn(&self, delivery: Delivery) -> SendOutcome {
        self.room(1, delivery.bytes()).await.send(delivery)
    }

    /// Waits for room for so many events and bytes of payload.
    pub(crate) async fn room(&self, events: usize, bytes: usize) -> Room {
        loop {
            let taken = self.queue.taken.notified();
            if self.queue.state.lock().keep_room(self.queue.limits, events, bytes) {
                return Room { queue: Arc::clone(&self.queue), events, bytes };
            }
            taken.await;
        }
    }
}

impl Room {
    /// Queues `delivery`, which the room was kept for.
    pub(crate) fn send(&mut self, delivery: Delivery) -> SendOutcome {
        let mut state = self.queue.state.lock();
        if state.receiver_gone {
            return SendOutcome::Closed;
        }
        let (events, bytes) = (self.events.min(1), self.bytes.min(delivery.bytes()));
        state.give_back(events, bytes);
        self.events -= events;
        self.bytes -= bytes;
        let was_idle = state.waiting.is_empty() && state.untold.is_empty();
        state.append(delivery);
        drop(state);
        if was_idle {
            self.queue.arrived.notify_one();
        }
        SendOutcome::Queued
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        if self.events == 0 && self.bytes == 0 {
            return;
        }
        self.queue.state.lock().give_back(self.events, self.bytes);
        self.queue.taken.notify_waiters();
    }
}

impl Clone for DeliverySender {
    fn clone(&self) -> Self {
        self.queue.state.lock().senders += 1;
        Self { queue: Arc::clone(&self.queue) }
    }
}

impl Drop for DeliverySender {
    fn drop(&mut self) {
        let mut state = self.queue.state.lock();
        state.senders -= 1;
        let last = state.senders == 0;
        drop(state);
        if last {
            self.queue.arrived.notify_one();
        }
    }
}

impl Deliveries {
    /// Waits for deliveries and moves at most `limit` (at least 1) of them to the end
    /// of `into`. Returns how many; 0 only once all senders are gone and everything was
    /// taken.
    ///
    /// Cancel safe: a future dropped before it is ready has taken nothing.
    pub async fn recv_many(&mut self, into: &mut Vec<Delivery>, limit: usize) -> usize {
        // Under constant load there is always something to take; without this the
        // reader would never give its thread back.
        tokio::task::consume_budget().await;
        loop {
            let arrived = self.queue.arrived.notified();
            {
                let mut state = self.queue.state.lock();
                let taken = state.take(into, limit.max(1));
                if taken > 0 || state.senders == 0 {
                    drop(state);
                    self.queue.taken.notify_waiters();
                    return taken;
                }
            }
            arrived.await;
        }
    }

    /// Whether all senders are gone. What they left can still be taken.
    pub fn is_closed(&self) -> bool {
        self.queue.state.lock().senders == 0
    }
}

impl Drop for Deliveries {
    fn drop(&mut self) {
        let mut state = self.queue.state.lock();
        let senders = state.senders;
        *state = State { senders, receiver_gone: true, ..State::default() };
        drop(state);
        self.queue.taken.notify_waiters();
    }
}

impl State {
    fn push(&mut self, limits: QueueLimits, delivery: Delivery) -> SendOutcome {
        let untold = self.untold_notices(delivery.channel());
        let fits = self.waiting.len() + self.kept_events + untold < limits.events
            && self.bytes + self.kept_bytes + delivery.bytes() <= limits.bytes;
        if !fits {
            return self.lose(delivery);
        }
        self.append(delivery);
        SendOutcome::Queued
    }

    /// Queues `delivery` behind the notices of its channel that found no room.
    fn append(&mut self, delivery: Delivery) {
        if self.untold_notices(delivery.channel()) > 0 {
            let notices = self.untold.remove(delivery.channel()).unwrap_or_default();
            self.waiting.extend(notices);
        }
        self.bytes += delivery.bytes();
        self.waiting.push_back(delivery);
    }

    /// Keeps room in that half of the queue which is for those who can wait. Nothing is
    /// too large for an empty queue, and nobody waits for a reader who is gone.
    fn keep_room(&mut self, limits: QueueLimits, events: usize, bytes: usize) -> bool {
        let is_empty = self.waiting.is_empty() && self.kept_events == 0;
        let fits = self.waiting.len() + self.kept_events + events <= limits.events / 2
            && self.bytes + self.kept_bytes + bytes <= limits.bytes / 2;
        let has_room = fits || is_empty || self.receiver_gone;
        if has_room {
            self.kept_events += events;
            self.kept_bytes += bytes;
        }
        has_room
    }

    fn give_back(&mut self, events: usize, bytes: usize) {
        self.kept_events = self.kept_events.saturating_sub(events);
        self.kept_bytes = self.kept_bytes.saturating_sub(bytes);
    }

    fn untold_notices(&self, channel: &Channel) -> usize {
        // The usual case costs no hashing.
        if self.untold.is_empty() {
            return 0;
        }
        self.untold.get(channel).map_or(0, Vec::len)
    }

    fn lose(&mut self, delivery: Delivery) -> SendOutcome {
        match delivery {
            Delivery::Gap(gap) => {
                self.keep(gap);
                SendOutcome::Queued
            }
            Delivery::Refused(error) => {
                self.keep_refusal(error);
                SendOutcome::Queued
            }
            // Streams wait for room, so it never comes to this; kept all the same.
            place @ (Delivery::Position(_) | Delivery::Passed { .. }) => {
                let channel = place.channel().clone();
                self.untold.entry(channel).or_default().push(place);
                SendOutcome::Queued
            }
            Delivery::Event(event) => {
                let now = clock::unix_ms();
                let new_gap = self.keep(Gap {
                    channel: event.channel,
                    from_ms: now,
                    to_ms: now,
                    reason: GapReason::Overflow,
                    dropped: Some(1),
                });
                SendOutcome::Lost { new_gap }
            }
        }
    }

    /// Keeps a gap for later, joined to the one of the same reason if there is one.
    /// Returns whether it is a gap of its own.
    fn keep(&mut self, gap: Gap) -> bool {
        let notices = self.untold.entry(gap.channel.clone()).or_default();
        // A channel that has gaps again is live again: its refusal is no longer true.
        notices.retain(|notice| !matches!(notice, Delivery::Refused(_)));
        let known = notices.iter_mut().find_map(|notice| match notice {
            Delivery::Gap(known) if known.reason == gap.reason => Some(known),
            _ => None,
        });
        let Some(known) = known else {
            notices.push(Delivery::Gap(gap));
            return true;
        };
        known.from_ms = known.from_ms.min(gap.from_ms);
        known.to_ms = known.to_ms.max(gap.to_ms);
        known.dropped = match (known.dropped, gap.dropped) {
            (Some(before), Some(more)) => Some(before.saturating_add(more)),
            // Once a number is unknown, so is the sum.
            (None, _) | (_, None) => None,
        };
        false
    }

    /// Keeps a refusal for later, behind the channel's gaps, in place of an earlier one.
    fn keep_refusal(&mut self, error: SubscribeError) {
        let notices = self.untold.entry(error.channel.clone()).or_default();
        notices.retain(|notice| !matches!(notice, Delivery::Refused(_)));
        notices.push(Delivery::Refused(error));
    }

    fn take(&mut self, into: &mut Vec<Delivery>, limit: usize) -> usize {
        let taken = limit.min(self.waiting.len());
        for delivery in self.waiting.drain(..taken) {
            self.bytes -= delivery.bytes();
            into.push(delivery);
        }
        if self.waiting.is_empty() && !self.untold.is_empty() {
            return taken + self.tell(into, limit - taken);
        }
        taken
    }

    /// Everything queued before them was taken, so the untold notices are next.
    fn tell(&mut self, into: &mut Vec<Delivery>, room: usize) -> usize {
        let mut left = room;
        while left > 0 {
            let Some(channel) = self.untold.keys().next().cloned() else { break };
            let Some(notices) = self.untold.get_mut(&channel) else { break };
            let told = left.min(notices.len());
            into.extend(notices.drain(..told));
            left -= told;
            if notices.is_empty() {
                self.untold.remove(&channel);
            }
        }
        room - left
    }
}

impl Delivery {
    /// The channel it arrived for.
    pub fn channel(&self) -> &Channel {
        match self {
            Self::Event(event) => &event.channel,
            Self::Gap(gap) => &gap.channel,
            Self::Refused(error) => &error.channel,
            Self::Position(position) => &position.channel,
            Self::Passed { channel, .. } => channel,
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Event(event) => event.payload.len(),
            Self::Gap(_) | Self::Refused(_) | Self::Position(_) | Self::Passed { .. } => 0,
        }
    }
}

#[cfg(test)]
#[path = "deliveries_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "deliveries_room_tests.rs"]
mod room_tests;
