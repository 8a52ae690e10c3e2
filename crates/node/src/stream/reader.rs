//! Reads of a stream's history, each once for all who ask for the same at about the same
//! time: after a restart thousands of clients come back with the same cursors.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use redcast_broker::{Broker, HistoryError, ReadLimit};
use redcast_protocol::{Channel, Cursor};
use tokio::sync::{Notify, OnceCell};
use tokio::time::{Instant, sleep};

use super::metrics::StreamMetrics;
use super::replay::Replay;

/// How long what was read serves those who come after the one before: in a storm of clients
/// that come back, all of it. Whoever gets it reads on from its last entry, which Redis then
/// verifies, so age makes it no less exact. What the last events are changes with time, so
/// that is kept no longer, however many come.
const KEPT_FOR: Duration = Duration::from_secs(1);
/// The most bytes that are kept for those who come after, frames and all.
const KEPT_BYTES: usize = 16 << 20;
/// How often it is looked at what is kept in vain.
const SWEEP_EVERY: Duration = Duration::from_millis(125);

/// What is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum What {
    /// Events after a place, within bounds.
    After(Cursor, ReadLimit),
    /// The last events.
    Last(usize),
}

type Answer = Result<Arc<Replay>, HistoryError>;

/// The way to a stream's history.
pub(crate) struct Reader {
    broker: Arc<dyn Broker>,
    metrics: StreamMetrics,
    /// How much of the last events one client may be sent.
    replay_bytes: usize,
    flights: Mutex<Flights>,
    took_off: Notify,
}

#[derive(Default)]
struct Flights {
    under_way: HashMap<(Channel, What), Seat>,
    /// What all of them take.
    bytes: usize,
}

struct Seat {
    flight: Arc<Flight>,
    /// From when on [`KEPT_FOR`] counts.
    since: Instant,
    bytes: usize,
}

#[derive(Default)]
struct Flight {
    answer: OnceCell<Answer>,
}

impl Reader {
    pub(crate) fn new(
        broker: Arc<dyn Broker>,
        metrics: StreamMetrics,
        replay_bytes: usize,
    ) -> Self {
        let (flights, took_off) = Default::default();
        Self { broker, metrics, replay_bytes, flights, took_off }
    }

    /// Lets go of what was read in time, and of what nobody waits for any more. Works until
    /// it is dropped.
    pub(crate) async fn sweep(&self) {
        loop {
            if self.flights.lock().sweep(Instant::now()) {
                self.took_off.notified().await;
            }
            sleep(SWEEP_EVERY).await;
        }
    }

    /// Reads, or waits for somebody else's read of the same. If who reads goes away, one of
    /// those who wait reads.
    pub(super) async fn read(&self, channel: &Channel, what: What) -> Answer {
        let flight = self.flight(channel, what);
        let answer = flight.answer.get_or_init(|| self.ask(channel, what)).await.clone();
        let mut flights = self.flights.lock();
        match &answer {
            Ok(replay) if !replay.is_empty() => flights.keep((channel, what), &flight, replay),
            // What is not there now may be there in a moment.
            _ => flights.forget((channel, what), &flight),
        }
        drop(flights);
        answer
    }

    /// Whether the broker confirms the channel at this moment.
    pub(crate) fn is_live(&self, channel: &Channel) -> bool {
        self.broker.is_live(channel)
    }

    fn flight(&self, channel: &Channel, what: What) -> Arc<Flight> {
        let now = Instant::now();
        let mut flights = self.flights.lock();
        let key = (channel.clone(), what);
        if let Some(seat) = flights.under_way.get_mut(&key).filter(|seat| seat.serves(now)) {
            self.metrics.reads_saved.inc();
            if matches!(what, What::After(..)) {
                seat.since = now;
            }
            return seat.flight.clone();
        }
        flights.remove(&key);
        let flight = Arc::new(Flight::default());
        flights.under_way.insert(key, Seat { flight: flight.clone(), since: now, bytes: 0 });
        drop(flights);
        self.took_off.notify_one();
        flight
    }

    async fn ask(&self, channel: &Channel, what: What) -> Answer {
        self.metrics.reads.inc();
        let name = channel.clone();
        Ok(Arc::new(match what {
            What::After(since, limit) => {
                Replay::new(name, self.broker.events_after(channel, since, limit).await?)
            }
            What::Last(count) => {
                let last = self.broker.last_events(channel, count).await?;
                Replay::of_last(name, last, self.replay_bytes)
            }
        }))
    }
}

impl Flights {
    /// Charges what was read, and lets go of everything that was before if that is too much.
    fn keep(&mut self, (channel, what): (&Channel, What), flight: &Arc<Flight>, replay: &Replay) {
        let Some(seat) = self.under_way.get_mut(&(channel.clone(), what)) else { return };
        if seat.bytes > 0 || !Arc::ptr_eq(&seat.flight, flight) {
            return;
        }
        seat.bytes = replay.bytes();
        self.bytes += seat.bytes;
        if self.bytes > KEPT_BYTES {
            self.under_way.retain(|_, seat| seat.bytes == 0);
            self.bytes = 0;
        }
    }

    fn forget(&mut self, (channel, what): (&Channel, What), flight: &Arc<Flight>) {
        let key = (channel.clone(), what);
        if self.under_way.get(&key).is_some_and(|seat| Arc::ptr_eq(&seat.flight, flight)) {
            self.remove(&key);
        }
    }

    fn remove(&mut self, key: &(Channel, What)) {
        self.bytes -= self.under_way.remove(key).map_or(0, |seat| seat.bytes);
    }

    /// Lets go of what serves nobody any more; answers whether nothing is left. Where
    /// nothing was read so far, somebody still waits for it, or has gone away.
    fn sweep(&mut self, now: Instant) -> bool {
        let mut freed = 0;
        self.under_way.retain(|_, seat| {
            let is_read = seat.flight.answer.initialized();
            let stays = (is_read && seat.serves(now)) || Arc::strong_count(&seat.flight) > 1;
            freed += if stays { 0 } else { seat.bytes };
            stays
        });
        self.bytes -= freed;
        self.under_way.is_empty()
    }
}

impl Seat {
    fn serves(&self, now: Instant) -> bool {
        !self.flight.answer.initialized() || now < self.since + KEPT_FOR
    }
}

#[cfg(test)]
#[path = "reader_tests.rs"]
mod tests;
