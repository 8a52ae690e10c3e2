//! Where the Redis is that a connection should be made to, asked anew for each attempt:
//! after a failover it is somewhere else.

use std::sync::Arc;

use redis::aio::MultiplexedConnection;
use redis::{ConnectionInfo, RedisResult};

use super::cluster::{Shard, Topology};

/// The way to one Redis that takes writes.
#[derive(Debug, Clone)]
pub(super) enum Locator {
    /// It is always there.
    Fixed(Box<ConnectionInfo>),
    /// Any node of a cluster will do: plain channels are told by all.
    Cluster(Arc<Topology>),
    /// It is this primary of a cluster.
    Shard(Shard),
}

impl Locator {
    /// Where it is at this moment.
    pub(super) async fn find(&self) -> RedisResult<ConnectionInfo> {
        match self {
            Self::Fixed(info) => Ok(info.as_ref().clone()),
            Self::Cluster(topology) => Ok(topology.info(&topology.any().await)),
            Self::Shard(shard) => Ok(shard.info()),
        }
    }

    /// Waits until whoever connected to `info` must leave, and says why. What is always
    /// there is never left, and a primary by whoever ends what listens to it.
    pub(super) async fn moved(&self, info: &ConnectionInfo) -> String {
        match self {
            Self::Fixed(_) | Self::Shard(_) => std::future::pending().await,
            Self::Cluster(topology) => topology.lost(info).await,
        }
    }

    /// A connection was lost or not to be had, which a failover may explain.
    pub(super) fn doubt(&self) {
        match self {
            Self::Fixed(_) => {}
            Self::Cluster(topology) => topology.doubt(None),
            // It is the one that can't be asked.
            Self::Shard(shard) => shard.doubt_it(),
        }
    }

    /// The primary whose shard channels are listened to, if they are.
    pub(super) fn shard(&self) -> Option<&Shard> {
        match self {
            Self::Fixed(_) | Self::Cluster(_) => None,
            Self::Shard(shard) => Some(shard),
        }
    }

    /// Whether what was found is what it was said to be, asked of itself.
    pub(super) async fn check(&self, _: &mut MultiplexedConnection) -> RedisResult<()> {
        match self {
            // A node without the slot of a shard channel says so when it is asked for it.
            Self::Fixed(_) | Self::Cluster(_) | Self::Shard(_) => Ok(()),
        }
    }
}
