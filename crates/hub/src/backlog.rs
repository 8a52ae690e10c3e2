//! What waits for one slow connection: whole frames, in order, within a bound.
//!
//! The frame in progress is on the wire in part and can't be taken back. Behind
//! it go a pong and a ping (at most one of each: RFC 6455 section 5.5.3 lets the
//! latest pong answer all pings), then replies and events, then the close frame.
//! Frames are the events' own buffers, never slices of a joined one, so what
//! waits on a thousand slow connections is held once.

use std::io::IoSlice;
use std::task::Waker;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;

use crate::broadcast::{Broadcast, ChannelKey, SlowConsumer, WHOLE_CHANNEL};
use crate::metrics::HubMetrics;
use crate::waiting::{Waiting, cost};

/// How much one flush offers to the socket: the thread's other connections wait.
const FLUSH_BYTES: usize = 64 << 10;
const FLUSH_SLICES: usize = 64;

/// Events of a channel that one connection will not get.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loss {
    /// The channel.
    pub channel: ChannelKey,
    /// How many events were dropped.
    pub dropped: u64,
    /// When the first was dropped, Unix milliseconds.
    pub from_ms: u64,
    /// When the last was dropped, Unix milliseconds.
    pub to_ms: u64,
}

/// What may be done to a waiting frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The answer to the latest ping: an unsent older one is no longer needed.
    Pong,
    /// A ping: an unsent older one does the same work.
    Ping,
    /// A reply or a notice: never dropped.
    Reply,
    /// An event under its channel's policy, about nothing that a newer one replaces.
    Event(ChannelKey, SlowConsumer),
    /// An event of a `keep_latest` channel about this item of it.
    Latest(ChannelKey, u64),
    /// The state of something as a whole: an unsent older one is no longer needed, and
    /// as the next one says all of it again, losing one is no loss to tell of.
    Beat(ChannelKey),
}

impl Kind {
    /// What a channel's message is on a connection.
    pub(crate) fn of(message: &Broadcast) -> Self {
        match (message.received, message.policy, message.item) {
            (None, SlowConsumer::KeepLatest, Some(WHOLE_CHANNEL)) => Self::Beat(message.channel),
            (None, ..) => Self::Reply,
            (_, SlowConsumer::KeepLatest, Some(item)) => Self::Latest(message.channel, item),
            (_, policy, _) => Self::Event(message.channel, policy),
        }
    }

    /// How many deliveries of events it counts for: a reply and a beat are none.
    pub(crate) fn events(self) -> u64 {
        u64::from(matches!(self, Self::Event(..) | Self::Latest(..)))
    }

    /// The item in whose place a newer event goes.
    pub(crate) fn item(self) -> Option<(ChannelKey, u64)> {
        match self {
            Self::Latest(channel, item) => Some((channel, item)),
            Self::Beat(channel) => Some((channel, WHOLE_CHANNEL)),
            Self::Pong | Self::Ping | Self::Reply | Self::Event(..) => None,
        }
    }

    /// Whether it is given up when there is no room.
    pub(crate) fn is_droppable(self) -> bool {
        match self {
            Self::Event(_, policy) => policy != SlowConsumer::Disconnect,
            Self::Latest(..) | Self::Beat(_) => true,
            Self::Pong | Self::Ping | Self::Reply => false,
        }
    }
}

/// The limit is reached and nothing that waits may be dropped.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Full;

#[derive(Debug)]
struct InProgress {
    frame: Bytes,
    written: usize,
}

#[derive(Debug)]
pub(crate) struct Backlog {
    current: Option<InProgress>,
    pong: Option<Bytes>,
    ping: Option<Bytes>,
    queue: Waiting,
    close: Option<Bytes>,
    waiting_bytes: usize,
    losses: Vec<Loss>,
    metrics: HubMetrics,
    /// Who waits until nothing waits any more.
    drained: Option<Waker>,
}

impl Backlog {
    pub(crate) fn new(metrics: HubMetrics) -> Self {
        Self {
            current: None,
            pong: None,
            ping: None,
            queue: Waiting::default(),
            close: None,
            waiting_bytes: 0,
            losses: Vec::new(),
            metrics,
            drained: None,
        }
    }

    /// Keeps the rest of a frame of which the socket took `written` bytes.
    pub(crate) fn begin(&mut self, frame: Bytes, written: usize) {
        debug_assert!(self.current.is_none() && written < frame.len());
        self.current = Some(InProgress { frame, written });
    }

    /// Queues a frame behind those of its kind. With nothing else waiting, one of any
    /// size is taken, or an event as large as the limit could reach no one.
    pub(crate) fn push(&mut self, frame: Bytes, kind: Kind, limit: usize) -> Result<(), Full> {
        match kind {
            Kind::Pong => self.pong = Some(frame),
            Kind::Ping => self.ping = Some(frame),
            Kind::Reply | Kind::Event(..) | Kind::Latest(..) | Kind::Beat(_) => {
                return self.queue(frame, kind, limit);
            }
        }
        Ok(())
    }

    fn queue(&mut self, frame: Bytes, kind: Kind, limit: usize) -> Result<(), Full> {
        if let Some((place, before)) = self.queue.same_item(kind) {
            self.metrics.conflated.inc();
            if self.waiting_bytes - before + frame.len() <= limit {
                self.change_waiting(before, frame.len());
                self.queue.replace(place, frame);
                return Ok(());
            }
            // Too large for the place of the older one, so it must make room like any other.
            let older = self.queue.remove(place);
            self.no_longer_waits(older.as_ref());
        }
        let cost = cost(&frame, kind);
        while !self.queue.is_empty() && self.waiting_bytes + cost > limit {
            if self.drop_oldest() {
                continue;
            }
            if !kind.is_droppable() {
                return Err(Full);
            }
            self.count_loss(kind);
            return Ok(());
        }
        self.change_waiting(0, cost);
        self.queue.push(frame, kind);
        Ok(())
    }

    /// Wakes this one when the backlog is gone, written or given up.
    pub(crate) fn wake_when_gone(&mut self, waker: &Waker) {
        self.drained = Some(waker.clone());
    }

    /// Queues the close frame behind everything else.
    pub(crate) fn push_close(&mut self, frame: Bytes) {
        self.close = Some(frame);
    }

    /// Forgets what was not begun; answers how many events that were.
    pub(crate) fn discard_queue(&mut self) -> u64 {
        let count = self.queue.iter().map(|(_, kind)| kind.events()).sum();
        self.queue.clear();
        self.pong = None;
        self.ping = None;
        self.change_waiting(self.waiting_bytes, 0);
        count
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.current.is_none()
            && self.pong.is_none()
            && self.ping.is_none()
            && self.queue.is_empty()
            && self.close.is_none()
    }

    /// Losses of a client that has not caught up for `patience`: it may never do,
    /// and should not wait for ever to be told.
    pub(crate) fn take_overdue_losses(&mut self, patience: Duration) -> Vec<Loss> {
        let patience = u64::try_from(patience.as_millis()).unwrap_or(u64::MAX);
        let due = unix_ms().saturating_sub(patience);
        if self.losses.iter().any(|loss| loss.from_ms <= due) {
            return self.take_losses();
        }
        Vec::new()
    }

    pub(crate) fn take_losses(&mut self) -> Vec<Loss> {
        std::mem::take(&mut self.losses)
    }

    /// Offers what waits, in order, to `write`, at most some 64 KiB at once.
    pub(crate) fn offer<T>(&self, write: impl FnOnce(&[IoSlice<'_>]) -> T) -> T {
        let mut slices = [IoSlice::new(&[]); FLUSH_SLICES];
        let (mut count, mut bytes) = (0, 0);
        let current = self.current.iter().map(|begun| &begun.frame[begun.written..]);
        let urgent = self.pong.iter().chain(&self.ping).map(|frame| &frame[..]);
        let queued = self.queue.iter().map(|(frame, _)| &frame[..]);
        let close = self.close.iter().map(|frame| &frame[..]);
        for slice in current.chain(urgent).chain(queued).chain(close).take(FLUSH_SLICES) {
            let slice = &slice[..slice.len().min(FLUSH_BYTES - bytes)];
            slices[count] = IoSlice::new(slice);
            count += 1;
            bytes += slice.len();
            if bytes >= FLUSH_BYTES {
                break;
            }
        }
        write(&slices[..count])
    }

    /// Takes `written` bytes off the front, in the order of [`Self::offer`].
    pub(crate) fn advance(&mut self, mut written: usize) {
        while written > 0 {
            let Some(mut begun) = self.current.take().or_else(|| self.next_frame()) else {
                debug_assert!(false, "more was written than waited");
                return;
            };
            let rest = begun.frame.len() - begun.written;
            if written < rest {
                begun.written += written;
                self.current = Some(begun);
                return;
            }
            written -= rest;
        }
    }

    fn next_frame(&mut self) -> Option<InProgress> {
        let urgent = self.pong.take().or_else(|| self.ping.take());
        let frame = urgent.or_else(|| self.pop_queue()).or_else(|| self.close.take())?;
        Some(InProgress { frame, written: 0 })
    }

    fn pop_queue(&mut self) -> Option<Bytes> {
        let first = self.queue.pop();
        self.no_longer_waits(first.as_ref());
        first.map(|(frame, _)| frame)
    }

    fn drop_oldest(&mut self) -> bool {
        let Some(place) = self.queue.oldest_droppable() else { return false };
        let oldest = self.queue.remove(place);
        self.no_longer_waits(oldest.as_ref());
        if let Some((_, kind)) = oldest {
            self.count_loss(kind);
        }
        true
    }

    fn count_loss(&mut self, kind: Kind) {
        let (Kind::Event(channel, _) | Kind::Latest(channel, _)) = kind else { return };
        self.metrics.dropped_oldest.inc();
        let now = unix_ms();
        if let Some(loss) = self.losses.iter_mut().find(|loss| loss.channel == channel) {
            loss.dropped += 1;
            loss.to_ms = now;
        } else {
            self.losses.push(Loss { channel, dropped: 1, from_ms: now, to_ms: now });
        }
    }

    fn no_longer_waits(&mut self, taken: Option<&(Bytes, Kind)>) {
        let cost = taken.map_or(0, |(frame, kind)| cost(frame, *kind));
        self.change_waiting(cost, 0);
    }

    // The gauge and the field change together, here and in Drop.
    fn change_waiting(&mut self, less: usize, more: usize) {
        self.waiting_bytes = self.waiting_bytes + more - less;
        self.metrics.outbox_bytes.add(more as i64 - less as i64);
    }
}

impl Drop for Backlog {
    fn drop(&mut self) {
        self.change_waiting(self.waiting_bytes, 0);
        if let Some(waker) = self.drained.take() {
            waker.wake();
        }
    }
}

fn unix_ms() -> u64 {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
#[path = "backlog_tests.rs"]
mod tests;
