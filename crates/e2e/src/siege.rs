//! A gateway under attack, with what must not suffer from it: an honest client beside
//! the attackers, and the process's memory.

use crate::bystander::{Bystander, Witness};
use crate::client::Client;
use crate::gateway::{Gateway, GatewayOptions};
use crate::raw_client::RawClient;
use crate::redis_server::RedisServer;
use crate::vitals::Vitals;

/// What memory may grow by during an attack, and keep of it, where a story sets no
/// limit of its own: some buffers, and far less than an attack sends.
const MEMORY: u64 = 4 << 20;
/// Where the bystander is; attackers have no channel in common with it.
const FEED: &str = "\n[[endpoints]]\npath = \"/feed\"\nchannels = [\"feed\"]\n";

/// A gateway, its Redis and a bystander.
pub struct Siege {
    /// The Redis that the gateway uses.
    pub redis: RedisServer,
    /// The gateway.
    pub gateway: Gateway,
    bystander: Bystander,
    vitals: Vitals,
}

impl Siege {
    /// Where attackers connect: an endpoint that joins nothing and offers all.
    pub const PATH: &str = "/attacked";

    /// Starts all of it, with the default settings and more TOML.
    pub async fn begin(config: &str) -> Self {
        Self::with(GatewayOptions { config: config.to_owned(), ..Default::default() }).await
    }

    /// Starts all of it.
    pub async fn with(options: GatewayOptions) -> Self {
        let path = Self::PATH;
        let attacked = format!("\n[[endpoints]]\npath = \"{path}\"\nsubscribe = [\"*\"]\n");
        let config = [&options.config, FEED, &attacked].concat();
        let redis = RedisServer::start();
        let redis_url = Some(redis.url());
        let gateway = Gateway::ready(GatewayOptions { redis_url, config, ..options }).await;
        let bystander = Bystander::start(&gateway, &redis, "/feed", "feed").await;
        let vitals = Vitals::watch(&gateway);
        Self { redis, gateway, bystander, vitals }
    }

    /// An attacker that has got in.
    pub async fn attacker(&self) -> RawClient {
        RawClient::connect(self.gateway.public(), Self::PATH).await
    }

    /// One that keeps to the protocol, by a library of others.
    pub async fn client(&self) -> Client {
        self.gateway.connect(Self::PATH).await
    }

    /// Begins to watch memory and CPU anew. From here on the peak counts, at the end too;
    /// what is left over counts from the beginning all the same.
    pub fn watch(&self) -> Vitals {
        Vitals::watch(&self.gateway)
    }

    /// Waits until so many connections have ended with a close code.
    pub async fn until_closed(&self, code: u16, count: usize) {
        let name = format!("redcast_connections_closed_total{{code=\"{code}\"}}");
        self.gateway.until_metric(&name, count as f64).await;
    }

    /// The attack is over: the bystander has everything, the gauges and the memory are
    /// back where they were, and the next honest client is served.
    pub async fn end(self, what: &str) -> Witness {
        self.end_within(what, MEMORY, MEMORY).await
    }

    /// The same where an attack may cost more: memory at its peak and what may be kept of
    /// it, in bytes.
    pub async fn end_within(self, what: &str, peak: u64, rest: u64) -> Witness {
        self.gateway.until_metric("redcast_connections", 1.0).await;
        self.gateway.until_metric("redcast_http_connections", 0.0).await;
        self.client().await.settled().await;
        self.vitals.assert_flat(what, peak, rest).await;
        self.bystander.finish(what).await
    }
}
