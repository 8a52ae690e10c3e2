//! Who reads snapshots, sends beats, and tells other instances how many watch here.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use redcast_hub::{Broadcast, Frames, HubClosed, SlowConsumer, WHOLE_CHANNEL};
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::document::Unreadable;
use super::reading::{Occasion, Reading};
use super::{FRESH, PATIENCE, Snapshot, Snapshots};

/// How often the others are told how many watch here. They forget it after four times
/// that ([`SnapshotStore::share`](redcast_broker::SnapshotStore::share)).
pub(super) const SHARE_EVERY: Duration = Duration::from_secs(2);

/// The work on all snapshots; run it to the end of the process.
pub struct SnapshotTasks(Vec<SnapshotTask>);

struct SnapshotTask {
    snapshot: Arc<Snapshot>,
    leaving: CancellationToken,
    telling: TaskTrackerToken,
}

impl SnapshotTasks {
    pub(super) fn of(snapshots: &Snapshots) -> Self {
        let task = |snapshot: &Arc<Snapshot>| SnapshotTask {
            snapshot: snapshot.clone(),
            leaving: snapshots.leaving.clone(),
            telling: snapshots.telling.token(),
        };
        Self(snapshots.by_name.values().map(task).collect())
    }

    /// Works until the hub is gone.
    pub async fn run(self) {
        if self.0.is_empty() {
            std::future::pending::<()>().await;
        }
        join_all(self.0.into_iter().map(SnapshotTask::run)).await;
    }
}

impl SnapshotTask {
    // Apart from each other: what is told must not expire while a read hangs.
    async fn run(self) {
        let Self { snapshot, leaving, telling } = self;
        let sharing = async {
            if snapshot.shape.counts_connections() {
                snapshot.share_until(&leaving).await;
            }
            drop(telling);
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = snapshot.read_and_beat() => {}
            () = sharing => {}
        }
    }
}

impl Snapshot {
    /// Works until the hub is gone.
    async fn read_and_beat(&self) {
        let mut ticks = interval(self.config.every);
        // After a stall one beat is enough: it says all that the missed ones would have.
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = ticks.tick() => {
                    if self.audience.here() > 0 {
                        let reading = self.read().await;
                        if self.beat(&reading).await.is_err() {
                            return;
                        }
                    }
                }
                () = self.asked.notified() => {
                    // Whoever asked while a read was under way has been served by it.
                    let last = self.reading.borrow().clone();
                    if last.is_none_or(|last| last.looked.elapsed() >= FRESH) {
                        self.read().await;
                    }
                }
            }
        }
    }

    /// Looks at the key, and keeps what it finds for all who ask.
    async fn read(&self) -> Arc<Reading> {
        let stored = timeout(PATIENCE, self.store.read(&self.config.key));
        let (stored, ()) = tokio::join!(stored, self.know_connections());
        let stored = match stored {
            Ok(Ok(Some(stored))) => Ok(stored),
            Ok(Ok(None)) => Err(Unreadable::Missing),
            Ok(Err(error)) => Err(error.into()),
            Err(_) => Err(Unreadable::Unavailable("it was not read within a second".to_owned())),
        };
        let values = self.values();
        let read = stored.and_then(|stored| Reading::of(stored, &self.shape, values));
        let before = self.reading.borrow().clone();
        self.tell(&read, before.as_ref().is_some_and(|before| before.stale));
        let reading = Arc::new(read.unwrap_or_else(|_| match &before {
            Some(before) => Reading::left_of(before, values),
            None => Reading::none(&self.shape, values),
        }));
        self.reading.send_replace(Some(reading.clone()));
        reading
    }

    /// Counts a look, and tells the operator where it changes something.
    fn tell(&self, read: &Result<Reading, Unreadable>, was_stale: bool) {
        let reads = &self.metrics.snapshot_reads;
        match read {
            Ok(_) => reads.ok.inc(),
            Err(Unreadable::Missing) => reads.missing.inc(),
            Err(Unreadable::Malformed(_)) => reads.malformed.inc(),
            Err(Unreadable::Unavailable(_)) => reads.unavailable.inc(),
        }
        match read {
            Ok(_) if was_stale => {
                self.metrics.snapshots_stale.dec();
                tracing::info!(snapshot = self.name(), "the snapshot is fresh again");
            }
            Err(why) if !was_stale => {
                self.metrics.snapshots_stale.inc();
                tracing::warn!(
                    snapshot = self.name(),
                    key = self.config.key,
                    why = %why,
                    "the snapshot can't be read; clients get the last one, marked as stale"
                );
            }
            _ => {}
        }
    }

    /// Sends what was read to all who watch. Encoded once: the bytes are the same for
    /// everybody, and on a slow connection the newest takes the place of one that waits.
    async fn beat(&self, reading: &Reading) -> Result<(), HubClosed> {
        let frame = self.shape.frame(reading, Occasion::Tick, reading.stale, &self.values());
        let places = self.hub.reserve(frame.len()).await?;
        let beat = Broadcast {
            channel: self.channel,
            frames: Frames::same(frame),
            policy: SlowConsumer::KeepLatest,
            item: Some(WHOLE_CHANNEL),
            flush_every: None,
            received: None,
            cursor: None,
        };
        places.send(&beat, |shard| self.audience.in_shard(shard));
        Ok(())
    }

    /// Tells the others how many watch here, as long as anybody does, and once that
    /// nobody does any more.
    async fn share_until(&self, leaving: &CancellationToken) {
        let (mut told, mut fails) = (0, false);
        while !leaving.is_cancelled() {
            let here = self.audience.here();
            // To tell that nobody is here is also how to hear of the others.
            if here > 0 || told > 0 || self.audience.is_asked_for() {
                self.share(here, &mut fails).await;
                told = here;
            }
            if here == 0 {
                tokio::select! {
                    () = self.audience.arrival() => {}
                    () = leaving.cancelled() => {}
                }
            } else {
                // The end of the wait is no matter: both ask for another look.
                let _ = timeout(SHARE_EVERY, leaving.cancelled()).await;
            }
        }
        if told > 0 {
            self.share(0, &mut fails).await;
        }
    }

    async fn share(&self, here: u64, fails: &mut bool) {
        let sharing = self.store.share(self.name(), &self.instance, here);
        let why = match timeout(PATIENCE, sharing).await {
            Ok(Ok(sum)) => {
                *fails = false;
                return self.audience.summed(Some(sum.saturating_sub(here)));
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => "no answer within a second".to_owned(),
        };
        self.audience.summed(None);
        if !std::mem::replace(fails, true) {
            tracing::warn!(
                snapshot = self.name(),
                why,
                "the count of connections can't be shared; that of other instances may be old"
            );
        }
    }
}
