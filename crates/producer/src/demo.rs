//! Demo traffic: records each page view when it is due, until it is stopped.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

pub use crate::site::HOST;
use crate::store::Store;
use crate::traffic::Traffic;

/// Views that are later than this are not made up for, or a store that stood still
/// would be greeted by a flood.
const MAX_LATE: Duration = Duration::from_secs(1);

/// How much traffic, and whose.
#[derive(Debug, Clone, PartialEq)]
pub struct DemoConfig {
    /// Page views a second, on average, from 0.01 to 1,000. Default: 5.
    pub views_per_second: f64,
    /// The same seed gives the same visitors. Default: none, another crowd each time.
    pub seed: Option<u64>,
}

impl Default for DemoConfig {
    fn default() -> Self {
        Self { views_per_second: 5.0, seed: None }
    }
}

/// Records demo traffic until `stop` is cancelled. A view that the store refuses is
/// lost; the traffic goes on.
pub async fn run(store: Arc<dyn Store>, config: DemoConfig, stop: CancellationToken) {
    // Returns None when it was stopped; the loop itself never ends.
    let _ = stop.run_until_cancelled(record_forever(&*store, &config)).await;
}

async fn record_forever(store: &dyn Store, config: &DemoConfig) {
    let seed = config.seed.unwrap_or_else(|| fastrand::u64(..));
    let mut traffic = Traffic::new(seed, config.views_per_second.clamp(0.01, 1_000.0));
    let mut start = Instant::now();
    let mut store_works = true;
    loop {
        let (due, mut view) = traffic.next_view();
        let late = start.elapsed().saturating_sub(due);
        if late > MAX_LATE {
            start += late;
        }
        tokio::time::sleep_until(start + due).await;
        view.at = SystemTime::now();
        // Alone, because nobody should wait for the next visitor to be seen.
        let recorded = store.record(std::slice::from_ref(&view)).await;
        // One line per change: the reason stays the same for as long as it lasts.
        match (&recorded, store_works) {
            (Err(error), true) => warn!(%error, "demo traffic is not being published"),
            (Ok(()), false) => info!("demo traffic is being published again"),
            _ => {}
        }
        store_works = recorded.is_ok();
    }
}

#[cfg(test)]
#[path = "demo_tests.rs"]
mod tests;
