//! Gives views to the store when they are due, one batch after the other.
//!
//! A batch is in flight alone: what stands behind it waits for its answer. So at most one
//! batch is counted twice if the process is killed and another run goes on.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::lines::Position;
use super::pace::{Pace, Speed};
use super::reader::{Chunk, Due, TOLD};
use super::state::State;
use super::{ReplayConfig, ReplayError, ReplayProgress, Replayed, Summary};
use crate::page_view::PageView;
use crate::store::{Store, StoreError};

/// The most views that share a call of the store.
const MAX_BATCH: usize = 500;
/// Between two calls of a store that is away.
const FIRST_RETRY: Duration = Duration::from_millis(100);
const LAST_RETRY: Duration = Duration::from_secs(2);

/// A run.
pub(super) struct Publisher {
    store: Arc<dyn Store>,
    state: Option<State>,
    progress: Arc<ReplayProgress>,
    pace: Option<Pace>,
    keep_time: bool,
    patience: Duration,
    /// Whether positions are bytes of the file.
    is_plain: bool,
    at: Position,
    summary: Summary,
    /// Since when the store has not acknowledged what it was given.
    waits_since: Option<Instant>,
    /// What it said when it did not answer in time.
    unanswered: Option<StoreError>,
}

/// What became of a batch.
enum Sent {
    /// The store has it, or may have it.
    Done,
    /// It has not, and the run is to end.
    Stopped,
}

impl Publisher {
    pub(super) fn new(
        store: Arc<dyn Store>,
        config: &ReplayConfig,
        state: Option<State>,
        progress: Arc<ReplayProgress>,
        is_plain: bool,
    ) -> Self {
        let at = state.as_ref().map(State::position).unwrap_or_default();
        Self {
            store,
            state,
            progress,
            pace: match config.speed {
                Speed::Times(times) => Some(Pace::new(times)),
                Speed::Max => None,
            },
            keep_time: config.keep_time,
            patience: config.patience,
            is_plain,
            at,
            summary: Summary { resumed_behind: at.lines, ..Summary::default() },
            waits_since: None,
            unanswered: None,
        }
    }

    /// Publishes what comes; answers whether that was all of it.
    pub(super) async fn publish(
        &mut self,
        mut chunks: mpsc::Receiver<Result<Chunk, ReplayError>>,
        stop: &CancellationToken,
    ) -> Result<bool, ReplayError> {
        loop {
            let Some(chunk) = stop.run_until_cancelled(chunks.recv()).await else {
                return Ok(false);
            };
            let Some(chunk) = chunk.transpose()? else { return Ok(true) };
            if !self.publish_chunk(chunk, stop).await? {
                return Ok(false);
            }
        }
    }

    /// The summary, once the state is safe on the disk.
    pub(super) fn finish(mut self, name: &str, mut end: Result<bool, ReplayError>) -> Replayed {
        self.summary.lines = self.at.lines - self.summary.resumed_behind;
        if let Some(state) = &mut self.state
            && let Err(error) = state.finish()
            && end.is_ok()
        {
            end = Err(error);
        }
        let done = &self.summary;
        let read_none = done.views + done.unknown + done.skipped.total() + done.resumed_behind == 0;
        if matches!(end, Ok(true)) && read_none && done.unreadable > 0 {
            end = Err(ReplayError::NoLog { name: name.to_owned(), lines: done.unreadable });
        }
        if let (Ok(_), Some(error)) = (&end, self.unanswered) {
            end = Err(ReplayError::Unknown { views: self.summary.unknown, error });
        }
        Replayed { summary: self.summary, end }
    }

    /// False where it was stopped on the way.
    async fn publish_chunk(
        &mut self,
        chunk: Chunk,
        stop: &CancellationToken,
    ) -> Result<bool, ReplayError> {
        let mut views = chunk.views.as_slice();
        while let Some(first) = views.first() {
            let count = match &mut self.pace {
                None => views.len().min(MAX_BATCH),
                Some(pace) => {
                    let due = pace.due(first.at, Instant::now());
                    if stop.run_until_cancelled(sleep_until(due)).await.is_none() {
                        return Ok(false);
                    }
                    due_now(pace, views)
                }
            };
            let (batch, later) = views.split_at(count);
            if let Sent::Stopped = self.send(batch, stop).await? {
                return Ok(false);
            }
            if let Some(last) = batch.last() {
                self.reach(last.after, None)?;
            }
            views = later;
        }
        self.summary.skipped.add(&chunk.skipped);
        self.summary.unreadable += chunk.unreadable;
        let room = TOLD - self.summary.unreadable_lines.len();
        self.summary.unreadable_lines.extend(chunk.unreadable_lines.iter().take(room));
        self.progress.unreadable(chunk.unreadable);
        self.reach(chunk.after, Some(chunk.read))?;
        Ok(true)
    }

    /// Everything before `position` is done with.
    fn reach(&mut self, position: Position, read: Option<u64>) -> Result<(), ReplayError> {
        self.at = position;
        let bytes = if self.is_plain { Some(position.bytes) } else { read };
        self.progress.reached(position, bytes);
        self.state.as_mut().map_or(Ok(()), |state| state.save(position))
    }

    async fn send(&mut self, batch: &[Due], stop: &CancellationToken) -> Result<Sent, ReplayError> {
        let line = batch.first().map_or(self.at.lines, |due| due.after.lines);
        let count = batch.len() as u64;
        let mut retry = FIRST_RETRY;
        let since = *self.waits_since.get_or_insert_with(Instant::now);
        let patience = self.patience;
        let is_patient = || since.elapsed() < patience;
        loop {
            let views = self.views(batch);
            match self.store.record(&views).await {
                Ok(()) => {
                    self.acknowledge(count);
                    return Ok(Sent::Done);
                }
                // Whoever sent it again might count it twice.
                Err(error @ StoreError::Unknown(_)) if is_patient() => {
                    warn!(%error, line, "page views may be missing");
                    self.summary.unknown += count;
                    self.unanswered = Some(error);
                    return Ok(Sent::Done);
                }
                Err(error @ StoreError::Unavailable(_)) if is_patient() => {
                    if !self.progress.told().waiting {
                        warn!(%error, line, "waiting for the store");
                    }
                    self.progress.waits(true);
                }
                Err(error) => return Err(ReplayError::Store { line, error }),
            }
            if stop.run_until_cancelled(sleep(retry)).await.is_none() {
                return Ok(Sent::Stopped);
            }
            retry = (retry * 2).min(LAST_RETRY);
        }
    }

    fn acknowledge(&mut self, count: u64) {
        if self.progress.told().waiting {
            info!("the store is back");
        }
        self.progress.waits(false);
        self.progress.published(count);
        self.summary.views += count;
        self.waits_since = None;
    }

    fn views(&self, batch: &[Due]) -> Vec<PageView> {
        let now = SystemTime::now();
        let view = |due: &Due| PageView {
            at: if self.keep_time { due.view.at } else { now },
            ..due.view.clone()
        };
        batch.iter().map(view).collect()
    }
}

/// How many views are due by now; the first one is.
fn due_now(pace: &mut Pace, views: &[Due]) -> usize {
    let now = Instant::now();
    let is_due = |view: &&Due| pace.due(view.at, now) <= now;
    let due = views.iter().take(MAX_BATCH).take_while(is_due).count();
    due.max(1)
}

#[cfg(test)]
#[path = "publish_tests.rs"]
mod tests;
