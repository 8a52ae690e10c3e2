//! How often one kind of trouble is worth a line in the log.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// What comes again sooner than this is left out; a counter has it all.
const SAY_EVERY: Duration = Duration::from_secs(10);

/// Says of one kind of trouble whether it is time to tell of it again: each client can
/// bring about one more, and that must not fill the disk.
#[derive(Debug)]
pub(crate) struct Seldom {
    started: Instant,
    /// Milliseconds after the start before which nothing more is said.
    quiet_until: AtomicU64,
}

impl Seldom {
    pub(crate) fn new() -> Self {
        Self { started: Instant::now(), quiet_until: AtomicU64::new(0) }
    }

    pub(crate) fn is_due(&self) -> bool {
        self.is_due_at(self.started.elapsed())
    }

    fn is_due_at(&self, now: Duration) -> bool {
        let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let (now, next) = (ms(now), ms(now.saturating_add(SAY_EVERY)));
        let claim = |until: u64| (until <= now).then_some(next);
        self.quiet_until.fetch_update(Ordering::Relaxed, Ordering::Relaxed, claim).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trouble_is_heard_of_at_once_and_then_once_in_a_while() {
        let seldom = Seldom::new();
        let due: Vec<u64> =
            (0..30).filter(|&second| seldom.is_due_at(Duration::from_secs(second))).collect();
        assert_eq!(due, [0, 10, 20]);
    }
}
