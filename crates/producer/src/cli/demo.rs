//! `redcast-producer demo`.

use anyhow::Result;
use clap::Args;
use redcast_producer::{DemoConfig, demo, keep_fresh};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::redis::RedisFlags;
use super::stop_at_signal;

/// Flags of `demo`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:\n  \
    redcast-producer demo --redis-url redis://127.0.0.1:6379\n  \
    redcast-producer demo --redis-url redis://127.0.0.1:6379 --rate 200 --seed 7\n\n\
    Exit codes: 0 stopped as asked, 1 failed, 2 wrong usage, 78 wrong configuration.")]
pub(super) struct DemoFlags {
    /// Page views a second, on average, from 0.01 to 1000
    #[arg(long, value_name = "N", default_value_t = 5.0, value_parser = rate)]
    #[arg(env = "REDCAST_PRODUCER_DEMO_RATE", hide_env_values = true)]
    rate: f64,
    /// The same seed gives the same visitors [default: others each time]
    #[arg(long, value_name = "SEED", env = "REDCAST_PRODUCER_DEMO_SEED", hide_env_values = true)]
    seed: Option<u64>,
}

/// Publishes until it is stopped.
pub(super) async fn run(
    flags: &DemoFlags,
    redis: &RedisFlags,
    stop: CancellationToken,
) -> Result<u8> {
    let store = redis.store(vec![demo::HOST.to_owned()])?;
    let tasks = TaskTracker::new();
    stop_at_signal(&tasks, &stop)?;
    tracing::info!(views_per_second = flags.rate, "publishing demo traffic");
    tasks.spawn(keep_fresh(store.clone(), stop.clone()));
    let config = DemoConfig { views_per_second: flags.rate, seed: flags.seed };
    demo::run(store, config, stop).await;
    Ok(0)
}

fn rate(text: &str) -> Result<f64, String> {
    let rate = text.parse().ok().filter(|rate| (0.01..=1_000.0).contains(rate));
    rate.ok_or_else(|| "a number from 0.01 to 1000 is wanted".to_owned())
}
