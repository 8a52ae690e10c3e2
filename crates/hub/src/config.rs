//! What an operator can set about delivery.

use std::time::Duration;

/// Settings of the hub; the same for every connection.
#[derive(Clone, Debug)]
pub struct HubConfig {
    /// How many shards; one per core that may run us, by default.
    pub shards: usize,
    /// Messages that may wait for one shard. Default 8,192.
    pub queue_events: usize,
    /// Bytes that may wait for one shard. Default 32 MiB.
    pub queue_bytes: usize,
    /// Bytes that may wait for one connection behind the frame in progress.
    /// Default 1 MiB.
    pub outbox_limit: usize,
    /// How often the server pings. Default 30 s.
    pub ping_every: Duration,
    /// How long a connection lives without a sign of life. Default 60 s.
    pub idle_timeout: Duration,
}

impl Default for HubConfig {
    fn default() -> Self {
        Self {
            shards: std::thread::available_parallelism().map_or(1, usize::from),
            queue_events: 8192,
            queue_bytes: 32 << 20,
            outbox_limit: 1 << 20,
            ping_every: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(60),
        }
    }
}

impl HubConfig {
    /// How often a shard's timer looks at its members: sixteen times per ping
    /// interval, so that pings are spread evenly, and at least once a second.
    pub(crate) fn tick(&self) -> Duration {
        (self.ping_every / 16).clamp(Duration::from_millis(10), Duration::from_secs(1))
    }

    /// How many ticks make one ping interval: into so many groups pings are spread.
    pub(crate) fn ping_phases(&self) -> u32 {
        let ticks = self.ping_every.as_nanos().div_ceil(self.tick().as_nanos());
        u32::try_from(ticks).unwrap_or(u32::MAX).max(1)
    }
}
