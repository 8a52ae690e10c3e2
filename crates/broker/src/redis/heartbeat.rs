//! When a silent link is dead. Pure: the clock is given.
//!
//! A hung Redis keeps its sockets open and its kernel acknowledges every byte, so
//! neither TCP nor the client library ever notices; only silence tells.

use std::time::{Duration, Instant};

/// A timer of ours that fires this much too late says that we were paused, not Redis.
const OWN_LAG: Duration = Duration::from_millis(500);

/// Judges a link once per interval.
#[derive(Debug)]
pub(super) struct Heartbeat {
    every: Duration,
    dead_after: Duration,
    expected: Instant,
    forgave: bool,
}

impl Heartbeat {
    /// The first beat is due `every` after `now`.
    pub(super) fn new(every: Duration, dead_after: Duration, now: Instant) -> Self {
        Self { every, dead_after, expected: now + every, forgave: false }
    }

    /// Whether the link, heard last at `heard`, still counts as alive.
    ///
    /// If this beat is late, the answers may be waiting unread: one more interval is
    /// granted, but only once per silence.
    pub(super) fn beat(&mut self, now: Instant, heard: Instant) -> bool {
        let late = now.saturating_duration_since(self.expected);
        self.expected = now + self.every;
        if now.saturating_duration_since(heard) < self.dead_after {
            self.forgave = false;
            return true;
        }
        if late > OWN_LAG && !self.forgave {
            self.forgave = true;
            return true;
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVERY: Duration = Duration::from_millis(500);
    const DEAD_AFTER: Duration = Duration::from_secs(2);

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    #[test]
    fn two_seconds_of_silence_are_death() {
        let start = Instant::now();
        let mut heartbeat = Heartbeat::new(EVERY, DEAD_AFTER, start);
        for beat in 1..=3 {
            assert!(heartbeat.beat(start + EVERY * beat, start), "beat {beat}");
        }
        assert!(!heartbeat.beat(start + EVERY * 4, start));
    }

    #[test]
    fn anything_heard_starts_the_count_again() {
        let start = Instant::now();
        let mut heartbeat = Heartbeat::new(EVERY, DEAD_AFTER, start);
        for beat in 1..=20 {
            let now = start + EVERY * beat;
            assert!(heartbeat.beat(now, now - ms(1_900)));
        }
    }

    #[test]
    fn one_lag_of_our_own_is_forgiven_and_no_more() {
        let start = Instant::now();
        let mut heartbeat = Heartbeat::new(EVERY, DEAD_AFTER, start);
        let paused = start + ms(10_000);
        assert!(heartbeat.beat(paused, start), "we were away, not Redis");
        assert!(!heartbeat.beat(paused + EVERY, start), "nothing came after that either");
    }

    #[test]
    fn a_second_lag_in_the_same_silence_is_not_forgiven() {
        let start = Instant::now();
        let mut heartbeat = Heartbeat::new(EVERY, DEAD_AFTER, start);
        assert!(heartbeat.beat(start + ms(5_000), start));
        assert!(!heartbeat.beat(start + ms(10_000), start));
    }

    #[test]
    fn a_lag_after_a_proof_of_life_is_forgiven_again() {
        let start = Instant::now();
        let mut heartbeat = Heartbeat::new(EVERY, DEAD_AFTER, start);
        assert!(heartbeat.beat(start + ms(5_000), start));
        assert!(heartbeat.beat(start + ms(5_500), start + ms(5_400)));
        assert!(heartbeat.beat(start + ms(10_000), start + ms(5_400)));
    }
}
