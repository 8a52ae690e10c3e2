//! What this instance knows of its cluster: who has which slot, asked of the cluster
//! itself twice a second, and at once when anything says that it has changed.
//!
//! A node that was cut off from the others goes on to name itself, so only one that calls
//! the cluster sound is believed (`cluster_state:ok`).

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, ConnectionInfo, ErrorKind, RedisResult, Value};
use tokio::sync::{Notify, Semaphore, watch};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::super::server::words;
use super::map::{Node, Redirect, SlotMap};
use super::seeds::Seeds;
use super::slot::slot_of;

/// How often the cluster is asked when nothing has happened.
const EVERY: Duration = Duration::from_millis(500);
/// The least time between two questions, however many doubt.
const PAUSE: Duration = Duration::from_millis(50);
/// How often it is asked after a doubt, a pause apart: a change that one node has made
/// takes a moment to be known to the others.
const ROUNDS_OF_DOUBT: u32 = 4;
/// How long one node may take to connect and to answer.
const PATIENCE: Duration = Duration::from_millis(500);
/// How long the node that a redirection named is believed against what others say, who
/// may not have heard of it yet.
const HOLD: Duration = Duration::from_secs(2);

/// The cluster as it is known; shared by all that talk to it.
pub(in super::super) struct Topology {
    seeds: Seeds,
    known: watch::Sender<Known>,
    state: Mutex<State>,
    /// Its one permit is with whoever asks at this moment.
    asking: Semaphore,
    doubted: Notify,
    /// Counts the choices among nodes, so that each attempt meets another one.
    turn: AtomicUsize,
}

/// Who has what, and until when it was otherwise.
#[derive(Debug, Clone, Default)]
pub(super) struct Known {
    /// Who has what.
    pub(super) map: Arc<SlotMap>,
    /// When the cluster said last that it was as it was known before; what was published
    /// since may have gone to where it is now.
    pub(super) otherwise: Option<Instant>,
}

#[derive(Default)]
struct State {
    /// What redirections said.
    held: HashMap<u16, (Node, Instant)>,
    /// The node that was asked last, and the connection to it.
    kept: Option<(Node, MultiplexedConnection)>,
    /// The node that knows of the change which is suspected.
    suspect: Option<Node>,
    asked: Option<Instant>,
    /// When the cluster said last that it is as it is known.
    confirmed: Option<Instant>,
    last_error: Option<String>,
}

impl Topology {
    /// Knows nothing but where to begin.
    pub(in super::super) fn new(seeds: &[ConnectionInfo]) -> Arc<Self> {
        Arc::new(Self {
            seeds: Seeds::new(seeds),
            known: watch::Sender::default(),
            state: Mutex::default(),
            asking: Semaphore::new(1),
            doubted: Notify::new(),
            turn: AtomicUsize::new(fastrand::usize(..1 << 16)),
        })
    }

    /// Keeps what is known true, until `cancel`.
    pub(in super::super) async fn keep(self: Arc<Self>, cancel: CancellationToken) {
        let mut doubts = 0;
        while cancel.run_until_cancelled(self.refresh()).await.is_some() {
            let wait = if doubts > 0 { PAUSE } else { EVERY };
            tokio::select! {
                () = cancel.cancelled() => return,
                () = self.doubted.notified() => doubts = ROUNDS_OF_DOUBT,
                () = sleep(wait) => doubts = doubts.saturating_sub(1),
            }
        }
    }

    /// What is known now.
    pub(in super::super) fn map(&self) -> Arc<SlotMap> {
        Arc::clone(&self.known.borrow().map)
    }

    /// Follows what is known.
    pub(super) fn watch(&self) -> watch::Receiver<Known> {
        self.known.subscribe()
    }

    /// How to connect to `node`.
    pub(in super::super) fn info(&self, node: &Node) -> ConnectionInfo {
        self.seeds.info(node)
    }

    /// Why the cluster could not be asked, when it was tried last.
    pub(super) fn last_error(&self) -> Option<String> {
        self.state.lock().last_error.clone()
    }

    /// When the cluster said last that it counts on `place`.
    pub(in super::super) fn right_until(&self, place: &ConnectionInfo) -> Option<Instant> {
        self.confirmed(|map| self.lists(map, place))
    }

    /// When the cluster said last what `holds` of the map.
    fn confirmed(&self, holds: impl Fn(&SlotMap) -> bool) -> Option<Instant> {
        let state = self.state.lock();
        let known = self.known.borrow();
        if holds(&known.map) { state.confirmed } else { known.otherwise }
    }

    fn lists(&self, map: &SlotMap, place: &ConnectionInfo) -> bool {
        map.nodes().iter().any(|node| self.info(node).addr() == place.addr())
    }

    /// Any node of the cluster, at each call another one.
    pub(in super::super) async fn any(&self) -> Node {
        if self.map().is_empty() {
            self.refresh().await;
        }
        let nodes: Vec<Node> = self.map().nodes().into_iter().collect();
        let nodes = if nodes.is_empty() { self.seeds.nodes() } else { &nodes };
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        // A URL names one seed at least.
        nodes[turn % nodes.len()].clone()
    }

    /// Waits until the cluster does not count `place` among its nodes any more, and says so.
    pub(in super::super) async fn lost(&self, place: &ConnectionInfo) -> String {
        let is_lost = |known: &Known| !known.map.is_empty() && !self.lists(&known.map, place);
        let is_lost = self.known.subscribe().wait_for(is_lost).await.is_ok();
        if !is_lost {
            // The sender lives as long as this.
            std::future::pending::<()>().await;
        }
        "the cluster does not count on it any more".to_owned()
    }

    /// Something does not go with what is known; `by` may know better.
    pub(in super::super) fn doubt(&self, by: Option<&Node>) {
        if by.is_some() {
            self.state.lock().suspect = by.cloned();
        }
        self.doubted.notify_one();
    }

    /// A node that was asked for a slot says who has it.
    pub(in super::super) fn moved(&self, redirect: &Redirect) {
        let Redirect { slot, node } = redirect;
        let mut state = self.state.lock();
        state.held.insert(*slot, (node.clone(), Instant::now()));
        self.known.send_if_modified(|known| {
            let is_new = known.map.primary_of(*slot) != Some(node);
            if is_new {
                Arc::make_mut(&mut known.map).give(*slot, node);
                known.otherwise = state.confirmed;
            }
            is_new
        });
        drop(state);
        self.doubt(None);
    }

    /// Asks the cluster, unless somebody else does; then, and if it was asked just now,
    /// waits a moment.
    pub(in super::super) async fn refresh(&self) {
        let Ok(_permit) = self.asking.try_acquire() else { return sleep(PAUSE).await };
        let asked = self.state.lock().asked;
        if let Some(rest) = asked.and_then(|asked| PAUSE.checked_sub(asked.elapsed())) {
            sleep(rest).await;
        }
        for node in self.candidates() {
            let asked = Instant::now();
            match timeout(PATIENCE, self.ask(&node)).await {
                Ok(Ok(map)) => return self.learn(map, asked),
                Ok(Err(error)) => self.failed(format!("{node}: {}", words(&error))),
                Err(_) => self.failed(format!("{node} did not answer in time")),
            }
        }
        self.state.lock().asked = Some(Instant::now());
    }

    fn failed(&self, why: String) {
        self.state.lock().last_error = Some(why);
    }

    /// Whom to ask, in this order: who knows of the change, who answered last, everybody.
    fn candidates(&self) -> Vec<Node> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let mut nodes: Vec<Node> = self.map().nodes().into_iter().collect();
        let count = nodes.len().max(1);
        nodes.rotate_left(turn % count);
        let mut state = self.state.lock();
        let kept = state.kept.as_ref().map(|(node, _)| node.clone());
        let first = state.suspect.take().into_iter().chain(kept);
        let all = first.chain(nodes).chain(self.seeds.nodes().iter().cloned());
        let mut seen = std::collections::HashSet::new();
        all.filter(|node| seen.insert(node.clone())).collect()
    }

    async fn ask(&self, node: &Node) -> RedisResult<SlotMap> {
        let kept = self.state.lock().kept.take_if(|(kept, _)| kept == node);
        let mut connection = match kept {
            Some((_, connection)) => connection,
            None => self.connect(node).await?,
        };
        let mut question = redis::pipe();
        question.cmd("CLUSTER").arg("INFO").cmd("CLUSTER").arg("SLOTS");
        let (info, slots): (String, Value) = question.query_async(&mut connection).await?;
        if !info.lines().any(|line| line == "cluster_state:ok") {
            return Err((ErrorKind::Client, "the cluster is not sound").into());
        }
        let map = SlotMap::read(&slots, node)?;
        self.state.lock().kept = Some((node.clone(), connection));
        Ok(map)
    }

    async fn connect(&self, node: &Node) -> RedisResult<MultiplexedConnection> {
        let settings = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(PATIENCE))
            .set_response_timeout(Some(PATIENCE));
        let client = Client::open(self.info(node))?;
        client.get_multiplexed_async_connection_with_config(&settings).await
    }

    fn learn(&self, mut learned: SlotMap, asked: Instant) {
        let now = Instant::now();
        let mut state = self.state.lock();
        state.asked = Some(now);
        state.last_error = None;
        state.held.retain(|_, (_, since)| now.saturating_duration_since(*since) < HOLD);
        for (slot, (node, _)) in &state.held {
            learned.give(*slot, node);
        }
        let otherwise = state.confirmed.replace(asked);
        self.known.send_if_modified(|known| {
            let is_new = *known.map != learned;
            if is_new {
                *known = Known { map: Arc::new(learned), otherwise };
            }
            is_new
        });
    }
}

impl std::fmt::Debug for Topology {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Topology").field("map", &self.map()).finish_non_exhaustive()
    }
}

/// One primary of the cluster, as what listens to it sees it.
#[derive(Debug, Clone)]
pub(in super::super) struct Shard {
    /// The cluster.
    pub(super) topology: Arc<Topology>,
    /// The primary.
    pub(super) node: Node,
}

impl Shard {
    /// How to connect to it.
    pub(in super::super) fn info(&self) -> ConnectionInfo {
        self.topology.info(&self.node)
    }

    /// Whether it has the slot of `name`, as far as is known.
    pub(in super::super) fn has(&self, name: &str) -> bool {
        self.topology.map().primary_of(slot_of(name)) == Some(&self.node)
    }

    /// It has not what it should have, and knows best who has.
    pub(in super::super) fn suspect(&self) {
        self.topology.doubt(Some(&self.node));
    }

    /// It can't be reached.
    pub(in super::super) fn doubt(&self) {
        self.topology.doubt(None);
    }

    /// When the cluster said last that it has what it is known to have.
    pub(in super::super) fn right_until(&self) -> Option<Instant> {
        self.topology.confirmed(|map| map.primaries().contains(&self.node))
    }

    /// It refused a subscription with these words; whether they say that somebody else has
    /// the slot, who is known from then on.
    pub(in super::super) fn has_moved(&self, words: &str) -> bool {
        let redirect = words.strip_prefix("MOVED ");
        let redirect = redirect.and_then(|words| Redirect::read(words, Some(&self.node)));
        redirect.inspect(|redirect| self.topology.moved(redirect)).is_some()
    }
}
