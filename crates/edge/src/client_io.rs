//! A client's socket as the HTTP server sees it: given up when the client takes nothing
//! of an answer, and closed in such a way that the client can read what was said last.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::rt::TokioIo;
use socket2::SockRef;
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep};

use crate::place::SocketPlace;

/// How long a client may take nothing of what is being written to it.
const STALL_TIMEOUT: Duration = Duration::from_secs(10);
/// How long we read and discard after the end of an answer.
const LINGER: Duration = Duration::from_secs(2);
/// How much is discarded before others get their turn, bytes.
const DISCARD_BYTES: usize = 8 << 10;

/// A TCP socket whose writes have a deadline, and whose end is a polite one.
///
/// The HTTP server's own deadline ends with a request's head. Without one for the
/// answer, whoever asks and never reads would keep its place for ever.
///
/// A request that is refused before it was read whole, such as an oversized head,
/// leaves input behind. Closing the socket over it sends RST, at which the client's
/// kernel fails its writes and may throw away the answer. So the end of our side is
/// sent first, and input is discarded until the client's end or a deadline.
///
/// Once the answer is an event stream, no time is set for a write: what waits for a slow
/// client then is the outbox's concern. What the socket takes is the client's sign of life.
pub(crate) struct ClientIo {
    io: TokioIo<TcpStream>,
    place: Arc<SocketPlace>,
    /// Whether the kernel knows how long this client may acknowledge nothing.
    is_timed: bool,
    /// When to give up writing; set while the socket takes nothing.
    stalled: Option<Pin<Box<Sleep>>>,
    /// When to close all the same; set once our side has ended.
    deadline: Option<Pin<Box<Sleep>>>,
}

impl ClientIo {
    pub(crate) fn new(stream: TcpStream, place: Arc<SocketPlace>) -> Self {
        Self { io: TokioIo::new(stream), place, is_timed: false, stalled: None, deadline: None }
    }

    pub(crate) fn into_stream(self) -> TcpStream {
        self.io.into_inner()
    }

    /// Passes on how a write went, or fails it if none has gone on for too long.
    fn in_time(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if let Some(pipe) = self.place.pipe() {
            if !self.is_timed {
                self.is_timed = true;
                // Where the kernel can't, it gives up after many more repeats.
                let _ = SockRef::from(self.io.inner()).set_tcp_user_timeout(Some(pipe.patience()));
            }
            match &written {
                Poll::Ready(Ok(_)) => pipe.note_taken(),
                Poll::Ready(Err(error)) => pipe.note_failed(error),
                Poll::Pending if pipe.is_cut() => return gave_up(),
                Poll::Pending => {}
            }
            if !pipe.has_ended() {
                return written;
            }
        }
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep(STALL_TIMEOUT)));
        ready!(stalled.as_mut().poll(cx));
        gave_up()
    }
}

fn gave_up() -> Poll<io::Result<usize>> {
    Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
}

/// Reads and throws away until the client's end or an error. After each piece others
/// get their turn.
pub(crate) fn poll_discard(stream: &TcpStream, cx: &mut Context<'_>) -> Poll<()> {
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

impl Read for ClientIo {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.io).poll_read(cx, buffer);
        if let Poll::Ready(Err(error)) = &read
            && let Some(pipe) = self.place.pipe()
        {
            pipe.note_failed(error);
        }
        read
    }
}

impl Write for ClientIo {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write(cx, bytes);
        self.in_time(cx, written)
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
        if overdue || poll_discard(self.io.inner(), cx).is_ready() {
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
        let written = Pin::new(&mut self.io).poll_write_vectored(cx, slices);
        self.in_time(cx, written)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use prometheus::IntGauge;
    use tokio::io::AsyncReadExt;
    use tokio::net::TcpListener;
    use tokio::time::{advance, pause};

    use super::*;

    /// Writes until the socket takes no more; answers how much it took.
    async fn fill(io: &mut ClientIo) -> io::Result<usize> {
        let mut taken = 0;
        poll_fn(|cx| {
            loop {
                match Pin::new(&mut *io).poll_write(cx, &[0; 64 << 10]) {
                    Poll::Ready(Ok(count)) => taken += count,
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                    Poll::Pending => return Poll::Ready(Ok(taken)),
                }
            }
        })
        .await
    }

    #[tokio::test]
    async fn a_write_that_stands_still_fails_and_one_that_goes_on_does_not() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let place = SocketPlace::take(&IntGauge::new("sockets", "open").unwrap());
        let mut io = ClientIo::new(listener.accept().await.unwrap().0, place.shared());
        let taken = fill(&mut io).await.unwrap();
        pause();
        assert_eq!(fill(&mut io).await.unwrap(), 0);
        advance(STALL_TIMEOUT - Duration::from_secs(1)).await;
        assert_eq!(fill(&mut io).await.unwrap(), 0);
        // The client takes something: from there the time begins anew.
        client.read_exact(&mut vec![0; taken]).await.unwrap();
        io.io.inner().writable().await.unwrap();
        assert!(fill(&mut io).await.unwrap() > 0);
        advance(STALL_TIMEOUT - Duration::from_secs(1)).await;
        assert_eq!(fill(&mut io).await.unwrap(), 0);
        advance(Duration::from_secs(2)).await;
        assert_eq!(fill(&mut io).await.unwrap_err().kind(), io::ErrorKind::TimedOut);
    }
}
