//! The task that follows the slots: it listens to every primary, and sends each wish to
//! the one that has its slot.

use std::sync::Arc;
use std::time::Instant;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::super::config::RedisConfig;
use super::super::locator::Locator;
use super::super::names::Names;
use super::super::pool::Pool;
use super::super::proof::Proof;
use super::super::prover::Prover;
use super::super::server::Server;
use super::super::status::{Links, Status};
use super::super::subscriber::Subscriber;
use super::super::url::Address;
use super::super::wishes::Wishes;
use super::map::Node;
use super::shards::{ShardLane, Shards};
use super::topology::{Known, Shard, Topology};
use crate::clock;
use crate::intake::Intake;

/// Everything the task needs. With the subscribers it holds the only ways into the queue
/// of deliveries.
pub(in super::super) struct Placer {
    topology: Arc<Topology>,
    /// Publishes canaries.
    pool: Pool,
    /// What is wanted.
    pub(in super::super) shards: Arc<Shards>,
    config: Arc<RedisConfig>,
    names: Names,
    links: Arc<Links>,
    intake: Intake,
    tracker: TaskTracker,
}

impl Placer {
    /// Nothing is wanted yet; what it starts on `tracker` is as patient as `beside`, feeds
    /// the same queue, and is counted with it.
    pub(in super::super) fn new(
        (topology, pool): (Arc<Topology>, &Pool),
        beside: &Subscriber,
        links: &Arc<Links>,
        tracker: &TaskTracker,
    ) -> Self {
        let names = beside.names.clone();
        let gauge = links.metrics().channels.clone();
        let shards = Arc::new(Shards::new(Arc::clone(&topology), names.clone(), gauge));
        let (config, intake) = (Arc::clone(&beside.config), beside.intake.clone());
        let pool = pool.clone();
        let (links, tracker) = (Arc::clone(links), tracker.clone());
        Self { topology, pool, shards, config, names, links, intake, tracker }
    }

    /// Runs until `together`, and ends it: those who listen are of no use without each
    /// other.
    pub(in super::super) async fn run(self, together: CancellationToken) {
        let _end_all = together.clone().drop_guard();
        let mut maps = self.topology.watch();
        loop {
            let Known { map, otherwise } = maps.borrow_and_update().clone();
            let blind_from = clock::unix_ms_of(otherwise.unwrap_or_else(Instant::now));
            self.shards
                .place(map, blind_from, |node, wishes| self.listen_to(node, wishes, &together));
            match together.run_until_cancelled(maps.changed()).await {
                Some(Ok(())) => {}
                Some(Err(_)) | None => return,
            }
        }
    }

    fn listen_to(
        &self,
        node: &Node,
        wishes: Arc<Wishes>,
        together: &CancellationToken,
    ) -> ShardLane {
        let shard = Shard { topology: Arc::clone(&self.topology), node: node.clone() };
        self.links.one_more();
        let status = Arc::new(Status::new(Arc::clone(&self.links)));
        let proof = Arc::new(Proof::new(&self.config));
        let stop = together.child_token();
        let subscriber = Subscriber {
            server: Server::of(&Address::One(Box::new(shard.info())), &self.config.url),
            locator: Locator::Shard(shard),
            config: Arc::clone(&self.config),
            names: self.names.clone(),
            wishes: Arc::clone(&wishes),
            streams: Arc::default(),
            proof: Arc::clone(&proof),
            status: Arc::clone(&status),
            intake: self.intake.clone(),
        };
        let prover = Prover {
            pool: self.pool.clone(),
            proof: Arc::clone(&proof),
            status: Arc::clone(&status),
            sharded: true,
        };
        let (ends, all, links) = (stop.clone(), together.clone(), Arc::clone(&self.links));
        self.tracker.spawn(async move {
            let end_all = all.drop_guard();
            tokio::join!(subscriber.run(ends.clone()), prover.run(ends));
            links.one_less();
            // It was told to end; only a panic passes this by.
            let _ = end_all.disarm();
        });
        ShardLane { wishes, status, proof, stop }
    }
}
