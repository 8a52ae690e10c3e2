//! One client's connection, shared by the task that reads it and by its shard.

use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::task::Waker;
use std::time::{Duration, Instant};

use atomic_waker::AtomicWaker;
use bytes::Bytes;
use parking_lot::Mutex;
use redcast_protocol::CloseCode;

use crate::backlog::{Kind, Loss};
use crate::broadcast::Encoding;
use crate::config::HubConfig;
use crate::metrics::HubMetrics;
use crate::outbox::{Closing, Delivered, Outbox, Share};
use crate::socket::Socket;

/// A connection as its shard holds it.
pub type Member = Connection<dyn Socket>;

/// How long a client that does not catch up waits to be told what it lost.
const TELL_AFTER: Duration = Duration::from_secs(5);
const NO_SLOT: u32 = u32::MAX;

/// What every connection of a hub shares.
#[derive(Debug)]
pub(crate) struct Common {
    pub(crate) config: HubConfig,
    pub(crate) metrics: HubMetrics,
    /// Where the clock of `last_seen` starts.
    pub(crate) started: Instant,
}

/// One client's connection.
///
/// The socket stands last and unsized, so that the hub can hold connections
/// over any socket without a second allocation.
pub struct Connection<S: Socket + ?Sized> {
    common: Arc<Common>,
    outbox: Mutex<Outbox>,
    /// The session's task; woken when something waits or the connection ends.
    session: AtomicWaker,
    /// Milliseconds since the hub started, wrapping after 49 days.
    last_seen: AtomicU32,
    /// Place in the shard's list; written by the shard's task alone.
    slot: AtomicU32,
    departed: AtomicBool,
    pub(crate) shard: u16,
    encoding: Encoding,
    socket: S,
}

/// What one flush achieved.
#[derive(Debug, PartialEq, Eq)]
pub enum Flush {
    /// Nothing waits any more. The losses are what the client should be told.
    Drained(Vec<Loss>),
    /// The socket took part of it; it may take more at once.
    More,
    /// The socket takes nothing now: wait until it is writable.
    Blocked,
    /// The socket is dead.
    Broken,
}

impl<S: Socket + ?Sized> Connection<S> {
    pub(crate) fn new(common: Arc<Common>, shard: u16, encoding: Encoding, socket: S) -> Self
    where
        S: Sized,
    {
        let connection = Self {
            common,
            outbox: Mutex::default(),
            session: AtomicWaker::new(),
            last_seen: AtomicU32::new(0),
            slot: AtomicU32::new(NO_SLOT),
            departed: AtomicBool::new(false),
            shard,
            encoding,
            socket,
        };
        connection.mark_alive();
        connection
    }

    /// The socket, for the session that reads it.
    pub fn socket(&self) -> &S {
        &self.socket
    }

    /// How this connection gets its events.
    pub fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// Which shard it belongs to.
    pub fn shard(&self) -> usize {
        usize::from(self.shard)
    }

    /// Notes a sign of life from the client.
    pub fn mark_alive(&self) {
        self.last_seen.store(self.clock_ms(), Ordering::Relaxed);
    }

    /// How long ago the last sign of life came.
    pub fn idle_for(&self) -> Duration {
        let last_seen = self.last_seen.load(Ordering::Relaxed);
        Duration::from_millis(u64::from(self.clock_ms().wrapping_sub(last_seen)))
    }

    fn clock_ms(&self) -> u32 {
        // The wrap is meant: only differences are used.
        self.common.started.elapsed().as_millis() as u32
    }

    /// Sends a reply or a notice; it is never dropped, but a client too slow for
    /// its replies is closed with 4409.
    pub fn send(&self, frame: &Bytes) {
        self.send_as(frame, Kind::Reply);
    }

    /// Answers a ping. On a slow connection the latest pong stands for all.
    #[expect(clippy::needless_pass_by_value, reason = "its caller has no other use for it")]
    pub fn pong(&self, frame: Bytes) {
        self.send_as(&frame, Kind::Pong);
    }

    /// Pings. On a slow connection one unsent ping is enough.
    pub(crate) fn ping(&self, frame: &Bytes) {
        self.send_as(frame, Kind::Ping);
    }

    fn send_as(&self, frame: &Bytes, kind: Kind) {
        let settings = self.settings();
        let sent = self.outbox.lock().send(&self.socket, frame, kind, settings);
        self.common.metrics.bytes_out.inc_by(sent.bytes);
        if sent.wake {
            self.session.wake();
        }
    }

    pub(crate) fn deliver(&self, share: &Share<'_>) -> Delivered {
        let settings = self.settings();
        let delivered = self.outbox.lock().deliver(&self.socket, share, self.encoding, settings);
        if delivered.wake {
            self.session.wake();
        }
        delivered
    }

    /// Ends the connection with `code`; the close frame goes right behind the
    /// frame in progress. Later calls change nothing.
    pub fn close(&self, code: CloseCode, reason: &str) {
        self.end(code, reason, false);
    }

    /// Ends the connection with `code` after what already waits for it.
    pub fn close_after_flush(&self, code: CloseCode, reason: &str) {
        self.end(code, reason, true);
    }

    fn end(&self, code: CloseCode, reason: &str, flush: bool) {
        if self.outbox.lock().close(code, reason, flush, &self.common.metrics) {
            self.session.wake();
        }
    }

    /// Ends the connection without a close frame, because its socket is dead.
    pub fn abandon(&self) {
        self.outbox.lock().broken(&self.common.metrics);
        self.session.wake();
    }

    /// Whether and why the connection is being closed.
    pub fn closing(&self) -> Option<Closing> {
        self.outbox.lock().closing()
    }

    /// Whether nothing waits to be written.
    pub fn is_drained(&self) -> bool {
        self.outbox.lock().is_idle()
    }

    /// Waits until nothing waits to be written, or the socket is dead. For one waiter at
    /// a time, and the session must go on flushing.
    pub async fn drained(&self) {
        poll_fn(|cx| self.outbox.lock().poll_drained(cx.waker())).await;
    }

    /// Losses of some seconds ago that the client has not been told, because it has
    /// not caught up since.
    pub fn overdue_losses(&self) -> Vec<Loss> {
        self.outbox.lock().overdue_losses(TELL_AFTER)
    }

    /// Offers what waits to the socket, some 64 KiB at most.
    pub fn flush(&self) -> Flush {
        match self.outbox.lock().flush(&self.socket, &self.common.metrics) {
            Ok((true, losses)) => Flush::Drained(losses),
            Ok((false, _)) => Flush::More,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Flush::Blocked,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Flush::More,
            Err(_) => Flush::Broken,
        }
    }

    /// Registers the session's task, to be woken when something waits or the
    /// connection ends.
    pub fn register(&self, waker: &Waker) {
        self.session.register(waker);
    }

    pub(crate) fn mark_departed(&self) {
        self.departed.store(true, Ordering::Release);
    }

    pub(crate) fn has_departed(&self) -> bool {
        self.departed.load(Ordering::Acquire)
    }

    pub(crate) fn slot(&self) -> Option<usize> {
        let slot = self.slot.load(Ordering::Relaxed);
        (slot != NO_SLOT).then_some(slot as usize)
    }

    pub(crate) fn set_slot(&self, slot: Option<usize>) {
        let slot = slot.and_then(|slot| u32::try_from(slot).ok()).unwrap_or(NO_SLOT);
        self.slot.store(slot, Ordering::Relaxed);
    }

    fn settings(&self) -> (usize, &HubMetrics) {
        (self.common.config.outbox_limit, &self.common.metrics)
    }
}

#[cfg(test)]
#[path = "connection_tests.rs"]
mod tests;
