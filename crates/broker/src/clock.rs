//! The wall clock, for gaps alone: every deadline uses the monotonic clock.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Now, in Unix milliseconds; 0 if the system's clock stands before 1970.
pub(crate) fn unix_ms() -> u64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX)
}

/// The Unix milliseconds of a moment in the past.
pub(crate) fn unix_ms_of(past: Instant) -> u64 {
    let ago = u64::try_from(past.elapsed().as_millis()).unwrap_or(u64::MAX);
    unix_ms().saturating_sub(ago)
}
