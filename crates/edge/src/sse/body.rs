//! The body of an event stream's answer.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use hyper::body::{Body, Frame};

use super::block::Blocks;
use super::frames::StrangeFrame;
use super::pipe::Pipe;
use super::translator::Translator;

/// Drains a pipe for as long as the HTTP server wants more of it. Dropped, it ends the
/// connection: the client is gone.
pub(crate) struct EventStream {
    pipe: Arc<Pipe>,
    translator: Translator,
    opening: Option<Bytes>,
    #[cfg(feature = "faults")]
    pub(crate) fault: crate::faults::Armed,
}

impl EventStream {
    /// A stream of what `pipe` brings. `retry_after_ms` is what a client should wait
    /// before it connects again, if nothing else was said by then.
    pub(crate) fn new(pipe: Arc<Pipe>, translator: Translator, retry_after_ms: u64) -> Self {
        let mut opening = Blocks::default();
        opening.retry(retry_after_ms);
        // Some bytes at once, because some proxies and clients wait for them.
        opening.comment("open");
        let opening = Some(opening.into_bytes().into());
        Self {
            pipe,
            translator,
            opening,
            #[cfg(feature = "faults")]
            fault: crate::faults::Armed::default(),
        }
    }
}

impl Body for EventStream {
    type Data = Bytes;
    type Error = StrangeFrame;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, StrangeFrame>>> {
        #[cfg(feature = "faults")]
        self.fault.strike();
        if let Some(opening) = self.opening.take() {
            return Poll::Ready(Some(Ok(Frame::data(opening))));
        }
        loop {
            let piece = self.translator.next_piece()?;
            if !piece.is_empty() {
                return Poll::Ready(Some(Ok(Frame::data(piece))));
            }
            if self.translator.has_closed() {
                return Poll::Ready(None);
            }
            match ready!(self.pipe.poll_take(cx)) {
                Some(bytes) => self.translator.feed(bytes),
                None => return Poll::Ready(None),
            }
        }
    }
}

impl Drop for EventStream {
    fn drop(&mut self) {
        if !self.translator.has_closed() {
            self.pipe.reader_gone();
        }
    }
}
