//! Waiting for something to become true, with a limit that is part of the story.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::time::sleep;

/// How often a condition is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// Waits until `check` holds and answers how long that took; panics with `what` if
/// it takes longer than `limit`.
pub async fn within(limit: Duration, what: &str, mut check: impl AsyncFnMut() -> bool) -> Duration {
    let start = Instant::now();
    loop {
        // A look that began in time counts, however long the answer takes.
        let begun = start.elapsed();
        assert!(begun <= limit, "not within {limit:?}: {what}");
        if check().await {
            return start.elapsed();
        }
        sleep(LOOK_EVERY).await;
    }
}

/// Now, in Unix milliseconds, as gaps tell it.
pub fn unix_ms() -> u64 {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock after 1970");
    u64::try_from(elapsed.as_millis()).expect("a clock before the year 500,000,000")
}
