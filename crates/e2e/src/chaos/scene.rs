//! What rows have in common: their size, their Redis, and waiting for what gateways say.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::time::sleep;

use super::findings::Findings;
use crate::fleet::{CrowdOptions, Feed, Fleet, FleetOptions, Load, Store};
use crate::gateway::Gateway;
use crate::http::get;
use crate::raw_client::Dial;
use crate::redis_server::RedisServer;

/// How often a gateway is asked how it is.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// How long after all channels are live a gateway may take to say that it is ready: two
/// canaries, one of which may just have been missed.
pub(super) const READY: Duration = Duration::from_secs(3);
/// What the issue says: AOF, written each second.
pub(super) const DURABLE: [&str; 4] = ["--appendonly", "yes", "--appendfsync", "everysec"];

/// How large a run is.
#[derive(Debug, Clone)]
pub struct Scale {
    /// Clients of an ordinary row.
    pub clients: usize,
    /// Clients of a row about many of them.
    pub many: usize,
    /// Stream channels; there are as many for pub/sub in a full run.
    pub streams: usize,
    /// Pub/sub channels.
    pub pubsubs: usize,
    /// Events a second.
    pub rate: usize,
    /// By how much deadlines are longer than the bar.
    pub stretch: u32,
    /// How long after a fault the channels are looked at once more.
    pub later: Duration,
    /// Whether long and repeated parts are done in full.
    pub is_full: bool,
    /// What decides everything that is random.
    pub seed: u64,
    /// How long the random row goes on.
    pub minutes: u64,
}

impl Scale {
    /// As the table has it.
    pub fn full(seed: u64, minutes: u64) -> Self {
        Self {
            clients: 200,
            many: 1000,
            streams: 20,
            pubsubs: 20,
            rate: 500,
            stretch: 1,
            later: Duration::from_secs(120),
            is_full: true,
            seed,
            minutes,
        }
    }

    /// As the stories have it: the same clients with less to say, on a busy machine.
    pub fn story() -> Self {
        Self {
            rate: 200,
            stretch: 3,
            later: Duration::from_secs(1),
            is_full: false,
            minutes: 0,
            ..Self::full(1, 0)
        }
    }

    /// A deadline of this row's.
    pub fn patience(&self, bar: Duration) -> Duration {
        bar * self.stretch.max(10)
    }

    /// A fleet over these URLs.
    pub fn fleet(&self, redis_urls: Vec<String>, store: Store) -> FleetOptions {
        FleetOptions {
            gateways: 3,
            redis_urls,
            store,
            config: String::new(),
            env: Vec::new(),
            ports: Vec::new(),
            door: None,
            first_doors: 3,
            feed: Feed::new(self.streams, self.pubsubs),
            load: Load { rate: self.rate, size: 200, is_sharded: false },
            crowd: CrowdOptions {
                clients: self.clients,
                jitter: Duration::from_millis(500),
                seed: self.seed,
                dial: Dial::default(),
            },
        }
    }

    /// The ordinary fleet over one Redis.
    pub async fn fleet_over(&self, redis: &RedisServer) -> Fleet {
        Fleet::start(self.fleet(vec![redis.url()], Store::Single(redis.url()))).await
    }
}

/// A line about where a row is.
pub(super) fn say(what: &str) {
    println!("    {what}");
}

/// A loopback address.
pub(super) fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

/// Waits until every gateway answers `/readyz` with this status; how long the last one
/// took, `limit` at the most.
pub(super) async fn until_readyz<'a>(
    gateways: impl Iterator<Item = &'a Gateway>,
    status: u16,
    limit: Duration,
) -> Duration {
    let began = Instant::now();
    let asking = gateways.map(async |gateway| {
        while get(gateway.admin(), "/readyz").await.status != status && began.elapsed() < limit {
            sleep(LOOK_EVERY).await;
        }
        began.elapsed()
    });
    let took = futures_util::future::join_all(asking).await;
    took.into_iter().max().unwrap_or_default()
}

/// Measures how much later than its clients' channels every gateway says that it is ready.
pub(super) async fn ready_again(scale: &Scale, findings: &mut Findings, fleet: &Fleet, name: &str) {
    let took = until_readyz(fleet.running(), 200, scale.patience(READY)).await;
    findings.within(&format!("{name}: ready"), took, READY);
}

/// Waits for the first PONG of a server that is coming back.
pub(super) async fn first_pong(redis: &RedisServer) {
    let client = redis.client();
    loop {
        if let Ok(mut link) = client.get_multiplexed_async_connection().await {
            let pong: Result<String, _> = redis::cmd("PING").query_async(&mut link).await;
            if pong.is_ok() {
                return;
            }
        }
        sleep(Duration::from_millis(2)).await;
    }
}

/// Counts the links to Redis that gateways have built again.
pub(super) const LINKS_REBUILT: &str = "redcast_redis_reconnects_total";

/// Redis ends all connections of a kind but that of whoever asks.
pub(super) async fn kill_connections(redis: &RedisServer, kind: &str) -> usize {
    let mut admin = redis.connection().await;
    let mut command = redis::cmd("CLIENT");
    command.arg("KILL").arg("TYPE").arg(kind).arg("SKIPME").arg("yes");
    command.query_async(&mut admin).await.expect("Redis kills")
}

/// The sum of a metric over gateways.
pub(super) async fn metric<'a>(gateways: impl Iterator<Item = &'a Gateway>, name: &str) -> f64 {
    let asking = gateways.map(async |gateway| gateway.metrics().await.value(name));
    futures_util::future::join_all(asking).await.iter().sum()
}
