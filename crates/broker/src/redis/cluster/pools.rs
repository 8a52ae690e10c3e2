//! Connections for single commands to each node of a cluster.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use deadpool_redis::{Connection, PoolError, TimeoutType};
use parking_lot::Mutex;
use redis::{ErrorKind, RedisError, RedisResult};

use super::super::pool::connections;
use super::map::Node;
use super::routed::Routed;
use super::topology::Topology;

/// Which part of a server's connections each node of a cluster gets, one over this.
const SHARE: usize = 4;

/// Connections to every node; clones share them.
#[derive(Clone)]
pub(in super::super) struct Pools {
    /// Who has what.
    pub(super) topology: Arc<Topology>,
    nodes: Arc<Mutex<HashMap<Node, deadpool_redis::Pool>>>,
    /// Connections to one node.
    size: usize,
    /// How long a command may take.
    pub(super) deadline: Duration,
}

impl Pools {
    /// As many connections as one server would get `size` of; connects to nothing yet.
    pub(in super::super) fn new(topology: Arc<Topology>, size: usize, deadline: Duration) -> Self {
        // Nodes share the work. Who asks for one connection wants the order that it keeps.
        let size = if size == 1 { 1 } else { size.div_ceil(SHARE).max(2) };
        Self { topology, nodes: Arc::default(), size, deadline }
    }

    /// Others like these, of another size.
    pub(in super::super) fn beside(&self, size: usize) -> Self {
        Self::new(Arc::clone(&self.topology), size, self.deadline)
    }

    /// A way to whoever has `slot` at each moment. With `anywhere` another node makes up
    /// for one that is away: what is to be sent is taken by each.
    pub(in super::super) fn to(&self, slot: u16, anywhere: bool) -> Routed {
        Routed::new(self.clone(), slot, anywhere)
    }

    /// A connection to `node` that answered a PING just now, or is new.
    pub(super) async fn get(&self, node: &Node) -> RedisResult<Connection> {
        let pool = self.pool(node)?;
        pool.get().await.map_err(|error| match error {
            PoolError::Backend(error) => error,
            PoolError::Timeout(TimeoutType::Wait) => {
                (ErrorKind::Client, "every connection is busy").into()
            }
            _ => (ErrorKind::Client, "it did not answer in time").into(),
        })
    }

    fn pool(&self, node: &Node) -> RedisResult<deadpool_redis::Pool> {
        let mut nodes = self.nodes.lock();
        if let Some(pool) = nodes.get(node) {
            return Ok(pool.clone());
        }
        // A node that has left the cluster keeps no connections.
        let known = self.topology.map().nodes();
        nodes.retain(|node, _| known.contains(node));
        let info = self.topology.info(node);
        let pool = connections(&info, self.size, self.deadline)
            .and_then(|builder| builder.build().map_err(|error| error.to_string()));
        let pool = pool.map_err(|why| {
            RedisError::from((ErrorKind::InvalidClientConfig, "no connections", why))
        })?;
        nodes.insert(node.clone(), pool.clone());
        Ok(pool)
    }
}
