//! From many requests to few calls of the store: whatever waits while one call is under
//! way becomes the next one.
//!
//! Without load a view goes at once and alone; under load calls grow, up to a bound, and
//! their number stays that of the store's answers.

use std::mem;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;
use tracing::{info, warn};

use super::metrics::CollectMetrics;
use crate::page_view::PageView;
use crate::salts::{Day, Salt};
use crate::store::{Store, StoreError};

/// Views of one call of the store.
const MAX_BATCH: usize = 512;
/// Between two moments at which the figures follow the clock.
const REFRESH_EVERY: Duration = Duration::from_secs(1);

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
    salt: Option<(Day, Salt)>,
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
                    self.take_in(&mut waiting).await;
                }
                _ = ticks.tick() => {
                    let refreshed = self.store.refresh().await;
                    self.tell(&refreshed);
                }
            }
        }
    }

    async fn take_in(&mut self, waiting: &mut Vec<Waiting>) {
        let recorded = match self.salt_of(Day::of(SystemTime::now())).await {
            Ok(salt) => self.write(&views(waiting, &salt)).await,
            Err(error) => Err(error),
        };
        self.tell(&recorded);
        for Waiting { done, .. } in waiting.drain(..) {
            // Whoever asked may have gone meanwhile.
            let _ = done.send(recorded.clone());
        }
    }

    async fn salt_of(&mut self, day: Day) -> Result<Salt, StoreError> {
        match &self.salt {
            Some((of, salt)) if *of == day => Ok(salt.clone()),
            _ => {
                let salt = self.store.salt(day).await?;
                self.salt = Some((day, salt.clone()));
                Ok(salt)
            }
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
