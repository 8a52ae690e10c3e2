//! A client's socket as the HTTP server sees it, closed in such a way that the client
//! can read what was said to it last.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep};

/// How long we read and discard after the end of an answer.
const LINGER: Duration = Duration::from_secs(2);
/// How much is discarded before others get their turn, bytes.
const DISCARD_BYTES: usize = 8 << 10;

/// A TCP socket whose end is a polite one.
///
/// A request that is refused before it was read whole, such as an oversized head,
/// leaves input behind. Closing the socket over it sends RST, at which the client's
/// kernel fails its writes and may throw away the answer. So the end of our side is
/// sent first, and input is discarded until the client's end or a deadline.
pub(crate) struct ClientIo {
    io: TokioIo<TcpStream>,
    /// When to close all the same; set once our side has ended.
    deadline: Option<Pin<Box<Sleep>>>,
}

impl ClientIo {
    pub(crate) fn new(stream: TcpStream) -> Self {
        Self { io: TokioIo::new(stream), deadline: None }
    }

    pub(crate) fn into_stream(self) -> TcpStream {
        self.io.into_inner()
    }

    fn poll_discard(&self, cx: &mut Context<'_>) -> Poll<()> {
        let stream = self.io.inner();
        let mut rest = [0; DISCARD_BYTES];
        while ready!(stream.poll_read_ready(cx)).is_ok() {
            match stream.try_read(&mut rest) {
                Ok(0) => break,
                Ok(_) => {
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => break,
            }
        }
        Poll::Ready(())
    }
}

impl Read for ClientIo {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buffer)
    }
}

impl Write for ClientIo {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.deadline.is_none() {
            ready!(Pin::new(&mut self.io).poll_shutdown(cx))?;
            self.deadline = Some(Box::pin(sleep(LINGER)));
        }
        let overdue =
            self.deadline.as_mut().is_some_and(|until| until.as_mut().poll(cx).is_ready());
        if overdue || self.poll_discard(cx).is_ready() {
            return Poll::Ready(Ok(()));
        }
        Poll::Pending
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, slices)
    }
}
