//! The statistics kept true while nobody comes.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use crate::store::Store;

/// Visitors and views leave the figures second by second.
const EVERY: Duration = Duration::from_secs(1);

/// Brings the statistics up to date each second until `stop` is cancelled: for whoever
/// records less often than that.
pub async fn keep_fresh(store: Arc<dyn Store>, stop: CancellationToken) {
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        // Whoever records learns the same, and says it louder.
        if let Err(error) = store.refresh().await {
            debug!(%error, "the statistics are not up to date");
        }
    }
}
