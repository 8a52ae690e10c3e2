//! Where what was read of streams goes: into the queue of deliveries, in its turn, however
//! long that takes. Of an entry that is no event only the place is told.

use std::time::Instant;

use redcast_protocol::{Channel, Cursor, GapReason, ResetReason};

use super::entry::Entry;
use crate::{BrokerMetrics, Delivery, DeliverySender, Event, Gap, Position, SubscribeError, clock};

/// The way into the queue of deliveries, for those who can wait.
#[derive(Debug, Clone)]
pub(crate) struct Outlet {
    sender: DeliverySender,
    metrics: BrokerMetrics,
    max_event_size: usize,
}

impl Outlet {
    /// Feeds `sender`, leaving out events of more than `max_event_size` bytes.
    pub(crate) fn new(
        sender: DeliverySender,
        metrics: BrokerMetrics,
        max_event_size: usize,
    ) -> Self {
        Self { sender, metrics, max_event_size }
    }

    /// What is counted of streams.
    pub(crate) fn metrics(&self) -> &BrokerMetrics {
        &self.metrics
    }

    /// Tells one entry.
    pub(crate) async fn entry(&self, channel: &Channel, entry: Entry, received: Instant) {
        let cursor = entry.cursor();
        self.metrics.events_received.inc();
        let Some(payload) = entry.data else {
            self.metrics.dropped_no_data.inc();
            return self.passed(channel, cursor).await;
        };
        self.metrics.event_bytes_received.inc_by(payload.len() as u64);
        if payload.len() > self.max_event_size {
            self.metrics.dropped_too_large.inc();
            self.too_large(channel).await;
            return self.passed(channel, cursor).await;
        }
        let (channel, cursor) = (channel.clone(), Some(cursor));
        self.send(Delivery::Event(Event { channel, payload, received, cursor })).await;
    }

    /// Tells from where on a channel is told.
    pub(crate) async fn position(
        &self,
        channel: &Channel,
        cursor: Cursor,
        reset: Option<ResetReason>,
    ) {
        if let Some(reason) = reset {
            self.metrics.streams.resets(reason).inc();
        }
        self.send(Delivery::Position(Position { channel: channel.clone(), cursor, reset })).await;
    }

    /// Tells a gap.
    pub(crate) async fn gap(&self, gap: Gap) {
        self.metrics.gaps(gap.reason).inc();
        self.send(Delivery::Gap(gap)).await;
    }

    /// Tells that a channel is refused.
    pub(crate) async fn refused(&self, error: SubscribeError) {
        self.send(Delivery::Refused(error)).await;
    }

    async fn passed(&self, channel: &Channel, cursor: Cursor) {
        self.send(Delivery::Passed { channel: channel.clone(), cursor }).await;
    }

    async fn too_large(&self, channel: &Channel) {
        let now = clock::unix_ms();
        let (channel, reason) = (channel.clone(), GapReason::TooLarge);
        self.gap(Gap { channel, from_ms: now, to_ms: now, reason, dropped: Some(1) }).await;
    }

    // A closed queue is the end of the process: nobody is left to be told.
    async fn send(&self, delivery: Delivery) {
        self.sender.send_in_turn(delivery).await;
    }
}
