//! Events of the past as frames: made once per form for all who get the same ones.

use std::sync::OnceLock;

use bytes::{Bytes, BytesMut};
use redcast_broker::{Event, Gap, Page};
use redcast_hub::Form;
use redcast_protocol::{Channel, Cursor, Reply};
use redcast_wire::{event_frame, text_frame};

use super::resume::PAGE;
use super::ring::{Kept, count_within};

/// What an event costs beside its payload, in each of the forms in which it may be kept.
const EVENT_OVERHEAD: usize = 96;
/// The forms: what was read, raw frames with and without notices, and envelopes.
const FORMS: usize = 4;

/// What one read found: no more than is sent at once.
pub(super) struct Replay {
    channel: Channel,
    pub(super) events: Vec<Kept>,
    /// The last entry that was read.
    pub(super) cursor: Cursor,
    pub(super) is_last: bool,
    /// What is to be told between them, each at its place.
    gaps: Vec<(Cursor, Gap)>,
    raw: OnceLock<Bytes>,
    quiet: OnceLock<Bytes>,
    envelope: OnceLock<Bytes>,
}

impl Replay {
    pub(super) fn new(channel: Channel, page: Page) -> Self {
        let Page { events, gaps, cursor, is_last } = page;
        let events = events.into_iter().filter_map(kept).collect();
        let (raw, quiet, envelope) = Default::default();
        Self { channel, events, cursor, is_last, gaps, raw, quiet, envelope }
    }

    /// Where the last events begin, of which a client gets no more than `bytes`: the first
    /// of them. Those behind are read again page by page, as the client takes them; else
    /// all would be held for as long as that takes.
    pub(super) fn of_last(channel: Channel, last: Vec<Event>, bytes: usize) -> Self {
        let mut events: Vec<Kept> = last.into_iter().filter_map(kept).collect();
        let end = events.last().map_or(Cursor::BEGINNING, |last| last.cursor);
        events.drain(..events.len() - count_within(events.iter().rev(), bytes));
        events.truncate(count_within(events.iter().take(PAGE.events), PAGE.bytes).max(1));
        let cursor = events.last().map_or(end, |last| last.cursor);
        let (raw, quiet, envelope) = Default::default();
        Self { channel, events, cursor, is_last: false, gaps: Vec::new(), raw, quiet, envelope }
    }

    /// Whether there were no events at all.
    pub(super) fn is_nothing(&self) -> bool {
        self.cursor == Cursor::BEGINNING
    }

    /// Whether it has neither events nor anything to tell between them.
    pub(super) fn is_empty(&self) -> bool {
        self.events.is_empty() && self.gaps.is_empty()
    }

    /// The bytes it takes, with all frames that may be made of it, about.
    pub(super) fn bytes(&self) -> usize {
        let events = self.events.iter().map(|kept| kept.payload.len() + EVENT_OVERHEAD);
        FORMS * events.sum::<usize>()
    }

    /// The frames of all events and of what is told between them, one behind the other.
    pub(super) fn frames(&self, form: Form) -> Bytes {
        let made = match form {
            Form::Raw | Form::Tracked => &self.raw,
            Form::Quiet => &self.quiet,
            Form::Envelope => &self.envelope,
        };
        // Who asked for no notices gets none of the past either.
        let gaps = if form == Form::Quiet { &[][..] } else { &self.gaps };
        made.get_or_init(|| joined(between(&self.channel, &self.events, gaps, form))).clone()
    }
}

fn kept(event: Event) -> Option<Kept> {
    Some(Kept { cursor: event.cursor?, payload: event.payload })
}

/// The frames of events, one behind the other.
pub(super) fn frames(channel: &Channel, events: &[Kept], form: Form) -> Bytes {
    joined(events.iter().map(|kept| frame(channel, kept, form)))
}

fn joined(frames: impl Iterator<Item = Bytes>) -> Bytes {
    let mut all = BytesMut::new();
    frames.for_each(|frame| all.extend_from_slice(&frame));
    all.freeze()
}

/// The frames of events, and of gaps before the events that are newer.
fn between<'a>(
    channel: &'a Channel,
    events: &'a [Kept],
    gaps: &'a [(Cursor, Gap)],
    form: Form,
) -> impl Iterator<Item = Bytes> + 'a {
    let mut gaps = gaps.iter().peekable();
    let mut events = events.iter().peekable();
    std::iter::from_fn(move || {
        let next = events.peek().map(|kept| kept.cursor.id());
        let gap = gaps.next_if(|(place, _)| next.is_none_or(|next| place.id() < next));
        match gap {
            Some((_, gap)) => Some(gap_frame(gap)),
            None => events.next().map(|kept| frame(channel, kept, form)),
        }
    })
}

/// One event of the past as a frame. It is not compressed: that is done once for many, and
/// these are for one.
pub(super) fn frame(channel: &Channel, kept: &Kept, form: Form) -> Bytes {
    match form {
        Form::Raw | Form::Quiet | Form::Tracked => event_frame(&kept.payload),
        Form::Envelope => {
            text_frame(&Reply::encode_event(channel, Some(kept.cursor), &kept.payload))
        }
    }
}

/// What tells a gap.
pub(crate) fn gap_frame(gap: &Gap) -> Bytes {
    let notice = Reply::Gap {
        channel: gap.channel.as_str(),
        from: gap.from_ms,
        to: gap.to_ms,
        reason: gap.reason,
        dropped: gap.dropped,
    };
    text_frame(&notice.encode())
}

/// What tells a tracked client how far it has come.
pub(crate) fn cursor_frame(channel: &Channel, id: Cursor) -> Bytes {
    text_frame(&Reply::Cursor { channel: channel.as_str(), id }.encode())
}

#[cfg(test)]
#[path = "replay_tests.rs"]
mod tests;
