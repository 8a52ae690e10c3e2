//! How often something may happen.
//!
//! The generic cell rate algorithm: a bucket is one number, the moment at which it
//! would be full again. There is one in every connection, so a library's limiter with
//! its own clock and lock would cost more than what it guards.

use std::time::{Duration, Instant};

/// A number of times per second, with room for bursts.
#[derive(Debug, Clone, Copy)]
pub struct Rate {
    /// Buckets count from here.
    started: Instant,
    interval: Duration,
    /// How far ahead of the even pace a burst may run.
    tolerance: Duration,
}

/// How much of a [`Rate`] was used up; as new for whoever has done nothing yet.
#[derive(Debug, Clone, Copy, Default)]
pub struct Bucket {
    /// Nanoseconds after the rate's start at which the bucket is empty again.
    empty_at: u64,
}

impl Rate {
    /// `per_second` times a second on average and `burst` at once; 0 a second means
    /// no limit, which is no rate.
    pub fn new(per_second: u32, burst: u32) -> Option<Self> {
        let interval = Duration::from_secs(1).checked_div(per_second)?;
        let tolerance = interval.saturating_mul(burst.saturating_sub(1));
        Some(Self { started: Instant::now(), interval, tolerance })
    }

    /// Whether it may happen once more at `now`; if so, it is counted.
    pub fn allows(&self, bucket: &mut Bucket, now: Instant) -> bool {
        let now = nanos(now.saturating_duration_since(self.started));
        let begin = bucket.empty_at.max(now);
        if begin - now > nanos(self.tolerance) {
            return false;
        }
        bucket.empty_at = begin.saturating_add(nanos(self.interval).max(1));
        true
    }
}

/// Nanoseconds reach for 584 years.
fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(rate: &Rate, bucket: &mut Bucket, at: Duration, tries: usize) -> usize {
        (0..tries).filter(|_| rate.allows(bucket, rate.started + at)).count()
    }

    #[test]
    fn a_burst_passes_and_then_the_even_pace() {
        let rate = Rate::new(10, 5).unwrap();
        let mut bucket = Bucket::default();
        assert_eq!(allowed(&rate, &mut bucket, Duration::ZERO, 100), 5);
        assert_eq!(allowed(&rate, &mut bucket, Duration::from_millis(99), 100), 0);
        assert_eq!(allowed(&rate, &mut bucket, Duration::from_millis(100), 100), 1);
        assert_eq!(allowed(&rate, &mut bucket, Duration::from_millis(399), 100), 2);
        // Whoever was quiet for long gets one burst, not all that was saved up.
        assert_eq!(allowed(&rate, &mut bucket, Duration::from_secs(3600), 100), 5);
    }

    #[test]
    fn an_odd_rate_is_kept_over_a_long_time() {
        // 2.5 microseconds each, over 10 ms.
        let rate = Rate::new(400_000, 2).unwrap();
        let mut bucket = Bucket::default();
        let count: usize = (0..10_000)
            .map(|micros| allowed(&rate, &mut bucket, Duration::from_micros(micros), 1))
            .sum();
        assert!((3_999..=4_002).contains(&count), "{count}");
    }

    #[test]
    fn what_is_refused_costs_nothing() {
        let rate = Rate::new(1, 1).unwrap();
        let mut bucket = Bucket::default();
        assert_eq!(allowed(&rate, &mut bucket, Duration::ZERO, 1_000_000), 1);
        assert_eq!(allowed(&rate, &mut bucket, Duration::from_secs(1), 1), 1);
    }

    #[test]
    fn nothing_per_second_means_no_limit_and_one_in_a_burst_is_the_least() {
        assert!(Rate::new(0, 100).is_none());
        let rate = Rate::new(u32::MAX, 0).unwrap();
        assert_eq!(allowed(&rate, &mut Bucket::default(), Duration::ZERO, 3), 1);
    }
}
