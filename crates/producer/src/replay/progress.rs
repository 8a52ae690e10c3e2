//! What a run has done so far, for whoever looks on.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::lines::Position;

/// Figures of a run that goes on.
#[derive(Debug, Default)]
pub struct ReplayProgress {
    size: Option<u64>,
    bytes: AtomicU64,
    lines: AtomicU64,
    views: AtomicU64,
    unreadable: AtomicU64,
    waiting: AtomicBool,
}

/// The same at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Told {
    /// Bytes of the file, as they are on disk; none of a pipe.
    pub size: Option<u64>,
    /// How many of these are behind.
    pub bytes: u64,
    /// Lines that are behind, those of runs before included.
    pub lines: u64,
    /// Page views that this run has published.
    pub views: u64,
    /// Lines that this run could not read.
    pub unreadable: u64,
    /// Whether the store is away.
    pub waiting: bool,
}

impl ReplayProgress {
    pub(super) fn new(size: Option<u64>, begin: Option<Position>) -> Self {
        let begin = begin.unwrap_or_default();
        Self { size, bytes: begin.bytes.into(), lines: begin.lines.into(), ..Self::default() }
    }

    /// The figures now.
    pub fn told(&self) -> Told {
        let load = |figure: &AtomicU64| figure.load(Ordering::Relaxed);
        Told {
            size: self.size,
            bytes: load(&self.bytes),
            lines: load(&self.lines),
            views: load(&self.views),
            unreadable: load(&self.unreadable),
            waiting: self.waiting.load(Ordering::Relaxed),
        }
    }

    pub(super) fn reached(&self, position: Position, bytes: Option<u64>) {
        self.lines.store(position.lines, Ordering::Relaxed);
        if let Some(bytes) = bytes {
            self.bytes.store(bytes, Ordering::Relaxed);
        }
    }

    pub(super) fn published(&self, views: u64) {
        self.views.fetch_add(views, Ordering::Relaxed);
    }

    pub(super) fn unreadable(&self, lines: u64) {
        self.unreadable.fetch_add(lines, Ordering::Relaxed);
    }

    pub(super) fn waits(&self, waiting: bool) {
        self.waiting.store(waiting, Ordering::Relaxed);
    }
}
