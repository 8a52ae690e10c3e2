//! What goes to the members of one channel, encoded before it comes here.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use redcast_wire::Window;

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
    /// What a raw one gets, and from time to time how far it has come.
    Tracked,
}

/// How a connection gets its events: in which form, and whether compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Encoding {
    /// The form.
    pub form: Form,
    /// The window in which its frames may be compressed (RFC 7692); none where
    /// compression was not agreed on.
    pub window: Option<Window>,
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
    /// When this instance read the event it carries; none for a notice, and for a beat:
    /// a message of [`SlowConsumer::KeepLatest`] about [`WHOLE_CHANNEL`] that is no event.
    pub received: Option<Instant>,
    /// The frame that says how far a member has come with this message, where there are
    /// [`Form::Tracked`] ones. They get it at most once a second.
    pub cursor: Option<Bytes>,
}

/// One message as whole WebSocket frames, encoded once per form and compressed once
/// per form and window.
#[derive(Clone, Debug, Default)]
pub struct Frames {
    raw: Option<Bytes>,
    quiet: Option<Bytes>,
    envelope: Option<Bytes>,
    // Behind one pointer: each shard gets a copy of all this, and most events have none.
    compressed: Option<Arc<Compressed>>,
}

/// An event's compressed frames, as far as there are any.
#[derive(Clone, Debug, Default)]
pub struct Compressed {
    raw: [Option<Bytes>; WINDOWS],
    envelope: [Option<Bytes>; WINDOWS],
}

const WINDOWS: usize = Window::ALL.len();

impl Encoding {
    /// How many there are.
    pub const COUNT: usize = 4 * (1 + WINDOWS);

    /// Its place among all, less than [`Self::COUNT`].
    pub fn index(self) -> usize {
        let window = self.window.map_or(0, |window| 1 + window as usize);
        self.form as usize * (1 + WINDOWS) + window
    }
}

impl From<Form> for Encoding {
    /// The form without compression.
    fn from(form: Form) -> Self {
        Self { form, window: None }
    }
}

impl Compressed {
    /// Adds the frame for members of this form and window. All but envelopes are one.
    pub fn insert(&mut self, form: Form, window: Window, frame: Bytes) {
        match form {
            Form::Raw | Form::Quiet | Form::Tracked => self.raw[window as usize] = Some(frame),
            Form::Envelope => self.envelope[window as usize] = Some(frame),
        }
    }

    /// The frame for members of this form and window.
    pub fn get(&self, form: Form, window: Window) -> Option<&Bytes> {
        match form {
            Form::Raw | Form::Quiet | Form::Tracked => self.raw[window as usize].as_ref(),
            Form::Envelope => self.envelope[window as usize].as_ref(),
        }
    }

    /// Bytes of all frames together.
    pub fn bytes(&self) -> usize {
        self.raw.iter().chain(&self.envelope).flatten().map(Bytes::len).sum()
    }
}

impl Frames {
    /// An event: its raw form goes to raw, quiet and tracked members. A form without
    /// members may be left out.
    pub fn event(raw: Option<Bytes>, envelope: Option<Bytes>) -> Self {
        Self { quiet: raw.clone(), raw, envelope, compressed: None }
    }

    /// The same with compressed frames, which members that agreed on their windows get
    /// in place of the plain ones.
    pub fn compressed(mut self, compressed: Compressed) -> Self {
        let none = compressed.raw.iter().chain(&compressed.envelope).all(Option::is_none);
        self.compressed = (!none).then(|| Arc::new(compressed));
        self
    }

    /// What every member gets alike, whatever its form.
    pub fn same(frame: Bytes) -> Self {
        Self::event(Some(frame.clone()), Some(frame))
    }

    /// Something Redcast says, the same in both modes; quiet members don't get it.
    pub fn notice(frame: Bytes) -> Self {
        Self { raw: Some(frame.clone()), quiet: None, envelope: Some(frame), compressed: None }
    }

    /// The frame for members with this encoding: a compressed one where they agreed on
    /// it and there is one, else the plain one.
    pub fn get(&self, encoding: Encoding) -> Option<&Bytes> {
        if let (Some(window), Some(compressed)) = (encoding.window, &self.compressed)
            && let Some(frame) = compressed.get(encoding.form, window)
        {
            return Some(frame);
        }
        match encoding.form {
            Form::Raw | Form::Tracked => self.raw.as_ref(),
            Form::Quiet => self.quiet.as_ref(),
            Form::Envelope => self.envelope.as_ref(),
        }
    }

    /// The largest that any member may get.
    pub(crate) fn largest(&self) -> Option<&Bytes> {
        let compressed = self.compressed.iter().flat_map(|all| all.raw.iter().chain(&all.envelope));
        let all = [&self.raw, &self.quiet, &self.envelope].into_iter().chain(compressed);
        all.flatten().max_by_key(|frame| frame.len())
    }

    /// Bytes held by all frames together. The quiet form never has a buffer of its
    /// own, and a notice has one buffer for both modes.
    pub(crate) fn held_bytes(&self) -> usize {
        let len = |frame: &Option<Bytes>| frame.as_ref().map_or(0, Bytes::len);
        let shared = match (&self.raw, &self.envelope) {
            (Some(raw), Some(envelope)) => raw.as_ptr() == envelope.as_ptr(),
            _ => false,
        };
        let compressed = self.compressed.as_ref().map_or(0, |compressed| compressed.bytes());
        len(&self.raw) + if shared { 0 } else { len(&self.envelope) } + compressed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORMS: [Form; 4] = [Form::Raw, Form::Quiet, Form::Envelope, Form::Tracked];

    #[test]
    fn each_form_has_its_frame() {
        let (raw, envelope) = (Bytes::from_static(b"raw"), Bytes::from_static(b"envelope"));
        let frames = Frames::event(Some(raw.clone()), Some(envelope.clone()));
        assert_eq!(frames.get(Form::Raw.into()), Some(&raw));
        assert_eq!(frames.get(Form::Quiet.into()), Some(&raw));
        assert_eq!(frames.get(Form::Envelope.into()), Some(&envelope));
        let notice = Frames::notice(raw.clone());
        assert_eq!(notice.get(Form::Raw.into()), Some(&raw));
        assert_eq!(notice.get(Form::Quiet.into()), None);
        assert_eq!(notice.get(Form::Envelope.into()), Some(&raw));
        assert_eq!(notice.get(Form::Tracked.into()), Some(&raw));
        assert_eq!(frames.get(Form::Tracked.into()), Some(&raw));
        for form in FORMS {
            assert_eq!(Frames::same(raw.clone()).get(form.into()), Some(&raw));
        }
    }

    fn encoding(form: Form, window: Window) -> Encoding {
        Encoding { form, window: Some(window) }
    }

    #[test]
    fn a_compressed_frame_goes_to_those_who_agreed_on_its_window() {
        let bytes = |text: &'static str| Bytes::from_static(text.as_bytes());
        let mut compressed = Compressed::default();
        compressed.insert(Form::Raw, Window::Wide, bytes("raw, wide"));
        compressed.insert(Form::Envelope, Window::Narrow, bytes("envelope, narrow"));
        let frames = Frames::event(Some(bytes("raw")), Some(bytes("envelope")));
        let frames = frames.compressed(compressed);
        for (form, [none, narrow, wide]) in [
            (Form::Raw, ["raw", "raw", "raw, wide"]),
            (Form::Quiet, ["raw", "raw", "raw, wide"]),
            (Form::Tracked, ["raw", "raw", "raw, wide"]),
            (Form::Envelope, ["envelope", "envelope, narrow", "envelope"]),
        ] {
            assert_eq!(frames.get(form.into()), Some(&bytes(none)), "{form:?}");
            assert_eq!(frames.get(encoding(form, Window::Narrow)), Some(&bytes(narrow)));
            assert_eq!(frames.get(encoding(form, Window::Wide)), Some(&bytes(wide)));
        }
        assert!(Frames::default().compressed(Compressed::default()).compressed.is_none());
    }

    #[test]
    fn a_notice_is_plain_for_everybody_and_nothing_for_quiet_members() {
        let notice = Frames::notice(Bytes::from_static(b"notice"));
        for window in Window::ALL {
            assert_eq!(notice.get(encoding(Form::Raw, window)).unwrap(), "notice");
            assert_eq!(notice.get(encoding(Form::Envelope, window)).unwrap(), "notice");
            assert_eq!(notice.get(encoding(Form::Quiet, window)), None);
        }
    }

    #[test]
    fn every_encoding_has_a_place_of_its_own() {
        let mut seen = Vec::new();
        for form in FORMS {
            seen.push(Encoding::from(form).index());
            seen.extend(Window::ALL.map(|window| encoding(form, window).index()));
        }
        assert_eq!(seen, (0..Encoding::COUNT).collect::<Vec<_>>());
    }

    #[test]
    fn a_buffer_that_is_shared_counts_once() {
        let bytes = |len| Some(Bytes::from(vec![0; len]));
        assert_eq!(Frames::default().held_bytes(), 0);
        assert_eq!(Frames::event(bytes(3), None).held_bytes(), 3);
        assert_eq!(Frames::event(None, bytes(4)).held_bytes(), 4);
        assert_eq!(Frames::event(bytes(3), bytes(4)).held_bytes(), 7);
        assert_eq!(Frames::notice(Bytes::from(vec![0; 5])).held_bytes(), 5);
        assert_eq!(Frames::same(Bytes::from(vec![0; 6])).held_bytes(), 6);
        let mut compressed = Compressed::default();
        for (form, window, len) in [
            (Form::Raw, Window::Narrow, 10),
            (Form::Raw, Window::Wide, 20),
            (Form::Envelope, Window::Narrow, 40),
            (Form::Envelope, Window::Wide, 80),
        ] {
            compressed.insert(form, window, Bytes::from(vec![0; len]));
        }
        assert_eq!(Frames::event(bytes(3), bytes(4)).compressed(compressed).held_bytes(), 157);
    }

    #[test]
    fn the_largest_is_the_largest_of_any_encoding() {
        let bytes = |len| Some(Bytes::from(vec![0; len]));
        let largest = |frames: &Frames| frames.largest().map(Bytes::len);
        assert_eq!(largest(&Frames::default()), None);
        assert_eq!(largest(&Frames::event(bytes(3), bytes(4))), Some(4));
        assert_eq!(largest(&Frames::event(bytes(3), None)), Some(3));
        assert_eq!(largest(&Frames::notice(Bytes::from(vec![0; 5]))), Some(5));
        let mut compressed = Compressed::default();
        compressed.insert(Form::Raw, Window::Narrow, Bytes::from(vec![0; 6]));
        let frames = Frames::event(None, bytes(4)).compressed(compressed.clone());
        assert_eq!(largest(&frames), Some(6));
        compressed.insert(Form::Envelope, Window::Wide, Bytes::from(vec![0; 7]));
        assert_eq!(largest(&Frames::default().compressed(compressed)), Some(7));
    }
}
