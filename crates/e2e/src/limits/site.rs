//! The redis-servers of a topology, where each channel is in them, and the gateways over
//! them.

use futures_util::future::join_all;
use redis::aio::MultiplexedConnection;

use crate::cluster_set::ClusterSet;
use crate::fleet::Feed;
use crate::gateway::{Gateway, GatewayOptions, run};
use crate::redis_server::RedisServer;

/// What docs/REDIS.md tells those who have streams: what is acknowledged is on disk a
/// second later.
const DURABLE: [&str; 4] = ["--appendonly", "yes", "--appendfsync", "everysec"];

/// How servers are put together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Topology {
    /// One server, nothing on disk.
    One,
    /// One server that writes its log each second, as streams want it.
    Durable,
    /// Two servers among which `redis.nodes` spreads channels.
    Nodes,
    /// A cluster of three with a replica each, and plain channels.
    Cluster,
    /// The same with shard channels.
    Sharded,
}

/// Running servers.
pub(super) struct Site {
    topology: Topology,
    servers: Servers,
}

enum Servers {
    Own(Vec<RedisServer>),
    Cluster(ClusterSet),
}

impl Site {
    /// Starts them.
    pub(super) async fn start(topology: Topology) -> Self {
        let servers = match topology {
            Topology::One => Servers::Own(vec![RedisServer::start()]),
            Topology::Durable => Servers::Own(vec![RedisServer::start_with(&DURABLE)]),
            Topology::Nodes => Servers::Own(vec![RedisServer::start(), RedisServer::start()]),
            Topology::Cluster | Topology::Sharded => Servers::Cluster(ClusterSet::start().await),
        };
        Self { topology, servers }
    }

    fn all(&self) -> &[RedisServer] {
        match &self.servers {
            Servers::Own(servers) => servers,
            Servers::Cluster(set) => set.servers(),
        }
    }

    /// The process of each server; replicas last.
    pub(super) fn pids(&self) -> Vec<u32> {
        self.all().iter().map(RedisServer::pid).collect()
    }

    /// A connection to each server.
    pub(super) async fn links(&self) -> Vec<MultiplexedConnection> {
        join_all(self.all().iter().map(RedisServer::connection)).await
    }

    /// Which command publishes to a pub/sub channel.
    pub(super) fn publish(&self) -> &'static str {
        if self.topology == Topology::Sharded { "SPUBLISH" } else { "PUBLISH" }
    }

    /// Which server has each channel, as a producer would find out.
    pub(super) async fn places(&self, feed: &Feed) -> Vec<usize> {
        let mut places = Vec::with_capacity(feed.len());
        for channel in 0..feed.len() {
            let name = feed.name(channel);
            places.push(match &self.servers {
                Servers::Own(servers) if servers.len() > 1 => where_is(name, servers).await,
                Servers::Own(_) => 0,
                Servers::Cluster(set) => set.primary_of(name).await,
            });
        }
        places
    }

    /// Gateways over them, all of which are ready.
    pub(super) async fn gateways(&self, count: usize) -> Vec<Gateway> {
        let (redis_url, config) = match &self.servers {
            Servers::Own(servers) if servers.len() > 1 => {
                (None, format!("[redis]\nnodes = {:?}\n", urls(servers)))
            }
            Servers::Own(servers) => (Some(servers[0].url()), String::new()),
            Servers::Cluster(set) => {
                let is_sharded = self.topology == Topology::Sharded;
                (Some(set.url()), format!("[redis]\nsharded = {is_sharded}\n"))
            }
        };
        let config = [config, Feed::config()].concat();
        let gateway = |_| {
            let (redis_url, config) = (redis_url.clone(), config.clone());
            Gateway::ready(GatewayOptions { redis_url, config, ..Default::default() })
        };
        join_all((0..count).map(gateway)).await
    }
}

fn urls(servers: &[RedisServer]) -> Vec<String> {
    servers.iter().map(RedisServer::url).collect()
}

/// Asks `redcast publish --where`, as docs/REDIS_NODES.md tells producers.
async fn where_is(channel: &str, servers: &[RedisServer]) -> usize {
    let urls = urls(servers);
    let nodes = urls.join(",");
    let env = [("REDCAST_REDIS__NODES", nodes.as_str())];
    let output = run(&["publish", "--where", channel], &env).await;
    let told = String::from_utf8_lossy(&output.stdout);
    let place = urls.iter().position(|url| url == told.trim_end());
    place.unwrap_or_else(|| panic!("{channel} is nowhere: {output:?}"))
}
