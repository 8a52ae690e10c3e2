//! The wall clock, for gaps alone: every deadline uses the monotonic clock.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Now, in Unix milliseconds; 0 if the system's clock stands before 1970.
pub(crate) fn unix_ms() -> u64 {
    whole_ms(since_epoch())
}

/// The Unix milliseconds of a moment in the past, never later than it was.
pub(crate) fn unix_ms_of(past: Instant) -> u64 {
    // Subtracting before rounding: two roundings could make it a millisecond too late.
    let now = since_epoch();
    whole_ms(now.saturating_sub(past.elapsed()))
}

fn since_epoch() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

fn whole_ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
