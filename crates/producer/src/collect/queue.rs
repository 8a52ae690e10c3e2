//! From many requests to few calls of the store: whatever waits while one call is under
//! way becomes the next one.
//!
//! Without load a view goes at once and alone; under load calls grow, up to a bound, and
//! their number stays that of the store's answers.
//!
//! When the store is away, whatever waits is told so with the call that found out: each
//! further call would take its whole time too, and nobody's browser waits for that.

use std::mem;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior};
use tracing::{info, warn};

use super::metrics::CollectMetrics;
use super::refusal::Outcome;
use crate::page_view::PageView;
use crate::salts::{Day, Salt};
use crate::store::{Store, StoreError};

/// Views of one call of the store.
const MAX_BATCH: usize = 512;
/// Between two moments at which the figures follow the clock.
const REFRESH_EVERY: Duration = Duration::from_secs(1);
/// For how long the day's salt is used before the store is asked again: it may have lost
/// it, and another collector may have drawn a new one since.
const SALT_HOLDS: Duration = Duration::from_secs(10);

/// Who looks, until the hash of it is made; never kept or written down.
pub(super) struct Visitor {
    pub(super) site: String,
    pub(super) address: IpAddr,
    pub(super) agent: String,
}

struct Waiting {
    visitor: Visitor,
    view: PageView,
    done: oneshot::Sender<Result<(), StoreError>>,
}

/// Why a view was not taken in.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum QueueError {
    /// Too many wait already.
    Full,
    /// The store did not take it.
    Store(StoreError),
}

/// Where requests hand their views in.
pub(super) struct Queue {
    sender: mpsc::Sender<Waiting>,
    works: Arc<AtomicBool>,
    // Dropping it ends the writer.
    _writer: JoinSet<()>,
}

impl Queue {
    /// Starts the writer. Must be called inside a tokio runtime.
    pub(super) fn start(store: Arc<dyn Store>, length: usize, metrics: CollectMetrics) -> Self {
        let (sender, receiver) = mpsc::channel(length.max(1));
        let works = Arc::new(AtomicBool::new(false));
        let writer = Writer { store, metrics, works: Arc::clone(&works), told: None, salt: None };
        let mut tasks = JoinSet::new();
        tasks.spawn(writer.run(receiver));
        Self { sender, works, _writer: tasks }
    }

    /// Hands in a view, whose visitor's id is still to be made, and waits until the store
    /// has acknowledged it.
    pub(super) async fn put(&self, visitor: Visitor, view: PageView) -> Result<(), QueueError> {
        let (done, answer) = oneshot::channel();
        let waiting = Waiting { visitor, view, done };
        self.sender.try_send(waiting).map_err(|_| QueueError::Full)?;
        match answer.await {
            Ok(recorded) => recorded.map_err(QueueError::Store),
            Err(_) => {
                let words = "the collector is ending; whether the view is counted is not known";
                Err(QueueError::Store(StoreError::Unknown(words.to_owned())))
            }
        }
    }

    /// Whether the store did what it was last asked.
    pub(super) fn works(&self) -> bool {
        self.works.load(Ordering::Relaxed) && !self.sender.is_closed()
    }
}

struct Writer {
    store: Arc<dyn Store>,
    metrics: CollectMetrics,
    works: Arc<AtomicBool>,
    /// What the log says: whether the store works.
    told: Option<bool>,
    salt: Option<KnownSalt>,
}

/// What the store said when it was asked last.
struct KnownSalt {
    day: Day,
    salt: Salt,
    since: Instant,
}

impl Writer {
    async fn run(mut self, mut receiver: mpsc::Receiver<Waiting>) {
        let mut waiting = Vec::with_capacity(MAX_BATCH);
        let mut ticks = tokio::time::interval(REFRESH_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                taken = receiver.recv_many(&mut waiting, MAX_BATCH) => {
                    if taken == 0 {
                        return;
                    }
                    let recorded = self.take_in(&mut waiting).await;
                    self.turn_away(recorded, &mut receiver);
                }
                _ = ticks.tick() => {
                    let refreshed = self.store.refresh().await;
                    self.tell(&refreshed);
                    self.turn_away(refreshed, &mut receiver);
                    self.forget_yesterday().await;
                }
            }
        }
    }

    async fn take_in(&mut self, waiting: &mut Vec<Waiting>) -> Result<(), StoreError> {
        let recorded = match self.salt_of(Day::of(SystemTime::now())).await {
            Ok(salt) => self.write(&views(waiting, &salt)).await,
            Err(error) => Err(error),
        };
        self.tell(&recorded);
        for Waiting { done, .. } in waiting.drain(..) {
            self.answer(done, recorded.clone());
        }
        recorded
    }

    /// Tells all who wait by now that the store is away, if it is.
    fn turn_away(&self, outcome: Result<(), StoreError>, receiver: &mut mpsc::Receiver<Waiting>) {
        let Err(StoreError::Unavailable(words) | StoreError::Unknown(words)) = outcome else {
            return;
        };
        // They were not sent, so it is known that they are not counted.
        let away = StoreError::Unavailable(words);
        for _ in 0..receiver.len() {
            let Ok(Waiting { done, .. }) = receiver.try_recv() else { return };
            self.answer(done, Err(away.clone()));
        }
    }

    /// Counts a view here and not where it is answered: whoever sent it may have gone
    /// meanwhile, and takes the request with them.
    fn answer(
        &self,
        done: oneshot::Sender<Result<(), StoreError>>,
        recorded: Result<(), StoreError>,
    ) {
        self.metrics.count(match recorded {
            Ok(()) => Outcome::Recorded,
            Err(_) => Outcome::Unavailable,
        });
        let _ = done.send(recorded);
    }

    async fn salt_of(&mut self, day: Day) -> Result<Salt, StoreError> {
        let known = self.salt.as_ref().filter(|known| known.day == day);
        if let Some(known) = known.filter(|known| known.since.elapsed() < SALT_HOLDS) {
            return Ok(known.salt.clone());
        }
        let salt = self.store.salt(day, known.map(|known| &known.salt)).await?;
        self.salt = Some(KnownSalt { day, salt: salt.clone(), since: Instant::now() });
        Ok(salt)
    }

    /// A salt that outlives its day would keep that day's visitors known.
    async fn forget_yesterday(&mut self) {
        let today = Day::of(SystemTime::now());
        if self.salt.take_if(|known| known.day != today).is_some() {
            // So that the store, too, comes to hold the new one; if it can't now, the next
            // view asks again.
            let _ = self.salt_of(today).await;
        }
    }

    async fn write(&self, views: &[PageView]) -> Result<(), StoreError> {
        let began = Instant::now();
        let recorded = self.store.record(views).await;
        self.metrics.record_seconds.observe(began.elapsed().as_secs_f64());
        recorded
    }

    /// One line for each change: the reason stays the same for as long as it lasts.
    fn tell(&mut self, outcome: &Result<(), StoreError>) {
        let works = outcome.is_ok();
        self.works.store(works, Ordering::Relaxed);
        self.metrics.store_up.set(i64::from(works));
        if self.told.replace(works) == Some(works) {
            return;
        }
        match outcome {
            Ok(()) => info!("page views are being counted"),
            Err(error) => warn!(%error, "page views are not being counted"),
        }
    }
}

/// The views with their visitors' ids; from here on nobody knows who they are.
fn views(waiting: &mut [Waiting], salt: &Salt) -> Vec<PageView> {
    let view = |Waiting { visitor, view, .. }: &mut Waiting| {
        let Visitor { site, address, agent } = visitor;
        let visitor_id = salt.visitor_id(site, *address, agent);
        let (path, referrer) = (mem::take(&mut view.path), view.referrer.take());
        PageView { visitor_id, path, referrer, country: view.country.take(), ..*view }
    };
    waiting.iter_mut().map(view).collect()
}

#[cfg(test)]
#[path = "queue_tests.rs"]
mod tests;
