//! Who watches a snapshot: how many in which shard, and how many on other instances.
//!
//! A connection that watches costs one pointer and what it points to.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use super::Snapshot;

/// The connections at endpoints that use one snapshot.
pub(super) struct Audience {
    shards: Box<[AtomicUsize]>,
    arrived: Notify,
    others: watch::Sender<Others>,
}

/// What is known of other instances.
#[derive(Clone, Copy, Debug, Default)]
struct Others {
    /// Their connections, when they could be summed last.
    count: u64,
    /// When that was tried last.
    tried: Option<Instant>,
}

/// A connection's place in the audience; dropping it leaves.
pub(crate) struct Watching {
    snapshot: Arc<Snapshot>,
    shard: usize,
}

impl Audience {
    pub(super) fn new(shards: usize) -> Self {
        let shards = (0..shards).map(|_| AtomicUsize::new(0)).collect();
        Self { shards, arrived: Notify::new(), others: watch::Sender::default() }
    }

    /// How many there are on this instance.
    pub(super) fn here(&self) -> u64 {
        let counts = self.shards.iter().map(|count| count.load(Ordering::Relaxed) as u64);
        counts.sum()
    }

    /// How many there are on all instances, as far as is known. Those of this instance are
    /// counted now; the others were at the last sum.
    pub(super) fn everywhere(&self) -> u64 {
        self.here() + self.others.borrow().count
    }

    pub(super) fn in_shard(&self, shard: usize) -> bool {
        self.shards.get(shard).is_some_and(|count| count.load(Ordering::Relaxed) > 0)
    }

    /// Waits until the others are to be told of this instance: somebody has come, or
    /// wants to know of them.
    pub(super) async fn arrival(&self) {
        self.arrived.notified().await;
    }

    /// Whether somebody waits to know of the others.
    pub(super) fn is_asked_for(&self) -> bool {
        self.others.receiver_count() > 0
    }

    /// The others were summed, or could not be: then what was known of them stays.
    pub(super) fn summed(&self, others: Option<u64>) {
        self.others.send_modify(|known| {
            known.count = others.unwrap_or(known.count);
            known.tried = Some(Instant::now());
        });
    }

    /// Waits until the others were summed, or could not be, no longer ago than `age`.
    pub(super) async fn until_summed(&self, age: Duration) {
        let is_young = |known: &Others| known.tried.is_some_and(|tried| tried.elapsed() <= age);
        let mut others = self.others.subscribe();
        if !is_young(&others.borrow()) {
            self.arrived.notify_one();
            // It can't fail: the sender is ours.
            let _ = others.wait_for(is_young).await;
        }
    }

    fn change(&self, shard: usize, by: isize) {
        let Some(count) = self.shards.get(shard) else { return };
        if count.fetch_add(by.cast_unsigned(), Ordering::Relaxed) == 0 {
            self.arrived.notify_one();
        }
    }
}

impl Watching {
    pub(super) fn new(snapshot: Arc<Snapshot>, shard: usize) -> Box<Self> {
        snapshot.audience.change(shard, 1);
        Box::new(Self { snapshot, shard })
    }

    pub(crate) fn snapshot(&self) -> &Arc<Snapshot> {
        &self.snapshot
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        self.snapshot.audience.change(self.shard, -1);
    }
}
