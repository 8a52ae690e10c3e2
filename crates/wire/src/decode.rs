//! Bytes from a client become messages (RFC 6455 5 and 6.2).
//!
//! A connection that says nothing keeps nothing: an idle [`Decoder`] is a null
//! pointer. A whole message inside what was just read is unmasked where it lies
//! and borrowed from there; only what is incomplete is copied and kept.

use bytes::{Buf, BytesMut};

use crate::close::parse_close;
use crate::deflate::longest_compressed;
use crate::fragments::{Fragments, whole_message};
use crate::header::{DataKind, FrameKind, Header};
use crate::{Flow, Inflater, Limits, Message, WireError};

/// What one client has sent and is not yet a whole message.
///
/// Holds at most `max_message_size` bytes of fragments (compressed ones as they
/// came, at most a quarter more), one incomplete frame within the limits, and after
/// [`Flow::Stop`] the rest of the input. A stopped decoder takes more input, but a
/// caller that wants its memory bounded resumes it first.
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

/// What one call was given to judge by, to work with and to tell.
struct Call<'a> {
    limits: &'a Limits,
    inflater: Option<&'a mut Inflater>,
    on_message: &'a mut dyn FnMut(Message<'_>) -> Flow,
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
    /// With an `inflater`, compression was agreed on for this connection; it serves
    /// one call at a time and so may serve many connections.
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
        inflater: Option<&mut Inflater>,
        on_message: &mut dyn FnMut(Message<'_>) -> Flow,
    ) -> Result<Flow, WireError> {
        let mut call = Call { limits, inflater, on_message };
        let result = self.decode_unread_then(input, &mut call);
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
        inflater: Option<&mut Inflater>,
        on_message: &mut dyn FnMut(Message<'_>) -> Flow,
    ) -> Result<Flow, WireError> {
        self.feed(&mut [], limits, inflater, on_message)
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
        call: &mut Call<'_>,
    ) -> Result<Flow, WireError> {
        let mut unread = self.take_unread();
        while !unread.is_empty() {
            let progress = self.decode(&mut unread, call)?;
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
        let progress = self.decode(input, call)?;
        unread.extend_from_slice(&input[progress.used..]);
        self.put_away(unread);
        Ok(progress.flow)
    }

    /// Decodes the whole frames at the front of `bytes`.
    fn decode(&mut self, bytes: &mut [u8], call: &mut Call<'_>) -> Result<Progress, WireError> {
        let mut used = 0;
        let mut flow = Flow::Continue;
        while flow == Flow::Continue {
            if self.has_ended() {
                used = bytes.len();
                break;
            }
            let rest = &mut bytes[used..];
            let Some(header) = Header::parse(rest, call.inflater.is_some())? else { break };
            // Before the payload is there: nothing over a limit is ever kept.
            self.admit(&header, call.limits)?;
            let range = header.payload_range();
            let available = rest.len();
            let Some(payload) = rest.get_mut(range.clone()) else {
                return Ok(Progress { used, lacking: range.end.saturating_sub(available), flow });
            };
            header.unmask(payload);
            used += range.end;
            flow = self.accept(&header, payload, call)?;
        }
        Ok(Progress { used, lacking: 1, flow })
    }

    /// Judges a frame by its header and by what came before it.
    fn admit(&self, header: &Header, limits: &Limits) -> Result<(), WireError> {
        let (len, count, is_compressed) = match (header.kind, self.fragments()) {
            (FrameKind::Close | FrameKind::Ping | FrameKind::Pong, _) => return Ok(()),
            (FrameKind::Start(_), Some(_)) => return Err(WireError::InterruptedMessage),
            (FrameKind::Continuation, None) => return Err(WireError::UnexpectedContinuation),
            (FrameKind::Start(_), None) => (0, 0, header.is_compressed),
            (FrameKind::Continuation, Some(fragments)) => {
                (fragments.len(), fragments.count(), fragments.is_compressed())
            }
        };
        let is_whole = header.is_final && header.kind != FrameKind::Continuation;
        if !is_whole && count >= limits.max_fragments {
            return Err(WireError::TooManyFragments { limit: limits.max_fragments });
        }
        let size = header.payload_len.saturating_add(len as u64);
        let limit = limits.max_message_size;
        let longest = if is_compressed { longest_compressed(limit) } else { limit };
        if size > longest as u64 {
            return Err(WireError::TooBig { size, limit });
        }
        Ok(())
    }

    /// Takes an admitted, unmasked frame; delivers the message it completes.
    fn accept(
        &mut self,
        header: &Header,
        payload: &[u8],
        call: &mut Call<'_>,
    ) -> Result<Flow, WireError> {
        match header.kind {
            FrameKind::Ping => Ok((call.on_message)(Message::Ping(payload))),
            FrameKind::Pong => Ok((call.on_message)(Message::Pong(payload))),
            FrameKind::Close => {
                let close = parse_close(payload)?;
                self.end();
                Ok((call.on_message)(Message::Close(close)))
            }
            FrameKind::Start(kind) if header.is_final => {
                call.deliver(kind, header.is_compressed, payload)
            }
            FrameKind::Start(kind) => {
                let begun = Fragments::new(kind, header.is_compressed);
                self.accept_fragment(begun, header, payload, call)
            }
            FrameKind::Continuation => match self.take_fragments() {
                Some(begun) => self.accept_fragment(begun, header, payload, call),
                None => Err(WireError::UnexpectedContinuation),
            },
        }
    }

    fn accept_fragment(
        &mut self,
        mut fragments: Fragments,
        header: &Header,
        payload: &[u8],
        call: &mut Call<'_>,
    ) -> Result<Flow, WireError> {
        fragments.push(payload)?;
        if header.is_final {
            let (kind, payload) = fragments.payload();
            return call.deliver(kind, fragments.is_compressed(), payload);
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

impl Call<'_> {
    /// Delivers the message of a whole payload.
    fn deliver(
        &mut self,
        kind: DataKind,
        is_compressed: bool,
        payload: &[u8],
    ) -> Result<Flow, WireError> {
        let Self { limits, inflater, on_message } = self;
        let mut read = |payload: &[u8]| Ok(on_message(whole_message(kind, payload)?));
        match inflater {
            _ if !is_compressed => read(payload),
            Some(inflater) => inflater.inflate(payload, limits.max_message_size, read),
            // The caller took the inflater away in the middle of a message.
            None => Err(WireError::ReservedBit),
        }
    }
}

#[cfg(test)]
#[path = "decode_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "decode_deflate_tests.rs"]
mod deflate_tests;

#[cfg(test)]
#[path = "decode_properties.rs"]
mod properties;
