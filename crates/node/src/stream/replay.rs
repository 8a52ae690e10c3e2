//! Events of the past as frames: made once per form for all who get the same ones.

use std::sync::OnceLock;

use bytes::{Bytes, BytesMut};
use redcast_broker::Page;
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
    raw: OnceLock<Vec<Bytes>>,
    envelope: OnceLock<Vec<Bytes>>,
}

impl Replay {
    pub(super) fn new(channel: Channel, page: Page) -> Self {
        let Page { events, cursor, is_last } = page;
        let kept = |event: redcast_broker::Event| {
            Some(Kept { cursor: event.cursor?, payload: event.payload })
        };
        let events = events.into_iter().filter_map(kept).collect();
        Self { channel, events, cursor, is_last, raw: OnceLock::new(), envelope: OnceLock::new() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// Bytes of the payloads.
    pub(super) fn bytes(&self) -> usize {
        self.events.iter().map(|kept| kept.payload.len()).sum()
    }

    /// The frames of all events, in pieces.
    pub(super) fn pieces(&self, form: Form) -> &[Bytes] {
        let made = match form {
            Form::Raw | Form::Quiet | Form::Tracked => &self.raw,
            Form::Envelope => &self.envelope,
        };
        made.get_or_init(|| pieces(&self.channel, &self.events, form))
    }
}

/// The frames of events, in pieces.
pub(super) fn pieces(channel: &Channel, events: &[Kept], form: Form) -> Vec<Bytes> {
    let mut pieces = Vec::new();
    let mut piece = BytesMut::new();
    for kept in events {
        piece.extend_from_slice(&frame(channel, kept, form));
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

/// What tells a tracked client how far it has come.
pub(crate) fn cursor_frame(channel: &Channel, id: Cursor) -> Bytes {
    text_frame(&Reply::Cursor { channel: channel.as_str(), id }.encode())
}
