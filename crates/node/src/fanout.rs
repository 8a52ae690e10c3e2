//! An event's way through the node: encode the frame once for each way in which members
//! get it, and hand it to the shards that have any.

use std::sync::Arc;

use bytes::Bytes;
use redcast_broker::{Deliveries, Delivery, Event, Gap, Position, SubscribeError};
use redcast_hub::{Broadcast, Frames, Hub, HubClosed, WHOLE_CHANNEL};
use redcast_protocol::{Channel, Cursor, ErrorCode, GapReason, Reply, ResetReason};
use redcast_wire::text_frame;

use crate::encode::Encoder;
use crate::interest::{Entry, Interest, Members};
use crate::participant::JoinError;
use crate::stream::{Kept, cursor_frame, gap_frame};

/// Deliveries taken from the broker at once.
const TAKE: usize = 256;
/// Room for what an envelope adds; payloads that need more only borrow it.
const ENVELOPE_BYTES: usize = 512;

/// The task between the broker and the hub.
pub struct Fanout {
    pub(crate) deliveries: Deliveries,
    pub(crate) interest: Arc<Interest>,
    pub(crate) hub: Hub,
    pub(crate) encoder: Encoder,
}

impl Fanout {
    /// Works until the broker or the hub is gone.
    pub async fn run(mut self) {
        let mut taken = Vec::with_capacity(TAKE);
        while self.deliveries.recv_many(&mut taken, TAKE).await > 0 {
            for delivery in taken.drain(..) {
                let passed = match delivery {
                    Delivery::Event(event) => self.pass_event(event).await,
                    Delivery::Gap(gap) => self.pass_gap(gap).await,
                    Delivery::Refused(error) => self.pass_refusal(error).await,
                    Delivery::Position(position) => self.pass_position(position).await,
                    Delivery::Passed { channel, cursor } => {
                        self.pass_by(&channel, cursor);
                        Ok(())
                    }
                };
                if passed.is_err() {
                    return;
                }
            }
        }
    }

    async fn pass_event(&mut self, event: Event) -> Result<(), HubClosed> {
        let Some(entry) = self.interest.find(&event.channel) else { return Ok(()) };
        let item = match &entry.latest_by {
            Some(pointer) => pointer.item_of(&event.payload),
            None => Some(WHOLE_CHANNEL),
        };
        let encodings = entry.members().encodings();
        let draft = self.encoder.draft(&event, encodings).await;
        let bytes = 2 * event.payload.len() + ENVELOPE_BYTES + draft.bytes();
        let places = self.hub.reserve(bytes).await?;
        // From here to the hand-over the members can't change: one who is counted
        // later also joins later in the shard's queue, so none misses its form, and what is
        // kept for those who come back is what members were told.
        let mut members = entry.members();
        let mut cursor = None;
        if let Some(place) = event.cursor.filter(|_| entry.is_stream) {
            if !members.ring_mut().push(Kept { cursor: place, payload: event.payload.clone() }) {
                return Ok(());
            }
            let is_tracked = members.encodings().has_tracked();
            cursor = is_tracked.then(|| cursor_frame(&event.channel, place));
        }
        let broadcast = Broadcast {
            channel: entry.key,
            frames: draft.finish(members.encodings()),
            policy: entry.policy,
            item,
            flush_every: entry.flush_every,
            received: Some(event.received),
            cursor,
        };
        places.send(&broadcast, |shard| members.in_shard(shard));
        drop(members);
        if entry.is_stream {
            entry.move_on();
        }
        Ok(())
    }

    /// The channel begins here, or goes on from here without what lay between.
    async fn pass_position(&self, position: Position) -> Result<(), HubClosed> {
        let Some(entry) = self.interest.find(&position.channel) else { return Ok(()) };
        let Position { channel, cursor, reset } = position;
        let places = self.hub.reserve(ENVELOPE_BYTES).await?;
        let mut members = entry.members();
        // Where a channel that has begun begins anew, what lies between is unknown.
        let moved = members.ring().position().is_some_and(|known| known != cursor);
        let reset = reset.or(moved.then_some(ResetReason::Unknown));
        members.ring_mut().begin(cursor);
        let frames = reset.map_or_else(Frames::default, |reason| {
            let notice = Reply::Reset { channel: channel.as_str(), reason, id: Some(cursor) };
            Frames::notice(text_frame(&notice.encode()))
        });
        let broadcast = without_event(&entry, &members, frames);
        places.send(&broadcast, |shard| members.in_shard(shard));
        drop(members);
        entry.move_on();
        Ok(())
    }

    /// Nobody is told of an entry that is no event, but who comes back may have come to it.
    fn pass_by(&self, channel: &Channel, cursor: Cursor) {
        let Some(entry) = self.interest.find(channel) else { return };
        entry.members().ring_mut().pass(cursor);
        entry.move_on();
    }

    async fn pass_gap(&self, gap: Gap) -> Result<(), HubClosed> {
        let Some(entry) = self.interest.find(&gap.channel) else { return Ok(()) };
        if entry.is_stream && gap.reason == GapReason::TooLarge {
            // Before members are told: whoever is none of them yet is told by Redis.
            entry.members().ring_mut().cut();
        }
        self.pass_notice(&entry, gap_frame(&gap)).await
    }

    /// Its members were acknowledged, so this is news to them and answers no command.
    async fn pass_refusal(&self, error: SubscribeError) -> Result<(), HubClosed> {
        let Some(entry) = self.interest.find(&error.channel) else { return Ok(()) };
        // First: whoever is too late for the notice then asks the broker itself.
        entry.doubt();
        // In the words that a refused subscribe is answered with.
        let message = JoinError::from(error).to_string();
        let notice = Reply::Error { code: ErrorCode::Forbidden, message: &message, id: None };
        self.pass_notice(&entry, text_frame(&notice.encode())).await
    }

    /// Hands what is no event to the members that want to know.
    async fn pass_notice(&self, entry: &Entry, notice: Bytes) -> Result<(), HubClosed> {
        let places = self.hub.reserve(ENVELOPE_BYTES).await?;
        let members = entry.members();
        let broadcast = without_event(entry, &members, Frames::notice(notice));
        places.send(&broadcast, |shard| members.in_shard(shard));
        Ok(())
    }
}

/// What is told beside events, with the place at which the channel stands: without that,
/// what is due to be told of it would count as told to nobody.
fn without_event(entry: &Entry, members: &Members, frames: Frames) -> Broadcast {
    let place = members.ring().position().filter(|_| members.encodings().has_tracked());
    Broadcast {
        channel: entry.key,
        frames,
        policy: entry.policy,
        item: None,
        // Held like the events around it, or it would overtake them.
        flush_every: entry.flush_every,
        received: None,
        cursor: place.map(|place| cursor_frame(&entry.channel, place)),
    }
}

#[cfg(test)]
#[path = "fanout_tests.rs"]
mod tests;
