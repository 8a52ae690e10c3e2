//! Events of the past as frames: made once per form for all who get the same ones.

use std::sync::OnceLock;

use bytes::{Bytes, BytesMut};
use redcast_broker::{Gap, Page};
use redcast_hub::Form;
use redcast_protocol::{Channel, Cursor, Reply};
use redcast_wire::{event_frame, text_frame};

use super::ring::Kept;

/// Frames are handed to a connection in pieces of about this size, so that what it has
/// not taken is never much more.
const PIECE_BYTES: usize = 64 << 10;

/// What one read found.
pub(super) struct Replay {
    channel: Channel,
    pub(super) events: Vec<Kept>,
    /// The last entry that was read.
    pub(super) cursor: Cursor,
    pub(super) is_last: bool,
    /// What is to be told between them, each at its place.
    gaps: Vec<(Cursor, Gap)>,
    raw: OnceLock<Vec<Bytes>>,
    quiet: OnceLock<Vec<Bytes>>,
    envelope: OnceLock<Vec<Bytes>>,
}

impl Replay {
    pub(super) fn new(channel: Channel, page: Page) -> Self {
        let Page { events, gaps, cursor, is_last } = page;
        let kept = |event: redcast_broker::Event| {
            Some(Kept { cursor: event.cursor?, payload: event.payload })
        };
        let events = events.into_iter().filter_map(kept).collect();
        let (raw, quiet, envelope) = Default::default();
        Self { channel, events, cursor, is_last, gaps, raw, quiet, envelope }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// Bytes of the payloads.
    pub(super) fn bytes(&self) -> usize {
        self.events.iter().map(|kept| kept.payload.len()).sum()
    }

    /// The frames of all events and of what is told between them, in pieces.
    pub(super) fn pieces(&self, form: Form) -> &[Bytes] {
        let made = match form {
            Form::Raw | Form::Tracked => &self.raw,
            Form::Quiet => &self.quiet,
            Form::Envelope => &self.envelope,
        };
        // Who asked for no notices gets none of the past either.
        let gaps = if form == Form::Quiet { &[][..] } else { &self.gaps };
        made.get_or_init(|| joined(between(&self.channel, &self.events, gaps, form)))
    }
}

/// The frames of events, in pieces.
pub(super) fn pieces(channel: &Channel, events: &[Kept], form: Form) -> Vec<Bytes> {
    joined(events.iter().map(|kept| frame(channel, kept, form)))
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

fn joined(frames: impl Iterator<Item = Bytes>) -> Vec<Bytes> {
    let mut pieces = Vec::new();
    let mut piece = BytesMut::new();
    for frame in frames {
        piece.extend_from_slice(&frame);
        if piece.len() >= PIECE_BYTES {
            pieces.push(piece.split().freeze());
        }
    }
    if !piece.is_empty() {
        pieces.push(piece.freeze());
    }
    pieces
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

fn gap_frame(gap: &Gap) -> Bytes {
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
