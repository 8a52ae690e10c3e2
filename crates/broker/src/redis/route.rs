//! Which of several nodes has a channel or a key.
//!
//! Jump consistent hash (Lamping and Veach, "A Fast, Minimal Memory, Consistent Hash
//! Algorithm", 2014) over XXH64 with seed 0: an arithmetic that any producer can repeat
//! (docs/REDIS_NODES.md has it in Python), and a node that is added takes its share
//! from all others and moves nothing between them.

use redcast_protocol::Channel;
use xxhash_rust::xxh64::xxh64;

use super::cluster::hash_tag;
use super::names::Names;

/// The places of names among so many nodes.
#[derive(Debug, Clone)]
pub(super) struct Route {
    names: Names,
    nodes: usize,
}

impl Route {
    /// Places among `nodes`, of which there is one at least.
    pub(super) fn new(prefix: &str, nodes: usize) -> Self {
        Self { names: Names::new(prefix), nodes }
    }

    /// The node that `channel` is published to, counted from 0.
    pub(super) fn channel(&self, channel: &Channel) -> usize {
        self.of(&self.names.channel(channel))
    }

    /// The node that has the key which is configured as `key`.
    ///
    /// A key with `{…}` in it is where the channel is whose name stands in the braces, as
    /// in Redis Cluster. So a producer that publishes to `analytics` and keeps
    /// `{analytics}:stats` needs to know one node.
    pub(super) fn key(&self, key: &str) -> usize {
        self.of(&self.names.key(hash_tag(key).unwrap_or(key)))
    }

    fn of(&self, name: &str) -> usize {
        jump(xxh64(name.as_bytes(), 0), self.nodes)
    }
}

/// The bucket of `hash` among `buckets`: it follows the jumps that the hash makes as
/// buckets are added one by one, and stops before the one that leads too far.
fn jump(hash: u64, buckets: usize) -> usize {
    // The constant of the paper's linear congruential generator.
    const MULTIPLIER: u64 = 2_862_933_555_777_941_757;
    let mut state = hash;
    let mut bucket = 0;
    loop {
        state = state.wrapping_mul(MULTIPLIER).wrapping_add(1);
        // In this order, as in the paper: another rounding would now and then find another
        // bucket than everybody else does.
        let jump = (1u64 << 31) as f64 / ((state >> 33) + 1) as f64;
        let next = ((bucket + 1) as f64 * jump) as usize;
        if next >= buckets {
            return bucket;
        }
        bucket = next;
    }
}

#[cfg(test)]
#[path = "route_tests.rs"]
mod tests;
