//! What a crowd's clients count together.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

/// Counters of a crowd, from its beginning.
#[derive(Debug, Default)]
pub struct Counts {
    attempts: AtomicU64,
    connected: AtomicI64,
    acknowledged: AtomicU64,
    strangers: AtomicU64,
    resumes: AtomicU64,
    fresh: AtomicU64,
    failures: Mutex<BTreeMap<String, u64>>,
    closes: Mutex<BTreeMap<u16, u64>>,
    errors: Mutex<BTreeMap<String, u64>>,
}

impl Counts {
    pub(super) fn attempt(&self) {
        self.attempts.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn failed(&self, why: &str) {
        // The first line of an answer says enough.
        let why = why.lines().next().unwrap_or_default().to_owned();
        *self.failures.lock().expect("no panic under the lock").entry(why).or_default() += 1;
    }

    pub(super) fn connected(&self, change: i64) {
        self.connected.fetch_add(change, Ordering::Relaxed);
    }

    pub(super) fn acknowledged(&self) {
        self.acknowledged.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn stranger(&self) {
        self.strangers.fetch_add(1, Ordering::Relaxed);
    }

    /// A subscribe to streams was said, with a cursor for each of them or not.
    pub(super) fn said(&self, is_resume: bool) {
        let counter = if is_resume { &self.resumes } else { &self.fresh };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn closed(&self, code: u16) {
        *self.closes.lock().expect("no panic under the lock").entry(code).or_default() += 1;
    }

    pub(super) fn error(&self, code: &str) {
        let mut errors = self.errors.lock().expect("no panic under the lock");
        *errors.entry(code.to_owned()).or_default() += 1;
    }

    /// Handshakes that were begun.
    pub fn attempts(&self) -> u64 {
        self.attempts.load(Ordering::Relaxed)
    }

    /// Connections that are open now.
    pub fn open(&self) -> usize {
        usize::try_from(self.connected.load(Ordering::Relaxed)).unwrap_or(0)
    }

    /// Subscribes to stream channels that were acknowledged.
    pub fn acknowledgements(&self) -> u64 {
        self.acknowledged.load(Ordering::Relaxed)
    }

    /// Events that are none of the producer's.
    pub fn strangers(&self) -> u64 {
        self.strangers.load(Ordering::Relaxed)
    }

    /// Subscribes to streams that went on where the client was.
    pub fn resumes(&self) -> u64 {
        self.resumes.load(Ordering::Relaxed)
    }

    /// Subscribes to streams without a cursor for each of them.
    pub fn fresh_joins(&self) -> u64 {
        self.fresh.load(Ordering::Relaxed)
    }

    /// Handshakes that failed, by reason.
    pub fn failures(&self) -> BTreeMap<String, u64> {
        self.failures.lock().expect("no panic under the lock").clone()
    }

    /// Connections that the other side ended, by close code; 1006 is a broken socket.
    pub fn closes(&self) -> BTreeMap<u16, u64> {
        self.closes.lock().expect("no panic under the lock").clone()
    }

    /// Errors that were told, by code.
    pub fn errors(&self) -> BTreeMap<String, u64> {
        self.errors.lock().expect("no panic under the lock").clone()
    }
}
