//! Demo traffic: publishes each page view when it is due, until it is stopped.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::sink::Sink;
use crate::traffic::Traffic;

/// Views that are later than this are not made up for, or a sink that stood still
/// would be greeted by a flood.
const MAX_LATE: Duration = Duration::from_secs(1);

/// What the demo publishes, and where.
#[derive(Debug, Clone, PartialEq)]
pub struct DemoConfig {
    /// The channel, without a prefix. Default: `analytics`.
    pub channel: String,
    /// Page views a second, on average, from 0.01 to 1,000. Default: 5.
    pub views_per_second: f64,
    /// The same seed gives the same visitors. Default: none, another crowd each time.
    pub seed: Option<u64>,
}

impl Default for DemoConfig {
    fn default() -> Self {
        Self { channel: "analytics".to_owned(), views_per_second: 5.0, seed: None }
    }
}

/// Publishes demo traffic until `stop` is cancelled. A view that the sink refuses
/// is lost; the traffic goes on.
pub async fn run(sink: Arc<dyn Sink>, config: DemoConfig, stop: CancellationToken) {
    // Returns None when it was stopped; the loop itself never ends.
    let _ = stop.run_until_cancelled(publish_forever(&*sink, &config)).await;
}

async fn publish_forever(sink: &dyn Sink, config: &DemoConfig) {
    let seed = config.seed.unwrap_or_else(|| fastrand::u64(..));
    let mut traffic = Traffic::new(seed, config.views_per_second.clamp(0.01, 1_000.0));
    let mut start = Instant::now();
    let mut sink_works = true;
    loop {
        let (due, mut view) = traffic.next_view();
        let late = start.elapsed().saturating_sub(due);
        if late > MAX_LATE {
            start += late;
        }
        tokio::time::sleep_until(start + due).await;
        view.at = SystemTime::now();
        let published = match view.encode() {
            Ok(payload) => {
                sink.publish(&config.channel, payload).await.map_err(|error| error.to_string())
            }
            Err(error) => Err(error.to_string()),
        };
        // One line per change: the reason stays the same for as long as it lasts.
        match (&published, sink_works) {
            (Err(error), true) => warn!(%error, "demo traffic is not being published"),
            (Ok(()), false) => info!("demo traffic is being published again"),
            _ => {}
        }
        sink_works = published.is_ok();
    }
}

#[cfg(test)]
#[path = "demo_tests.rs"]
mod tests;
