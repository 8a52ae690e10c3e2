//! Which primary each wanted shard channel is asked for at. A wish moves with its slot:
//! who waits for it, what was promised and since when it is blind go along.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use prometheus::IntGauge;
use redcast_protocol::Channel;
use tokio_util::sync::CancellationToken;

use super::super::lane::health;
use super::super::names::Names;
use super::super::proof::Proof;
use super::super::status::Status;
use super::super::wishes::Wishes;
use super::map::{Node, SlotMap};
use super::slot::slot_of;
use super::topology::Topology;
use crate::Health;

/// All wishes for shard channels.
pub(in super::super) struct Shards {
    names: Names,
    topology: Arc<Topology>,
    placement: Mutex<Placement>,
    /// For channels whose slot nobody has, as far as is known: no link will take them up.
    homeless: Wishes,
    confirmed_gauge: IntGauge,
}

#[derive(Default)]
struct Placement {
    map: Arc<SlotMap>,
    lanes: HashMap<Node, ShardLane>,
}

/// One primary, and what is wanted of it.
pub(super) struct ShardLane {
    /// What is wanted.
    pub(super) wishes: Arc<Wishes>,
    /// How its link is.
    pub(super) status: Arc<Status>,
    /// What its canaries say.
    pub(super) proof: Arc<Proof>,
    /// Ends what listens to it.
    pub(super) stop: CancellationToken,
}

impl Shards {
    /// Nothing is wanted, and no primary known.
    pub(in super::super) fn new(
        topology: Arc<Topology>,
        names: Names,
        confirmed_gauge: IntGauge,
    ) -> Self {
        let homeless = Wishes::new(confirmed_gauge.clone());
        Self { names, topology, placement: Mutex::default(), homeless, confirmed_gauge }
    }

    /// Does something with the wishes among which that for `channel` is; it stays there
    /// meanwhile.
    pub(in super::super) fn with<R>(
        &self,
        channel: &Channel,
        work: impl FnOnce(&Wishes) -> R,
    ) -> R {
        let placement = self.placement.lock();
        work(self.home(&placement, channel))
    }

    /// How the link to each primary is; and if some channels have none, or no primary is
    /// known, how that is.
    pub(in super::super) fn health(&self, dead_after: Duration) -> Vec<Health> {
        let placement = self.placement.lock();
        let lanes = placement.lanes.values();
        let mut all: Vec<Health> = lanes
            .map(|lane| health(&lane.status, &lane.proof, || lane.wishes.tally(), dead_after))
            .collect();
        let homeless = self.homeless.tally();
        if all.is_empty() || homeless.wanted > 0 {
            all.push(Health {
                wanted: homeless.wanted,
                overdue: homeless.wanted,
                last_error: self.topology.last_error(),
                ..Health::default()
            });
        }
        all
    }

    /// Takes over a new map: `open` makes a lane for each primary that has none, then every
    /// wish goes to where its slot is, and lanes of those who have none any more end.
    /// Channels that were live where they were count as blind from `blind_from_ms`.
    pub(super) fn place(
        &self,
        map: Arc<SlotMap>,
        blind_from_ms: u64,
        mut open: impl FnMut(&Node, Arc<Wishes>) -> ShardLane,
    ) {
        let mut placement = self.placement.lock();
        let primaries = map.primaries();
        placement.map = map;
        for node in &primaries {
            if !placement.lanes.contains_key(node) {
                let wishes = Arc::new(Wishes::new(self.confirmed_gauge.clone()));
                placement.lanes.insert(node.clone(), open(node, wishes));
            }
        }
        let sources = placement.lanes.values().map(|lane| lane.wishes.as_ref());
        for source in sources.chain([&self.homeless]) {
            self.move_out(&placement, source, blind_from_ms);
        }
        placement.lanes.retain(|node, lane| {
            let stays = primaries.contains(node);
            if !stays {
                lane.stop.cancel();
            }
            stays
        });
    }

    fn move_out(&self, placement: &Placement, source: &Wishes, blind_from_ms: u64) {
        for channel in source.wanted() {
            let home = self.home(placement, &channel);
            if std::ptr::eq(home, source) {
                continue;
            }
            if let Some(wish) = source.release(&channel, blind_from_ms) {
                home.adopt(&channel, wish);
            }
        }
    }

    fn home<'a>(&'a self, placement: &'a Placement, channel: &Channel) -> &'a Wishes {
        let node = placement.map.primary_of(slot_of(&self.names.channel(channel)));
        let lane = node.and_then(|node| placement.lanes.get(node));
        lane.map_or(&self.homeless, |lane| lane.wishes.as_ref())
    }
}
