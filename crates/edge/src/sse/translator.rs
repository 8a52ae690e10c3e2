//! From the frames of an envelope connection to the blocks of an event stream.
//!
//! An event becomes its payload under the id of the whole connection; what Redcast says
//! itself becomes an event of its own type; a ping a comment; a close frame the last
//! event.

use std::borrow::Cow;
use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};
use redcast_protocol::{Channel, CloseCode, Cursor};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::block::Blocks;
use super::cursors::Cursors;
use super::frames::{FrameReader, ServerFrame, StrangeFrame};

/// Blocks beyond this many bytes wait for the next call: a short frame may become a long
/// block, because each event carries the place in every channel.
const PIECE_BYTES: usize = 64 << 10;

/// Reads frames and writes blocks.
#[derive(Debug)]
pub(crate) struct Translator {
    frames: FrameReader,
    /// Where the client is. It begins with what the client resumes from: if the stream
    /// ends early, a channel that was not reached yet is resumed from there again.
    cursors: Cursors,
    /// Whether an event's data is its envelope instead of its payload.
    envelopes: bool,
    has_closed: bool,
}

/// What is looked at in a message of ours.
#[derive(Deserialize)]
struct Said<'a> {
    #[serde(borrow)]
    r#type: Cow<'a, str>,
    #[serde(borrow, default)]
    channel: Option<&'a RawValue>,
    #[serde(borrow, default)]
    id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    data: Option<&'a RawValue>,
    #[serde(borrow, default)]
    encoding: Option<&'a RawValue>,
    #[serde(borrow, default)]
    cursors: Option<&'a RawValue>,
}

/// The last event of a stream.
#[derive(Serialize)]
struct Closed<'a> {
    code: u16,
    reason: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reconnect_after_ms: Option<u64>,
}

/// What the close frame of a drain says.
#[derive(Deserialize)]
struct Advice {
    reconnect_after_ms: u64,
}

impl Translator {
    pub(crate) fn new(resumed: Cursors, envelopes: bool) -> Self {
        Self { frames: FrameReader::default(), cursors: resumed, envelopes, has_closed: false }
    }

    /// Adds frames, or parts of them.
    pub(crate) fn feed(&mut self, bytes: BytesMut) {
        self.frames.feed(bytes);
    }

    /// The blocks of what has arrived as a whole, or the first of them; empty when there
    /// is nothing more. Nothing follows a close frame.
    pub(crate) fn next_piece(&mut self) -> Result<Bytes, StrangeFrame> {
        let mut blocks = Blocks::default();
        while !self.has_closed && blocks.len() < PIECE_BYTES {
            match self.frames.next()? {
                None => break,
                Some(ServerFrame::Ping) => blocks.comment("ping"),
                Some(ServerFrame::Text(text)) => self.translate(&text, &mut blocks),
                Some(ServerFrame::Close(code, reason)) => {
                    self.has_closed = true;
                    close(code, &reason, &mut blocks);
                }
            }
        }
        Ok(blocks.into_bytes().into())
    }

    /// Whether the last event has been written.
    pub(crate) fn has_closed(&self) -> bool {
        self.has_closed
    }

    fn translate(&mut self, text: &[u8], blocks: &mut Blocks) {
        let text = String::from_utf8_lossy(text);
        // Ours are JSON objects with a type; anything else would still reach the client.
        let Ok(said) = serde_json::from_str::<Said<'_>>(&text) else {
            return message(&text, blocks);
        };
        match &*said.r#type {
            "event" => self.event(&said, &text, blocks),
            "ack" => self.acknowledged(&said, blocks),
            "reset" => {
                self.reset(&said);
                blocks.id(&self.cursors.to_string());
                notice(&said.r#type, &text, blocks);
            }
            own => notice(own, &text, blocks),
        }
    }

    fn event(&mut self, said: &Said<'_>, envelope: &str, blocks: &mut Blocks) {
        if let (Some(channel), Some(cursor)) = (said.channel(), said.cursor()) {
            self.cursors.set(channel, cursor);
            blocks.id(&self.cursors.to_string());
        }
        if self.envelopes {
            return message(envelope, blocks);
        }
        if said.encoding.is_some() {
            blocks.event("binary");
        }
        message(&said.payload(), blocks);
    }

    /// The places from which live events follow. Nobody asked for the acknowledgement
    /// itself: the joins are those of the request.
    fn acknowledged(&mut self, said: &Said<'_>, blocks: &mut Blocks) {
        let places: BTreeMap<&str, &str> = read(said.cursors).unwrap_or_default();
        let mut told = false;
        for (channel, cursor) in places {
            if let (Ok(channel), Ok(cursor)) = (Channel::parse(channel), cursor.parse()) {
                self.cursors.set(channel, cursor);
                told = true;
            }
        }
        if told {
            blocks.id(&self.cursors.to_string());
            blocks.end_block();
        }
    }

    fn reset(&mut self, said: &Said<'_>) {
        let Some(channel) = said.channel() else { return };
        match said.cursor() {
            Some(cursor) => self.cursors.set(channel, cursor),
            None => self.cursors.forget(&channel),
        }
    }
}

impl Said<'_> {
    fn channel(&self) -> Option<Channel> {
        read::<Cow<'_, str>>(self.channel).and_then(|name| Channel::parse(&name).ok())
    }

    fn cursor(&self) -> Option<Cursor> {
        read::<Cow<'_, str>>(self.id).and_then(|cursor| cursor.parse().ok())
    }

    /// The payload: JSON as it came, other text as it is.
    fn payload(&self) -> Cow<'_, str> {
        // An event has data; to the reader of an optional field, `null` is none.
        let data = self.data.map_or("null", RawValue::get);
        match read::<String>(self.data.filter(|_| data.starts_with('"'))) {
            Some(text) => Cow::Owned(text),
            None => Cow::Borrowed(data),
        }
    }
}

fn read<'a, T: Deserialize<'a>>(value: Option<&'a RawValue>) -> Option<T> {
    value.and_then(|value| serde_json::from_str(value.get()).ok())
}

fn message(text: &str, blocks: &mut Blocks) {
    blocks.data(text);
    blocks.end_block();
}

fn notice(kind: &str, text: &str, blocks: &mut Blocks) {
    blocks.event(kind);
    message(text, blocks);
}

fn close(code: Option<u16>, reason: &[u8], blocks: &mut Blocks) {
    let code = code.unwrap_or(CloseCode::NoStatus.code());
    let advice = serde_json::from_slice(reason).ok();
    let reconnect_after_ms = advice.map(|advice: Advice| advice.reconnect_after_ms);
    let reason = match reconnect_after_ms {
        // A browser's own EventSource obeys this.
        Some(after_ms) => {
            blocks.retry(after_ms);
            Cow::Borrowed(CloseCode::from_code(code).reason())
        }
        None => String::from_utf8_lossy(reason),
    };
    let closed = Closed { code, reason: &reason, reconnect_after_ms };
    // Numbers and text always become JSON, so the empty data is never seen.
    notice("close", &serde_json::to_string(&closed).unwrap_or_default(), blocks);
}

#[cfg(test)]
#[path = "translator_tests.rs"]
mod tests;
