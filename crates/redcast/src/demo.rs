//! The demo: a collector and synthetic visitors inside the gateway's own process.
//!
//! They go the way that a site's own collector goes: page views are counted and published
//! in Redis where there is one, else in memory.

use std::sync::Arc;

use anyhow::{Result, anyhow, bail};
use async_trait::async_trait;
use bytes::Bytes;
use ipnet::IpNet;
use redcast_broker::{MemoryBroker, RedisConfig, Stored};
use redcast_node::Node;
use redcast_producer::collect::{CollectConfig, Collector};
use redcast_producer::{
    DemoConfig, MemoryStore, MemoryStoreConfig, Outlet, OutletError, RedisStore, RedisStoreConfig,
    Store, StoreTls, demo,
};
use redcast_protocol::Channel;
use tokio_util::sync::CancellationToken;

use crate::app::BadConfig;

/// The configuration whose endpoint and snapshot the demo shows.
pub(crate) const EXAMPLE: &str = include_str!("../../../deploy/config/analytics.toml");

/// Paths of the public port that the demo takes.
const PATHS: [&str; 2] = ["/r.js", "/collect"];

/// Where the demo counts and publishes.
pub(crate) enum Counts {
    InMemory(Arc<MemoryBroker>),
    InRedis { url: String, prefix: String, tls: StoreTls },
}

impl Counts {
    /// In that one of the nodes which has the channel of the page views.
    pub(crate) fn in_redis(config: &RedisConfig) -> Self {
        let channel = Channel::parse(&RedisStoreConfig::default().channel);
        let url = channel.map_or(config.url.as_str(), |channel| config.url_of(&channel));
        let (ca, identity) = (config.tls.ca(), config.tls.identity());
        let tls = StoreTls {
            ca: ca.map(<[u8]>::to_vec),
            identity: identity.map(|(cert, key)| (cert.to_vec(), key.to_vec())),
        };
        Self::InRedis { url: url.to_owned(), prefix: config.prefix.clone(), tls }
    }
}

/// The demo, built and not yet running.
pub(crate) struct Demo {
    store: Arc<dyn Store>,
    /// Takes what the page's visitors do; its routes belong on the public port.
    pub(crate) collector: Collector,
}

/// The memory broker, to a producer in the same process.
struct Inside {
    node: Arc<Node>,
    broker: Arc<MemoryBroker>,
}

#[async_trait]
impl Outlet for Inside {
    async fn publish(&self, channel: &str, payload: Vec<u8>) -> Result<(), OutletError> {
        let channel = Channel::parse(channel).map_err(|error| OutletError(error.to_string()))?;
        let published = self.node.publish(&channel, Bytes::from(payload)).await;
        published.map_err(|error| OutletError(error.to_string()))
    }

    async fn store(&self, key: &str, fields: Vec<(String, String)>) {
        let fields = fields.into_iter().map(|(field, value)| (field.into(), value.into()));
        self.broker.store(key, Stored::Hash(fields.collect()));
    }
}

impl Demo {
    /// Builds it. Must be called inside a tokio runtime.
    ///
    /// `trusted_proxies` are believed about visitors as they are about clients: behind one
    /// that is not, all visitors would be one.
    pub(crate) fn new(
        counts: Counts,
        node: Arc<Node>,
        trusted_proxies: Vec<IpNet>,
    ) -> Result<Self> {
        let own_hosts = vec![demo::HOST.to_owned()];
        let store: Arc<dyn Store> = match counts {
            Counts::InMemory(broker) => {
                let inside = Arc::new(Inside { node, broker });
                Arc::new(MemoryStore::new(
                    MemoryStoreConfig { own_hosts, ..MemoryStoreConfig::default() },
                    inside,
                ))
            }
            Counts::InRedis { url, .. } if names_several_hosts(&url) => {
                let message = "redis.url: --demo counts in a Redis at a fixed address; \
                               leave it out where sentinels or a cluster name the Redis";
                return Err(BadConfig(anyhow!(message)).into());
            }
            Counts::InRedis { url, prefix, tls } => {
                let config =
                    RedisStoreConfig { url, tls, prefix, own_hosts, ..RedisStoreConfig::default() };
                Arc::new(RedisStore::connect(config).map_err(|error| BadConfig(error.into()))?)
            }
        };
        // Whatever name the page was opened by, it is this site's.
        let sites = vec!["*".to_owned()];
        let config = CollectConfig { sites, trusted_proxies, ..CollectConfig::default() };
        let collector = Collector::start(store.clone(), config)?;
        Ok(Self { store, collector })
    }

    /// Publishes page views until `stop`.
    pub(crate) async fn traffic(self, stop: CancellationToken) {
        demo::run(self.store, DemoConfig::default(), stop).await;
    }
}

/// Whether this is the URL of sentinels or of a cluster's nodes.
fn names_several_hosts(url: &str) -> bool {
    let scheme = url.split_once("://").map_or("", |(scheme, _)| scheme);
    scheme.ends_with("+sentinel") || scheme.ends_with("+cluster")
}

/// Refuses endpoints where the demo's own paths are.
pub(crate) fn check_paths<'a>(mut endpoints: impl Iterator<Item = &'a str>) -> Result<()> {
    if let Some(path) = endpoints.find(|path| PATHS.contains(path)) {
        bail!("--demo serves {path} itself; give the endpoint another path, or leave --demo out");
    }
    Ok(())
}
