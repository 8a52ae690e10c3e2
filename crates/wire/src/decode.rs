//! Bytes from a client become messages (RFC 6455 5 and 6.2).
//!
//! A connection that says nothing keeps nothing: an idle [`Decoder`] is a null
//! pointer. A whole message inside what was just read is unmasked where it lies
//! and borrowed from there; only what is incomplete is copied and kept.

use bytes::{Buf, BytesMut};

use crate::close::parse_close;
use crate::fragments::{Fragments, whole_message};
use crate::header::{FrameKind, Header};
use crate::{Flow, Limits, Message, WireError};

/// What one client has sent and is not yet a whole message.
///
/// Holds at most `max_message_size` bytes of fragments, one incomplete frame
/// within the limits, and after [`Flow::Stop`] the rest of the input. A stopped
/// decoder takes more input, but a caller that wants its memory bounded resumes
/// it first.
#[derive(Default)]
pub struct Decoder {
    partial: Option<Box<Partial>>,
}

#[derive(Default)]
struct Partial {
    /// The beginning of a frame, or what a stop left unread; still masked.
    unread: BytesMut,
    fragments: Option<Fragments>,
    /// A close frame was delivered, or an error: nothing more is decoded.
    ended: bool,
}

/// How far one pass over some bytes came.
struct Progress {
    /// Bytes that are done with.
    used: usize,
    /// Bytes without which the next frame can't go on; at least one.
    lacking: usize,
    flow: Flow,
}

impl Decoder {
    /// An idle decoder. Allocates nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Decodes bytes just read, unmasking them in place: calls `on_message` for
    /// each complete message and keeps what is incomplete.
    ///
    /// Answers what `on_message` last answered, [`Flow::Continue`] where it was
    /// not called. After a close frame or an error all further input is dropped.
    ///
    /// # Errors
    /// The first breach of the protocol or of `limits`. The messages before it
    /// have been delivered.
    pub fn feed(
        &mut self,
        input: &mut [u8],
        limits: &Limits,
        on_message: &mut dyn FnMut(Message<'_>) -> Flow,
    ) -> Result<Flow, WireError> {
        let result = self.decode_unread_then(input, limits, on_message);
        if result.is_err() {
            self.end();
        }
        result
    }

    /// Goes on with what was kept after [`Flow::Stop`]; otherwise like
    /// [`Decoder::feed`], errors included.
    pub fn resume(
        &mut self,
        limits: &Limits,
        on_message: &mut dyn FnMut(Message<'_>) -> Flow,
    ) -> Result<Flow, WireError> {
        self.feed(&mut [], limits, on_message)
    }

    /// Whether nothing is held: no partial frame, no fragment, no unread rest.
    pub fn is_idle(&self) -> bool {
        self.partial.is_none() || self.has_ended()
    }

    /// Takes from `input` no more than the frame at the front of the unread
    /// bytes lacks, so that all frames behind it are decoded where they lie.
    fn decode_unread_then(
        &mut self,
        mut input: &mut [u8],
        limits: &Limits,
        on_message: &mut dyn FnMut(Message<'_>) -> Flow,
    ) -> Result<Flow, WireError> {
        let mut unread = self.take_unread();
        while !unread.is_empty() {
            let progress = self.decode(&mut unread, limits, on_message)?;
            unread.advance(progress.used);
            if progress.flow == Flow::Stop || input.is_empty() {
                unread.extend_from_slice(input);
                self.put_away(unread);
                return Ok(progress.flow);
            }
            if !unread.is_empty() {
                let (taken, rest) = input.split_at_mut(progress.lacking.min(input.len()));
                unread.extend_from_slice(taken);
                input = rest;
            }
        }
        let progress = self.decode(input, limits, on_message)?;
        unread.extend_from_slice(&input[progress.used..]);
        self.put_away(unread);
        Ok(progress.flow)
    }

    /// Decodes the whole frames at the front of `bytes`.
    fn decode(
        &mut self,
        bytes: &mut [u8],
        limits: &Limits,
        on_message: &mut dyn FnMut(Message<'_>) -> Flow,
    ) -> Result<Progress, WireError> {
        let mut used = 0;
        let mut flow = Flow::Continue;
        while flow == Flow::Continue {
            if self.has_ended() {
                used = bytes.len();
                break;
            }
            let rest = &mut bytes[used..];
            let Some(header) = Header::parse(rest)? else { break };
            // Before the payload is there: nothing over a limit is ever kept.
            self.admit(&header, limits)?;
            let range = header.payload_range();
            let available = rest.len();
            let Some(payload) = rest.get_mut(range.clone()) else {
                return Ok(Progress { used, lacking: range.end.saturating_sub(available), flow });
            };
            header.unmask(payload);
            used += range.end;
            flow = self.accept(&header, payload, on_message)?;
        }
        Ok(Progress { used, lacking: 1, flow })
    }

    /// Judges a frame by its header and by what came before it.
    fn admit(&self, header: &Header, limits: &Limits) -> Result<(), WireError> {
        let (len, count) = match (header.kind, self.fragments()) {
            (FrameKind::Close | FrameKind::Ping | FrameKind::Pong, _) => return Ok(()),
            (FrameKind::Start(_), Some(_)) => return Err(WireError::InterruptedMessage),
            (FrameKind::Continuation, None) => return Err(WireError::UnexpectedContinuation),
            (FrameKind::Start(_), None) => (0, 0),
            (FrameKind::Continuation, Some(fragments)) => (fragments.len(), fragments.count()),
        };
        let is_whole = header.is_final && header.kind != FrameKind::Continuation;
        if !is_whole && count >= limits.max_fragments {
            return Err(WireError::TooManyFragments { limit: limits.max_fragments });
        }
        let size = header.payload_len.saturating_add(len as u64);
        if size > limits.max_message_size as u64 {
            return Err(WireError::TooBig { size, limit: limits.max_message_size });
        }
        Ok(())
    }

    /// Takes an admitted, unmasked frame; delivers the message it completes.
    fn accept(
        &mut self,
        header: &Header,
        payload: &[u8],
        on_message: &mut dyn FnMut(Message<'_>) -> Flow,
    ) -> Result<Flow, WireError> {
        match header.kind {
            FrameKind::Ping => Ok(on_message(Message::Ping(payload))),
            FrameKind::Pong => Ok(on_message(Message::Pong(payload))),
            FrameKind::Close => {
                let close = parse_close(payload)?;
                self.end();
                Ok(on_message(Message::Close(close)))
            }
            FrameKind::Start(kind) if header.is_final => {
                Ok(on_message(whole_message(kind, payload)?))
            }
            FrameKind::Start(kind) => {
                self.accept_fragment(Fragments::new(kind), header, payload, on_message)
            }
            FrameKind::Continuation => match self.take_fragments() {
                Some(begun) => self.accept_fragment(begun, header, payload, on_message),
                None => Err(WireError::UnexpectedContinuation),
            },
        }
    }

    fn accept_fragment(
        &mut self,
        mut fragments: Fragments,
        header: &Header,
        payload: &[u8],
        on_message: &mut dyn FnMut(Message<'_>) -> Flow,
    ) -> Result<Flow, WireError> {
        fragments.push(payload)?;
        if header.is_final {
            return Ok(on_message(fragments.message()?));
        }
        self.partial.get_or_insert_default().fragments = Some(fragments);
        Ok(Flow::Continue)
    }

    fn fragments(&self) -> Option<&Fragments> {
        self.partial.as_ref()?.fragments.as_ref()
    }

    fn take_fragments(&mut self) -> Option<Fragments> {
        self.partial.as_mut()?.fragments.take()
    }

    fn has_ended(&self) -> bool {
        self.partial.as_ref().is_some_and(|partial| partial.ended)
    }

    /// Forgets everything and stays deaf.
    fn end(&mut self) {
        self.partial = Some(Box::new(Partial { ended: true, ..Partial::default() }));
    }

    fn take_unread(&mut self) -> BytesMut {
        let unread = self.partial.as_mut().map(|partial| std::mem::take(&mut partial.unread));
        unread.unwrap_or_default()
    }

    /// Keeps `unread`, or frees everything if there is nothing left to keep.
    fn put_away(&mut self, unread: BytesMut) {
        if self.has_ended() {
            return;
        }
        if unread.is_empty() && self.fragments().is_none() {
            self.partial = None;
        } else {
            self.partial.get_or_insert_default().unread = unread;
        }
    }

    /// How many bytes of the client's are held.
    #[cfg(test)]
    fn held_bytes(&self) -> usize {
        let unread = self.partial.as_ref().map_or(0, |partial| partial.unread.len());
        unread + self.fragments().map_or(0, Fragments::len)
    }
}

#[cfg(test)]
#[path = "decode_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "decode_properties.rs"]
mod properties;
