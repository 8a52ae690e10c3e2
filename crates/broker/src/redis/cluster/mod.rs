//! Redis Cluster: who has which slot, commands that go there, and shard channels that are
//! followed to wherever their slot is.

mod map;
mod placer;
mod pools;
mod routed;
mod scatter;
mod seeds;
mod shards;
mod slot;
mod topology;

use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::placer::Placer;
use super::lane::Task;
use super::pool::Pool;
use super::status::Links;
use super::subscriber::Subscriber;

pub(super) use self::map::SlotMap;
pub(super) use self::pools::Pools;
pub(super) use self::routed::Routed;
pub(super) use self::scatter::Scatter;
pub(super) use self::shards::Shards;
pub(super) use self::slot::{hash_tag, slot_of};
pub(super) use self::topology::{Shard, Topology};

/// What follows a cluster.
pub(super) struct Followed {
    /// What is wanted of shard channels, if there are any.
    pub(super) shards: Option<Arc<Shards>>,
    /// What has to be run for it.
    pub(super) tasks: Vec<Task>,
}

/// Follows the slots of `topology` until `cancel`: for everybody who sends commands, and, if
/// channels are sharded, for links that do as the one for plain channels does.
pub(super) fn follow(
    topology: &Arc<Topology>,
    (plain, pool): (&Subscriber, &Pool),
    links: &Arc<Links>,
    (tracker, cancel): (&TaskTracker, &CancellationToken),
) -> Followed {
    let mut followed =
        Followed { shards: None, tasks: vec![Box::pin(Arc::clone(topology).keep(cancel.clone()))] };
    if plain.config.sharded {
        let placer = Placer::new((Arc::clone(topology), pool), plain, links, tracker);
        followed.shards = Some(Arc::clone(&placer.shards));
        followed.tasks.push(Box::pin(placer.run(cancel.clone())));
    }
    followed
}
