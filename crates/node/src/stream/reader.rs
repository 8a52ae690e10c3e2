//! Reads of a stream's history, each once for all who ask for the same at about the same
//! time: after a restart thousands of clients come back with the same cursors.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use redcast_broker::{Broker, Event, HistoryError, Page, ReadLimit};
use redcast_protocol::{Channel, Cursor};
use tokio::sync::OnceCell;
use tokio::time::Instant;

use super::metrics::StreamMetrics;
use super::replay::Replay;

/// How long what was read serves those who come after it. Whoever gets it reads on from
/// its last entry, which Redis then verifies, so age makes it no less exact.
const KEPT_FOR: Duration = Duration::from_secs(1);
/// The most bytes of payloads that are kept for those who come after.
const KEPT_BYTES: usize = 16 << 20;

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
    flights: Mutex<Flights>,
}

#[derive(Default)]
struct Flights {
    under_way: HashMap<(Channel, What), Arc<Flight>>,
    swept: Option<Instant>,
}

struct Flight {
    begun: Instant,
    answer: OnceCell<Answer>,
}

impl Reader {
    pub(crate) fn new(broker: Arc<dyn Broker>, metrics: StreamMetrics) -> Self {
        Self { broker, metrics, flights: Mutex::default() }
    }

    /// Reads, or waits for somebody else's read of the same. If who reads goes away, one of
    /// those who wait reads.
    pub(super) async fn read(&self, channel: &Channel, what: What) -> Answer {
        let flight = self.flight(channel, what);
        let answer = flight.answer.get_or_init(|| self.ask(channel, what)).await.clone();
        let keeps = answer.as_ref().is_ok_and(|replay| !replay.is_empty());
        if !keeps {
            // What is not there now may be there in a moment.
            self.flights.lock().forget(channel, what, &flight);
        }
        answer
    }

    /// Whether the broker confirms the channel at this moment.
    pub(crate) fn is_live(&self, channel: &Channel) -> bool {
        self.broker.is_live(channel)
    }

    fn flight(&self, channel: &Channel, what: What) -> Arc<Flight> {
        let now = Instant::now();
        let mut flights = self.flights.lock();
        flights.sweep(now);
        let key = (channel.clone(), what);
        if let Some(flight) = flights.under_way.get(&key).filter(|flight| flight.serves(now)) {
            self.metrics.reads_saved.inc();
            return flight.clone();
        }
        let flight = Arc::new(Flight { begun: now, answer: OnceCell::new() });
        flights.under_way.insert(key, flight.clone());
        flight
    }

    async fn ask(&self, channel: &Channel, what: What) -> Answer {
        self.metrics.reads.inc();
        let page = match what {
            What::After(since, limit) => self.broker.events_after(channel, since, limit).await?,
            What::Last(count) => last_page(self.broker.last_events(channel, count).await?),
        };
        Ok(Arc::new(Replay::new(channel.clone(), page)))
    }
}

fn last_page(events: Vec<Event>) -> Page {
    let cursor = events.iter().rev().find_map(|event| event.cursor);
    let cursor = cursor.unwrap_or(Cursor::BEGINNING);
    Page { events, gaps: Vec::new(), cursor, is_last: false }
}

impl Flights {
    fn forget(&mut self, channel: &Channel, what: What, flight: &Arc<Flight>) {
        let key = (channel.clone(), what);
        if self.under_way.get(&key).is_some_and(|known| Arc::ptr_eq(known, flight)) {
            self.under_way.remove(&key);
        }
    }

    /// Lets go of what serves nobody any more; now and then, because it looks at all.
    fn sweep(&mut self, now: Instant) {
        if self.swept.is_some_and(|swept| now < swept + KEPT_FOR / 8) {
            return;
        }
        self.swept = Some(now);
        self.under_way.retain(|_, flight| flight.serves(now) || Arc::strong_count(flight) > 1);
        let kept: usize = self.under_way.values().map(|flight| flight.bytes()).sum();
        if kept > KEPT_BYTES {
            self.under_way.retain(|_, flight| flight.bytes() == 0);
        }
    }
}

impl Flight {
    fn serves(&self, now: Instant) -> bool {
        !self.answer.initialized() || now < self.begun + KEPT_FOR
    }

    fn bytes(&self) -> usize {
        match self.answer.get() {
            Some(Ok(replay)) => replay.bytes(),
            Some(Err(_)) | None => 0,
        }
    }
}
