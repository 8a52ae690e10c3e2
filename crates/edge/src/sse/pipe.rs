//! The way from a connection of the hub to the body of its HTTP answer: a bounded buffer
//! that is a socket at one end, and is drained by the HTTP server at the other.
//!
//! It replaces the kernel's send buffer in the hub's eyes: when it is full, what follows
//! waits in the outbox under the policies of slow consumers.

use std::io::{self, ErrorKind, IoSlice};
use std::sync::{Arc, OnceLock, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::BytesMut;
use parking_lot::Mutex;
use redcast_hub::{Connection, HubConfig, Socket};

use crate::socket::WritableSocket;

/// The most that lies in a pipe, bytes.
const PIPE_BYTES: usize = 64 << 10;

/// One event stream's buffer, and what is known of its two ends.
pub(crate) struct Pipe {
    state: Mutex<State>,
    connection: OnceLock<Weak<Connection<PipeSocket>>>,
    patience: Duration,
    #[cfg(feature = "faults")]
    pub(crate) fault: crate::faults::Armed,
}

#[derive(Default)]
struct State {
    bytes: BytesMut,
    /// The HTTP server's task, from the first time that it asked for bytes.
    reader: Option<Waker>,
    /// It waits for bytes, and is not busy with writing older ones.
    reader_waits: bool,
    /// The session's task, while it waits for room or for the end of the socket.
    session: Option<Waker>,
    /// Nothing more will be written.
    ended: bool,
    /// Nothing more will be read.
    gone: bool,
    /// What the HTTP server still holds is not worth waiting for.
    cut: bool,
    timed_out: bool,
    socket_ended: bool,
}

/// The hub's end of a pipe. Dropped, it ends the stream.
pub(crate) struct PipeSocket(Arc<Pipe>);

impl Pipe {
    /// An empty pipe for a hub with this keep-alive.
    pub(crate) fn new(keep_alive: &HubConfig) -> Arc<Self> {
        let HubConfig { idle_timeout, ping_every, .. } = keep_alive;
        // A dead client's kernel stops to acknowledge with the ping after its last sign
        // of life, so that both together make the idle time-out.
        let patience = idle_timeout.saturating_sub(*ping_every).max(*idle_timeout / 2);
        Arc::new(Self {
            state: Mutex::default(),
            connection: OnceLock::new(),
            patience,
            #[cfg(feature = "faults")]
            fault: crate::faults::Armed::default(),
        })
    }

    /// Names the connection whose frames these are.
    pub(crate) fn attach(&self, connection: &Arc<Connection<PipeSocket>>) {
        // A pipe has one connection; a second call would change nothing.
        let _ = self.connection.set(Arc::downgrade(connection));
        if self.state.lock().gone {
            connection.abandon();
        }
    }

    /// How long the client's kernel may acknowledge nothing of what was sent.
    pub(crate) fn patience(&self) -> Duration {
        self.patience
    }

    /// Says that nothing more will be written: what lies here is read, then the body ends.
    pub(crate) fn end(&self) {
        let reader = {
            let mut state = self.state.lock();
            state.ended = true;
            state.reader.clone()
        };
        wake(reader);
    }

    /// Gives up on what the socket has not taken.
    pub(crate) fn cut(&self) {
        let reader = {
            let mut state = self.state.lock();
            (state.ended, state.cut) = (true, true);
            state.bytes = BytesMut::new();
            // Also where it is stuck in a write.
            state.reader.clone()
        };
        wake(reader);
    }

    /// Takes all that lies here; `None` after the end.
    pub(crate) fn poll_take(&self, cx: &mut Context<'_>) -> Poll<Option<BytesMut>> {
        let mut state = self.state.lock();
        state.reader.get_or_insert_with(|| cx.waker().clone()).clone_from(cx.waker());
        state.reader_waits = state.bytes.is_empty();
        if state.reader_waits {
            return if state.ended { Poll::Ready(None) } else { Poll::Pending };
        }
        let bytes = std::mem::take(&mut state.bytes);
        let session = state.session.take();
        drop(state);
        wake(session);
        Poll::Ready(Some(bytes))
    }

    /// Notes that nobody reads any more, which ends the connection.
    pub(crate) fn reader_gone(&self) {
        let session = {
            let mut state = self.state.lock();
            state.gone = true;
            state.bytes = BytesMut::new();
            state.session.take()
        };
        wake(session);
        if let Some(connection) = self.connection() {
            connection.abandon();
        }
    }

    /// Notes that the client's socket took something, its sign of life.
    pub(crate) fn note_taken(&self) {
        if let Some(connection) = self.connection() {
            connection.mark_alive();
        }
    }

    /// Notes why the client's socket failed.
    pub(crate) fn note_failed(&self, error: &io::Error) {
        if error.kind() == ErrorKind::TimedOut {
            self.state.lock().timed_out = true;
        }
    }

    /// Notes that the client's socket is closed.
    pub(crate) fn socket_ended(&self) {
        let session = {
            let mut state = self.state.lock();
            state.socket_ended = true;
            state.session.take()
        };
        wake(session);
    }

    /// Ready when the client's socket is closed.
    pub(crate) fn poll_socket_ended(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.state.lock();
        if state.socket_ended {
            return Poll::Ready(());
        }
        state.session = Some(cx.waker().clone());
        Poll::Pending
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.state.lock().ended
    }

    pub(crate) fn is_cut(&self) -> bool {
        self.state.lock().cut
    }

    /// Whether the client's kernel acknowledged nothing for too long.
    pub(crate) fn has_timed_out(&self) -> bool {
        self.state.lock().timed_out
    }

    fn connection(&self) -> Option<Arc<Connection<PipeSocket>>> {
        self.connection.get().and_then(Weak::upgrade)
    }

    fn write(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut state = self.state.lock();
        if state.ended || state.gone {
            return Err(ErrorKind::BrokenPipe.into());
        }
        let before = state.bytes.len();
        if before >= PIPE_BYTES {
            return Err(ErrorKind::WouldBlock.into());
        }
        for slice in slices {
            let room = PIPE_BYTES - state.bytes.len();
            state.bytes.extend_from_slice(&slice[..slice.len().min(room)]);
        }
        let written = state.bytes.len() - before;
        let waits = std::mem::take(&mut state.reader_waits);
        let reader = state.reader.clone().filter(|_| waits);
        drop(state);
        wake(reader);
        Ok(written)
    }
}

impl PipeSocket {
    pub(crate) fn new(pipe: Arc<Pipe>) -> Self {
        Self(pipe)
    }

    /// What it writes into.
    pub(crate) fn pipe(&self) -> &Arc<Pipe> {
        &self.0
    }
}

impl Drop for PipeSocket {
    fn drop(&mut self) {
        self.0.end();
    }
}

impl Socket for PipeSocket {
    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.try_write_vectored(&[IoSlice::new(bytes)])
    }

    fn try_write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        #[cfg(feature = "faults")]
        self.0.fault.strike();
        self.0.write(slices)
    }
}

impl WritableSocket for PipeSocket {
    fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut state = self.0.state.lock();
        if state.bytes.len() < PIPE_BYTES || state.ended || state.gone {
            return Poll::Ready(Ok(()));
        }
        state.session = Some(cx.waker().clone());
        Poll::Pending
    }
}

fn wake(task: Option<Waker>) {
    if let Some(task) = task {
        task.wake();
    }
}

#[cfg(test)]
#[path = "pipe_tests.rs"]
mod tests;
