//! How long to wait before the next attempt: growing, capped and jittered, for ever.

use std::time::Duration;

/// Delays between `first` and `cap`, doubling, each shortened by up to half at random
/// so that many instances don't come back in step.
#[derive(Debug)]
pub(super) struct Backoff {
    first: Duration,
    cap: Duration,
    next: Duration,
}

impl Backoff {
    /// Starts at `first` and never exceeds `cap`.
    pub(super) fn new(first: Duration, cap: Duration) -> Self {
        Self { first, cap, next: first.min(cap) }
    }

    /// The delay before the next attempt.
    pub(super) fn delay(&mut self) -> Duration {
        let longest = self.next;
        self.next = (longest * 2).min(self.cap);
        longest.mul_f64(1.0 - fastrand::f64() / 2.0)
    }

    /// Starts over, after a success that lasted.
    pub(super) fn reset(&mut self) {
        self.next = self.first.min(self.cap);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grows_to_its_cap_and_never_beyond() {
        let mut backoff = Backoff::new(Duration::from_millis(50), Duration::from_millis(300));
        for longest in [50, 100, 200, 300, 300, 300] {
            let delay = backoff.delay();
            assert!(delay <= Duration::from_millis(longest), "{delay:?} > {longest} ms");
            assert!(delay >= Duration::from_millis(longest / 2), "{delay:?} < {longest}/2 ms");
        }
        backoff.reset();
        assert!(backoff.delay() <= Duration::from_millis(50));
    }

    #[test]
    fn two_instances_do_not_wait_alike() {
        let delays: std::collections::HashSet<Duration> = (0..20)
            .map(|_| Backoff::new(Duration::from_millis(300), Duration::from_millis(300)).delay())
            .collect();
        assert!(delays.len() > 1);
    }
}
