//! A real cluster of the test's own: three primaries with a replica each.

use std::time::{Duration, Instant};

use redis::aio::MultiplexedConnection;
use redis::{Cmd, FromRedisValue, RedisResult, Value, cmd};
use tokio::time::sleep;

use crate::{RedisServer, free_port};

/// Longer than six servers take to agree on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
/// Primaries; behind them come as many replicas, in the same order.
const PRIMARIES: usize = 3;
/// The slots of each primary at first.
const SLOTS: [(u16, u16); PRIMARIES] = [(0, 5_460), (5_461, 10_922), (10_923, 16_383)];

/// Six servers that form a cluster; stopped by pid when dropped.
///
/// They are counted from 0: first the primaries, then their replicas. A replica that was
/// promoted keeps its number.
pub struct ClusterSet {
    servers: Vec<RedisServer>,
    ids: Vec<String>,
}

impl ClusterSet {
    /// Starts the servers and waits until all agree who has what. A primary that does not
    /// answer for a second is replaced by its replica.
    pub async fn start() -> Self {
        let nodes: Vec<(RedisServer, u16)> = (0..PRIMARIES * 2).map(|_| start_node()).collect();
        let (servers, bus_ports): (Vec<_>, Vec<_>) = nodes.into_iter().unzip();
        let mut set = Self { servers, ids: Vec::new() };
        for (n, (first, last)) in SLOTS.into_iter().enumerate() {
            set.ask::<()>(n, cluster("SET-CONFIG-EPOCH").arg(n + 1)).await;
            set.ask::<()>(n, cluster("ADDSLOTSRANGE").arg(first).arg(last)).await;
        }
        for (n, bus_port) in bus_ports.iter().enumerate().skip(1) {
            let mut meet = cluster("MEET");
            meet.arg("127.0.0.1").arg(set.servers[n].port()).arg(bus_port);
            set.ask::<()>(0, &meet).await;
        }
        for n in 0..set.servers.len() {
            set.ids.push(set.ask(n, &cluster("MYID")).await);
        }
        for n in PRIMARIES..set.servers.len() {
            set.until_known(n, n - PRIMARIES).await;
            let primary = set.ids[n - PRIMARIES].clone();
            set.ask::<()>(n, cluster("REPLICATE").arg(primary)).await;
        }
        set.until_whole().await;
        set
    }

    /// `redis+cluster://` with every primary.
    pub fn url(&self) -> String {
        let places = self.servers[..PRIMARIES].iter();
        let places: Vec<_> = places.map(|server| format!("127.0.0.1:{}", server.port())).collect();
        format!("redis+cluster://{}", places.join(","))
    }

    /// All servers.
    pub fn servers(&self) -> &[RedisServer] {
        &self.servers
    }

    /// One of the servers.
    pub fn server(&self, n: usize) -> &RedisServer {
        &self.servers[n]
    }

    /// The slot of a key or a shard channel.
    pub async fn slot(&self, name: &str) -> u16 {
        self.ask(self.any(), cluster("KEYSLOT").arg(name)).await
    }

    /// Which server has the slot of `name`, as one that runs sees it.
    pub async fn primary_of(&self, name: &str) -> usize {
        let slot = self.slot(name).await;
        self.primary_seen_by(self.any(), slot).await.expect("the slot is served")
    }

    /// Names that begin with `stem` and are served by the `n`th primary of the start, each
    /// in a slot of its own.
    pub async fn names_at(&self, n: usize, stem: &str, count: usize) -> Vec<String> {
        let (first, last) = SLOTS[n];
        let mut names = Vec::new();
        let mut slots = Vec::new();
        for number in 0.. {
            let name = format!("{stem}{number}");
            let slot = self.slot(&name).await;
            if (first..=last).contains(&slot) && !slots.contains(&slot) {
                slots.push(slot);
                names.push(name);
            }
            if names.len() == count {
                break;
            }
        }
        names
    }

    /// Moves the slot of `name` with all its keys to another server, as `redis-cli
    /// --cluster reshard` does.
    pub async fn migrate_slot(&self, name: &str, to: usize) {
        let from = self.begin_migration(name, to).await;
        self.finish_migration(name, from, to).await;
    }

    /// Moves the keys of that slot, but not the slot: whoever asks the old server for one of
    /// them is sent on. Returns who that is.
    pub async fn begin_migration(&self, name: &str, to: usize) -> usize {
        let (slot, from) = (self.slot(name).await, self.primary_of(name).await);
        let (source, target) = (&self.ids[from], &self.ids[to]);
        self.ask::<()>(to, cluster("SETSLOT").arg(slot).arg("IMPORTING").arg(source)).await;
        self.ask::<()>(from, cluster("SETSLOT").arg(slot).arg("MIGRATING").arg(target)).await;
        loop {
            let keys: Vec<String> =
                self.ask(from, cluster("GETKEYSINSLOT").arg(slot).arg(100)).await;
            if keys.is_empty() {
                return from;
            }
            let mut migrate = cmd("MIGRATE");
            migrate.arg("127.0.0.1").arg(self.servers[to].port()).arg("").arg(0).arg(10_000);
            self.ask::<Value>(from, migrate.arg("KEYS").arg(keys)).await;
        }
    }

    /// Gives the slot to the server that has its keys by now.
    pub async fn finish_migration(&self, name: &str, from: usize, to: usize) {
        let slot = self.slot(name).await;
        for n in [to, from] {
            let target = &self.ids[to];
            self.ask::<()>(n, cluster("SETSLOT").arg(slot).arg("NODE").arg(target)).await;
        }
    }

    /// Ends the primary of `name` at once (SIGKILL). Returns which one it was.
    pub async fn kill_primary_of(&mut self, name: &str) -> usize {
        let primary = self.primary_of(name).await;
        self.kill(primary);
        primary
    }

    /// Ends one server at once (SIGKILL).
    pub fn kill(&mut self, n: usize) {
        self.servers[n].kill();
    }

    /// Waits until the servers that run see another one than `former` as primary of `name`.
    pub async fn until_promoted(&self, name: &str, former: usize) -> usize {
        let slot = self.slot(name).await;
        let start = Instant::now();
        loop {
            let seen = self.primary_seen_by(self.any(), slot).await;
            if let Some(promoted) = seen.filter(|seen| *seen != former) {
                return promoted;
            }
            assert!(start.elapsed() < PATIENCE, "nobody took over from server {former}");
            sleep(Duration::from_millis(10)).await;
        }
    }

    /// What one server answers.
    pub async fn ask<T: FromRedisValue>(&self, n: usize, command: &Cmd) -> T {
        let answer = self.try_ask(n, command).await;
        answer.unwrap_or_else(|error| panic!("server {n}: {error}"))
    }

    /// A connection to one server.
    pub async fn connection(&self, n: usize) -> MultiplexedConnection {
        self.servers[n].connection().await
    }

    async fn try_ask<T: FromRedisValue>(&self, n: usize, command: &Cmd) -> RedisResult<T> {
        let mut connection = self.servers[n].connection().await;
        command.query_async(&mut connection).await
    }

    /// A server that runs.
    fn any(&self) -> usize {
        let running = self.servers.iter().rposition(RedisServer::is_running);
        running.expect("one of the servers runs")
    }

    async fn primary_seen_by(&self, n: usize, slot: u16) -> Option<usize> {
        let ranges: Vec<Vec<Value>> = self.ask(n, &cluster("SLOTS")).await;
        let range = ranges.into_iter().find(|range| {
            let bound = |at: usize| redis::from_redis_value_ref::<u16>(&range[at]).unwrap();
            (bound(0)..=bound(1)).contains(&slot)
        })?;
        let (_, port, _): (String, u16, String) = node(&range[2]);
        self.servers.iter().position(|server| server.port() == port)
    }

    /// Waits until server `n` has heard of server `other`.
    async fn until_known(&self, n: usize, other: usize) {
        let id = &self.ids[other];
        until(|| async {
            let nodes: String = self.ask(n, &cluster("NODES")).await;
            nodes.lines().any(|line| line.starts_with(id.as_str()) && !line.contains("handshake"))
        })
        .await;
    }

    /// Waits until every server sees three ranges with a primary and a replica each.
    async fn until_whole(&self) {
        for n in 0..self.servers.len() {
            until(|| async {
                let info: String = self.ask(n, &cluster("INFO")).await;
                let ranges: Vec<Vec<Value>> = self.ask(n, &cluster("SLOTS")).await;
                let replication: String = self.ask(n, cmd("INFO").arg("replication")).await;
                info.contains("cluster_state:ok")
                    && ranges.len() == PRIMARIES
                    && ranges.iter().all(|range| range.len() == 4)
                    && !replication.contains("master_link_status:down")
            })
            .await;
        }
    }
}

fn start_node() -> (RedisServer, u16) {
    // Another process may take the bus's port between the look and the bind.
    for _ in 0..10 {
        let bus_port = free_port();
        let options = [
            ("--cluster-enabled", "yes"),
            ("--cluster-port", &bus_port.to_string()),
            ("--cluster-node-timeout", "1000"),
            // What is left goes on while a primary is replaced.
            ("--cluster-require-full-coverage", "no"),
            // A replica that has just been started is as good as any here.
            ("--cluster-replica-validity-factor", "0"),
            ("--repl-diskless-sync-delay", "0"),
        ];
        let options: Vec<&str> = options.iter().flat_map(|(key, value)| [*key, *value]).collect();
        if let Ok(server) = RedisServer::try_start(&options) {
            return (server, bus_port);
        }
    }
    panic!("redis-server does not start as a node of a cluster");
}

fn cluster(what: &str) -> Cmd {
    let mut command = cmd("CLUSTER");
    command.arg(what);
    command
}

fn node(value: &Value) -> (String, u16, String) {
    let parts: Vec<Value> = redis::from_redis_value_ref(value).unwrap();
    let text = |at: usize| redis::from_redis_value_ref::<String>(&parts[at]).unwrap();
    (text(0), redis::from_redis_value_ref(&parts[1]).unwrap(), text(2))
}

async fn until<F: Future<Output = bool>>(mut holds: impl FnMut() -> F) {
    let start = Instant::now();
    while !holds().await {
        assert!(start.elapsed() < PATIENCE, "the cluster did not become what it should be");
        sleep(Duration::from_millis(20)).await;
    }
}
