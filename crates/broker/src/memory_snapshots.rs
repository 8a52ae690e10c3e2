//! What the memory broker has of snapshots and shares: bounded, and gone at its end.

use std::collections::HashMap;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::{MemoryConfig, SnapshotError, Stored};

/// Snapshots by their key, and what instances told by the figure's name.
#[derive(Debug)]
pub(crate) struct MemorySnapshots {
    max_size: usize,
    max_count: usize,
    lifetime: Duration,
    documents: Mutex<Documents>,
    shares: Mutex<HashMap<String, HashMap<String, Share>>>,
}

#[derive(Debug, Default)]
struct Documents {
    by_key: HashMap<String, Document>,
    /// How often something was stored.
    stored: u64,
}

#[derive(Debug)]
struct Document {
    /// The document, or why it can't be read: then only that is kept of it.
    read: Result<Stored, SnapshotError>,
    /// The when of storing, as a number that grows.
    number: u64,
}

#[derive(Debug)]
struct Share {
    count: u64,
    told: Instant,
}

impl MemorySnapshots {
    /// Nothing is stored and nothing told yet.
    pub(crate) fn new(config: &MemoryConfig) -> Self {
        Self {
            max_size: config.max_snapshot_size,
            max_count: config.max_snapshots,
            lifetime: config.share_lifetime,
            documents: Mutex::default(),
            shares: Mutex::default(),
        }
    }

    /// Replaces what is stored under `key`. A hash without fields is nothing, as in
    /// Redis; of one more than `max_snapshots`, the one that was stored longest ago goes.
    pub(crate) fn store(&self, key: &str, stored: Stored) {
        let nothing = stored.is_nothing();
        let read = stored.check(self.max_size).map(|()| stored);
        let mut documents = self.documents.lock();
        documents.by_key.remove(key);
        if nothing || self.max_count == 0 {
            return;
        }
        if documents.by_key.len() >= self.max_count {
            documents.drop_oldest();
        }
        documents.stored += 1;
        let number = documents.stored;
        documents.by_key.insert(key.to_owned(), Document { read, number });
    }

    /// What is stored under `key`.
    pub(crate) fn read(&self, key: &str) -> Result<Option<Stored>, SnapshotError> {
        self.documents.lock().by_key.get(key).map(|document| document.read.clone()).transpose()
    }

    /// Takes what `instance` tells; the sum of what is not over its time.
    pub(crate) fn share(&self, name: &str, instance: &str, count: u64) -> u64 {
        let told = Instant::now();
        let mut shares = self.shares.lock();
        shares.retain(|_, figure| {
            figure.retain(|_, share| told.duration_since(share.told) < self.lifetime);
            !figure.is_empty()
        });
        if count == 0 {
            shares.get_mut(name).and_then(|figure| figure.remove(instance));
        } else {
            let figure = shares.entry(name.to_owned()).or_default();
            figure.insert(instance.to_owned(), Share { count, told });
        }
        let figure = shares.get(name).into_iter().flat_map(HashMap::values);
        figure.fold(0, |sum: u64, share| sum.saturating_add(share.count))
    }
}

impl Documents {
    fn drop_oldest(&mut self) {
        let oldest = self.by_key.iter().min_by_key(|(_, document)| document.number);
        if let Some(key) = oldest.map(|(key, _)| key.clone()) {
            self.by_key.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(content: &'static str) -> Stored {
        Stored::Text(content.into())
    }

    #[test]
    fn of_too_many_the_one_stored_longest_ago_goes() {
        let snapshots =
            MemorySnapshots::new(&MemoryConfig { max_snapshots: 2, ..MemoryConfig::default() });
        snapshots.store("a", text("1"));
        snapshots.store("b", text("2"));
        snapshots.store("a", text("3"));
        snapshots.store("c", text("4"));
        assert_eq!(snapshots.read("b"), Ok(None));
        assert_eq!(snapshots.read("a"), Ok(Some(text("3"))));
        assert_eq!(snapshots.read("c"), Ok(Some(text("4"))));
    }

    #[test]
    fn of_what_is_too_large_nothing_is_kept() {
        let config = MemoryConfig { max_snapshot_size: 3, ..MemoryConfig::default() };
        let snapshots = MemorySnapshots::new(&config);
        snapshots.store("a", text("1234"));
        let documents = snapshots.documents.lock();
        assert!(documents.by_key.values().all(|document| document.read.is_err()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_share_is_forgotten_when_its_time_is_over_and_not_before() {
        let snapshots = MemorySnapshots::new(&MemoryConfig::default());
        snapshots.share("n", "silent", 5);
        tokio::time::advance(Duration::from_millis(7_999)).await;
        assert_eq!(snapshots.share("n", "other", 2), 7);
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_eq!(snapshots.share("n", "other", 2), 2);
        tokio::time::advance(Duration::from_secs(8)).await;
        snapshots.share("another", "other", 0);
        assert!(snapshots.shares.lock().is_empty(), "also those nobody asks for any more");
    }
}
