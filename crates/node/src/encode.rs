//! An event as frames: compressed once per form and window, encoded once per form.
//!
//! Compressing takes longer than anything else here, so it is done before the members
//! are locked; whoever comes in between gets the plain frame.

use std::cell::OnceCell;

use bytes::Bytes;
use redcast_broker::Event;
use redcast_hub::{Compressed, Form, Frames};
use redcast_protocol::Reply;
use redcast_wire::{Deflater, Window, event_frame, frame_len, text_frame};
use tokio::task::yield_now;

use crate::config::DeflateConfig;
use crate::encodings::Encodings;
use crate::metrics::NodeMetrics;

/// Compressing more than this takes a millisecond or longer, bytes.
const LONG_WORK: usize = 64 << 10;

/// Makes frames; belongs to the fan-out's task.
pub(crate) struct Encoder {
    config: DeflateConfig,
    deflater: Deflater,
    metrics: NodeMetrics,
}

/// An event on its way to be [`Frames`].
pub(crate) struct Draft<'a> {
    event: &'a Event,
    envelope: OnceCell<Vec<u8>>,
    compressed: Compressed,
}

impl Encoder {
    pub(crate) fn new(config: DeflateConfig, metrics: NodeMetrics) -> Self {
        Self { config, deflater: Deflater::new(config.level), metrics }
    }

    /// Begins with the compressed frames that these members agreed on. Waits for
    /// nothing, but lets other tasks have their turn.
    pub(crate) async fn draft<'a>(&mut self, event: &'a Event, encodings: Encodings) -> Draft<'a> {
        let mut draft =
            Draft { event, envelope: OnceCell::new(), compressed: Compressed::default() };
        for form in [Form::Raw, Form::Envelope] {
            for window in Window::ALL {
                if encodings.has(form, window) {
                    self.compress(&mut draft, form, window);
                    // Clients choose forms and windows, and so how often this is done.
                    if draft.payload(form).len() > LONG_WORK {
                        yield_now().await;
                    }
                }
            }
        }
        draft
    }

    fn compress(&mut self, draft: &mut Draft<'_>, form: Form, window: Window) {
        let payload = draft.payload(form);
        if payload.len() < self.config.min_size {
            return;
        }
        let frame = self.deflater.event_frame(payload, window);
        let before = frame_len(payload.len());
        // What does not become smaller is sent as it is.
        let after = frame.as_ref().map_or(before, Bytes::len);
        self.metrics.deflate_before.inc_by(before as u64);
        self.metrics.deflate_after.inc_by(after as u64);
        if let Some(frame) = frame {
            draft.compressed.insert(form, window, frame);
        }
    }
}

impl Draft<'_> {
    /// The event's payload in a frame of this form.
    fn payload(&self, form: Form) -> &[u8] {
        match form {
            Form::Raw | Form::Quiet | Form::Tracked => &self.event.payload,
            Form::Envelope => self.envelope.get_or_init(|| {
                Reply::encode_event(&self.event.channel, self.event.cursor, &self.event.payload)
            }),
        }
    }

    /// Bytes of the frames so far.
    pub(crate) fn bytes(&self) -> usize {
        self.compressed.bytes()
    }

    /// Adds the plain frames that these members need.
    pub(crate) fn finish(self, encodings: Encodings) -> Frames {
        let needed = |form| encodings.need_plain(form, &self.compressed);
        let raw = needed(Form::Raw).then(|| event_frame(self.payload(Form::Raw)));
        let envelope = needed(Form::Envelope).then(|| text_frame(self.payload(Form::Envelope)));
        Frames::event(raw, envelope).compressed(self.compressed)
    }
}

#[cfg(test)]
#[path = "encode_tests.rs"]
mod tests;
