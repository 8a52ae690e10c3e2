//! What every broker does with an event it read: count it, hold it against
//! `max_event_size`, queue it, and account for what could not be queued.

use std::time::Instant;

use bytes::Bytes;
use redcast_protocol::{Channel, GapReason};

use crate::deliveries::Room;
use crate::{
    BrokerMetrics, Delivery, DeliverySender, Event, Gap, SendOutcome, SubscribeError, clock,
};

/// The way into the queue of deliveries. Never waits, unless room is asked for.
#[derive(Debug, Clone)]
pub(crate) struct Intake {
    sender: DeliverySender,
    metrics: BrokerMetrics,
    max_event_size: usize,
}

impl Intake {
    /// Feeds `sender`, dropping events of more than `max_event_size` bytes.
    pub(crate) fn new(
        sender: DeliverySender,
        metrics: BrokerMetrics,
        max_event_size: usize,
    ) -> Self {
        Self { sender, metrics, max_event_size }
    }

    /// Takes in an event of a channel that somebody wants.
    pub(crate) fn event(&self, channel: Channel, payload: Bytes, received: Instant) {
        self.metrics.events_received.inc();
        self.metrics.event_bytes_received.inc_by(payload.len() as u64);
        if payload.len() > self.max_event_size {
            self.metrics.dropped_too_large.inc();
            let now = clock::unix_ms();
            let reason = GapReason::TooLarge;
            self.gap(Gap { channel, from_ms: now, to_ms: now, reason, dropped: Some(1) });
            return;
        }
        match self.sender.send(Delivery::Event(Event { channel, payload, received, cursor: None }))
        {
            SendOutcome::Lost { new_gap } => {
                self.metrics.dropped_overflow.inc();
                if new_gap {
                    self.metrics.gaps(GapReason::Overflow).inc();
                }
            }
            // A closed queue is the end of the process: nobody is left to be told.
            SendOutcome::Queued | SendOutcome::Closed => {}
        }
    }

    /// Waits for room for so many events of a stream and bytes of their payloads.
    pub(crate) async fn room(&self, events: usize, bytes: usize) -> Room {
        self.sender.room(events, bytes).await
    }

    /// Takes in an event of a stream, for which there is room.
    pub(crate) fn stream_event(&self, room: &mut Room, event: Event) {
        self.metrics.events_received.inc();
        self.metrics.event_bytes_received.inc_by(event.payload.len() as u64);
        room.send(Delivery::Event(event));
    }

    /// Takes in a gap; it is never lost.
    pub(crate) fn gap(&self, gap: Gap) {
        self.metrics.gaps(gap.reason).inc();
        self.sender.send(Delivery::Gap(gap));
    }

    /// Takes in the news that a channel is refused; it is never lost, unless a later gap
    /// says that the channel is live again.
    pub(crate) fn refused(&self, error: SubscribeError) {
        self.sender.send(Delivery::Refused(error));
    }

    /// Counts an event under a name that is no channel's.
    pub(crate) fn bad_channel(&self) {
        self.metrics.events_received.inc();
        self.metrics.dropped_bad_channel.inc();
    }
}
