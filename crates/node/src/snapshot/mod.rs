//! Snapshots: documents that producers keep in the broker, as connections and old
//! pollers get them.
//!
//! `document.rs` makes JSON of what is stored; `template.rs` puts the gateway's own
//! values in; `reading.rs` makes frames of it. `task.rs` is who reads: once per tick for
//! all who watch, and once for all who ask at one moment. `audience.rs` counts them, here
//! and on other instances.

mod audience;
mod config;
mod document;
mod reading;
mod task;
mod template;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use redcast_broker::SnapshotStore;
use redcast_hub::{ChannelKey, Hub};
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub(crate) use self::audience::Watching;
pub use self::config::{
    Merge, MergePointer, MergePointerError, MergeValue, SnapshotConfig, SnapshotName,
    SnapshotNameError,
};
pub use self::reading::SnapshotState;
pub use self::task::SnapshotTasks;

use self::audience::Audience;
use self::reading::{Reading, Shape};
use self::template::Values;
use crate::metrics::NodeMetrics;

/// How long a read may take, and how long somebody waits for one: a client that greets
/// or asks is better served with an older document that says so.
const PATIENCE: Duration = Duration::from_secs(1);
/// Younger than this a document is an answer to who asks for a fresh one.
const FRESH: Duration = Duration::from_secs(1);
/// The oldest document that greets. While somebody watches, each tick brings a younger one,
/// unless ticks are further apart than this; while nobody does, nobody reads.
const TOO_OLD: Duration = Duration::from_secs(6);

/// All snapshots of this instance.
pub struct Snapshots {
    by_name: HashMap<String, Arc<Snapshot>>,
    leaving: CancellationToken,
    /// Counts the tasks that must tell other instances of this one's end.
    telling: TaskTracker,
}

/// One snapshot.
pub struct Snapshot {
    config: SnapshotConfig,
    instance: String,
    channel: ChannelKey,
    shape: Shape,
    store: Arc<dyn SnapshotStore>,
    hub: Hub,
    metrics: NodeMetrics,
    audience: Audience,
    /// The last look; none before the first.
    reading: watch::Sender<Option<Arc<Reading>>>,
    asked: Notify,
}

impl Snapshots {
    /// Makes them and the tasks that must run for them. `next_key` gives a name within
    /// the hub to each.
    pub(crate) fn new(
        configs: Vec<SnapshotConfig>,
        (instance, metrics): (&str, &NodeMetrics),
        store: &Arc<dyn SnapshotStore>,
        hub: &Hub,
        next_key: impl Fn() -> ChannelKey,
    ) -> (Arc<Self>, SnapshotTasks) {
        let by_name = configs.into_iter().map(|config| {
            let name = config.name.to_string();
            let snapshot = Snapshot {
                instance: instance.to_owned(),
                channel: next_key(),
                shape: Shape::new(&config),
                config,
                store: store.clone(),
                hub: hub.clone(),
                metrics: metrics.clone(),
                audience: Audience::new(hub.shards()),
                reading: watch::Sender::default(),
                asked: Notify::new(),
            };
            (name, Arc::new(snapshot))
        });
        let (leaving, telling) = (CancellationToken::new(), TaskTracker::new());
        let snapshots = Arc::new(Self { by_name: by_name.collect(), leaving, telling });
        let tasks = SnapshotTasks::of(&snapshots);
        (snapshots, tasks)
    }

    /// The one of this name.
    pub fn find(&self, name: &str) -> Option<&Arc<Snapshot>> {
        self.by_name.get(name)
    }

    /// Tells the other instances that this one's connections are gone, within a second
    /// or not at all: then they forget it by themselves. To be called when they are gone.
    pub async fn leave(&self) {
        self.leaving.cancel();
        self.telling.close();
        // Nobody must wait for a Redis that is away to see the process end.
        let _ = timeout(PATIENCE, self.telling.wait()).await;
    }
}

impl Snapshot {
    /// Its name.
    pub fn name(&self) -> &str {
        self.config.name.as_str()
    }

    /// What an operator set about it.
    pub fn config(&self) -> &SnapshotConfig {
        &self.config
    }

    /// What to send to a client that has just come: the document of the last tick, or
    /// the first there is. Waits a second and a tenth at most.
    pub async fn greeting(&self) -> Bytes {
        let came = Instant::now();
        let reading = self.look(self.greeting_age());
        let (reading, ()) = tokio::join!(reading, self.know_connections());
        self.greeting_of(reading, came).await
    }

    /// What to send to a client that asks: a document that is at most a second old. All
    /// who ask at one moment share one read. Waits a second and a tenth at most.
    pub async fn answer(&self) -> Bytes {
        let came = Instant::now();
        let reading = self.look(FRESH).await;
        self.greeting_of(reading, came).await
    }

    /// What to answer who asks over HTTP. Waits a second at most.
    pub async fn state(&self) -> SnapshotState {
        let (reading, in_time) = self.look(self.greeting_age()).await;
        let mut state = reading.state().clone();
        state.stale |= !in_time;
        state
    }

    pub(crate) fn channel(&self) -> ChannelKey {
        self.channel
    }

    /// Counts one more connection of a shard.
    pub(crate) fn watch(self: &Arc<Self>, shard: usize) -> Box<Watching> {
        Watching::new(self.clone(), shard)
    }

    /// How old a look may be that nobody asked for. As old as ticks can make it, so that
    /// who comes between two of them costs no read.
    fn greeting_age(&self) -> Duration {
        TOO_OLD.min(self.config.every + PATIENCE)
    }

    /// The frame for who came at `came`, which counts that one; other comers may delay it a
    /// little, so that one frame serves them all.
    async fn greeting_of(&self, (reading, in_time): (Arc<Reading>, bool), came: Instant) -> Bytes {
        let stale = reading.stale || !in_time;
        loop {
            match self.shape.greeting(&reading, stale, (came, &self.values())) {
                Ok(frame) => return frame,
                Err(again) => sleep_until(again).await,
            }
        }
    }

    /// The last look and whether it is younger than `age`; waits for one that is.
    async fn look(&self, age: Duration) -> (Arc<Reading>, bool) {
        let mut readings = self.reading.subscribe();
        let is_young = |reading: &Option<Arc<Reading>>| {
            reading.as_ref().is_some_and(|reading| reading.looked.elapsed() <= age)
        };
        let mut in_time = is_young(&readings.borrow());
        if !in_time {
            self.asked.notify_one();
            in_time = matches!(timeout(PATIENCE, readings.wait_for(is_young)).await, Ok(Ok(_)));
        }
        let last = readings.borrow().clone();
        let last = last.unwrap_or_else(|| Reading::none(&self.shape, self.values()).into());
        (last, in_time)
    }

    /// Waits until the other instances' connections are known, where a frame tells them.
    async fn know_connections(&self) {
        if self.shape.counts_connections() {
            // While somebody watches, they are summed more often than that, also if each
            // answer is slow. What was known before is good enough where none comes.
            let summed = self.audience.until_summed(task::SHARE_EVERY + 2 * PATIENCE);
            let _ = timeout(PATIENCE, summed).await;
        }
    }

    fn values(&self) -> Values {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Values {
            connections: self.audience.everywhere(),
            instance_connections: self.audience.here(),
            now_ms: u64::try_from(since.as_millis()).unwrap_or(u64::MAX),
        }
    }
}

#[cfg(test)]
#[path = "snapshot_tests.rs"]
mod tests;
