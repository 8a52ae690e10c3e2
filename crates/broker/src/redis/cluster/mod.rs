//! Redis Cluster: who has which slot, commands that go there, and shard channels that are
//! followed to wherever their slot is.

mod map;
mod placer;
mod pools;
mod routed;
mod seeds;
mod shards;
mod slot;
mod topology;

pub(super) use self::placer::Placer;
pub(super) use self::pools::Pools;
pub(super) use self::routed::Routed;
pub(super) use self::shards::Shards;
pub(super) use self::slot::{hash_tag, slot_of};
pub(super) use self::topology::{Shard, Topology};
