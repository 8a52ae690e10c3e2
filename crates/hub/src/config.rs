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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_the_documented_ones() {
        let config = HubConfig::default();
        assert_eq!((config.queue_events, config.queue_bytes), (8192, 32 * 1024 * 1024));
        assert_eq!(config.outbox_limit, 1024 * 1024);
        assert_eq!((config.ping_every.as_secs(), config.idle_timeout.as_secs()), (30, 60));
    }

    #[test]
    fn the_ticks_of_one_ping_interval_fill_it() {
        for (ping_every, tick, phases) in [
            (1, 10, 1),
            (100, 10, 10),
            (1000, 62, 16),
            (1600, 100, 16),
            (16_000, 1000, 16),
            (30_000, 1000, 30),
            (30_500, 1000, 31),
        ] {
            let ping_every = Duration::from_millis(ping_every);
            let config = HubConfig { ping_every, ..HubConfig::default() };
            assert_eq!((config.tick().as_millis(), config.ping_phases()), (tick, phases));
        }
    }
}
