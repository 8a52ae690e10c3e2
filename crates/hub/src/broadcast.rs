//! What goes to the members of one channel, encoded before it comes here.

use std::time::{Duration, Instant};

use bytes::Bytes;

/// A channel's name within this process, assigned by the node and never used
/// twice. A number, because the fan-out path compares it for every event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ChannelKey(pub u64);

/// In which form a connection gets its events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Form {
    /// The payload, byte for byte; what Redcast says itself comes as JSON.
    Raw,
    /// The payload and nothing else: an endpoint with `notices = false`.
    Quiet,
    /// JSON envelopes, subprotocol `redcast.v1`.
    Envelope,
}

/// What may happen to a channel's events when a client reads too slowly.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum SlowConsumer {
    /// Every event or none: the connection is closed with 4409.
    #[default]
    Disconnect,
    /// The oldest events that wait make room; the client is told by a gap.
    DropOldest,
    /// Only the newest event of each item waits; older ones are counted as conflated.
    KeepLatest,
}

/// The item of a [`SlowConsumer::KeepLatest`] channel whose events are all about one.
pub const WHOLE_CHANNEL: u64 = 0;

/// One message for the members of a channel.
#[derive(Clone, Debug)]
pub struct Broadcast {
    /// Whose members get it.
    pub channel: ChannelKey,
    /// The frame for each form that has members.
    pub frames: Frames,
    /// What may happen to it on a slow connection.
    pub policy: SlowConsumer,
    /// Which item of its channel it is about; only [`SlowConsumer::KeepLatest`] asks.
    /// One without an item takes no other's place, and no other takes its.
    pub item: Option<u64>,
    /// Over how long its channel's messages are gathered; the same for all of them.
    pub flush_every: Option<Duration>,
    /// When this instance read the event it carries; none for a notice.
    pub received: Option<Instant>,
}

/// One message as whole WebSocket frames, encoded once per form.
#[derive(Clone, Debug, Default)]
pub struct Frames {
    raw: Option<Bytes>,
    quiet: Option<Bytes>,
    envelope: Option<Bytes>,
}

impl Frames {
    /// An event: its raw form goes to raw and to quiet members. A form without
    /// members may be left out.
    pub fn event(raw: Option<Bytes>, envelope: Option<Bytes>) -> Self {
        Self { quiet: raw.clone(), raw, envelope }
    }

    /// Something Redcast says, the same in both modes; quiet members don't get it.
    pub fn notice(frame: Bytes) -> Self {
        Self { raw: Some(frame.clone()), quiet: None, envelope: Some(frame) }
    }

    /// The frame for members of this form.
    pub fn get(&self, form: Form) -> Option<&Bytes> {
        match form {
            Form::Raw => self.raw.as_ref(),
            Form::Quiet => self.quiet.as_ref(),
            Form::Envelope => self.envelope.as_ref(),
        }
    }

    /// Bytes held by all forms together. The quiet form never has a buffer of its
    /// own, and a notice has one buffer for both modes.
    pub(crate) fn held_bytes(&self) -> usize {
        let len = |frame: &Option<Bytes>| frame.as_ref().map_or(0, Bytes::len);
        let shared = match (&self.raw, &self.envelope) {
            (Some(raw), Some(envelope)) => raw.as_ptr() == envelope.as_ptr(),
            _ => false,
        };
        len(&self.raw) + if shared { 0 } else { len(&self.envelope) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_form_has_its_frame() {
        let (raw, envelope) = (Bytes::from_static(b"raw"), Bytes::from_static(b"envelope"));
        let frames = Frames::event(Some(raw.clone()), Some(envelope.clone()));
        assert_eq!(frames.get(Form::Raw), Some(&raw));
        assert_eq!(frames.get(Form::Quiet), Some(&raw));
        assert_eq!(frames.get(Form::Envelope), Some(&envelope));
        let notice = Frames::notice(raw.clone());
        assert_eq!(notice.get(Form::Raw), Some(&raw));
        assert_eq!(notice.get(Form::Quiet), None);
        assert_eq!(notice.get(Form::Envelope), Some(&raw));
    }

    #[test]
    fn a_buffer_that_is_shared_counts_once() {
        let bytes = |len| Some(Bytes::from(vec![0; len]));
        assert_eq!(Frames::default().held_bytes(), 0);
        assert_eq!(Frames::event(bytes(3), None).held_bytes(), 3);
        assert_eq!(Frames::event(None, bytes(4)).held_bytes(), 4);
        assert_eq!(Frames::event(bytes(3), bytes(4)).held_bytes(), 7);
        assert_eq!(Frames::notice(Bytes::from(vec![0; 5])).held_bytes(), 5);
    }
}
