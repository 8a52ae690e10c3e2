//! A primary, two replicas and three sentinels, real processes on free ports.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use redis::aio::MultiplexedConnection;
use tempfile::TempDir;
use tokio::time::sleep;

use crate::canary::canary;
use crate::redis_server::{RedisServer, free_port};

/// The name under which the sentinels know the primary.
const MASTER: &str = "orders";
const SENTINELS: usize = 3;
const REPLICAS: usize = 2;
/// A majority.
const QUORUM: usize = 2;
const DOWN_AFTER: Duration = Duration::from_secs(1);
/// Where a server listens whom nobody shall reach; of all that a failover ends, this is not.
const ELSEWHERE: &str = "127.0.0.2";
/// Elections that fail are held again after a while; a busy machine may need several.
const PATIENCE: Duration = Duration::from_secs(60);
/// As whom sentinels and replicas connect, so that a test can take the right from them; and
/// the password of all others, without which those would get in as others do.
const PASSWORD: &str = canary();
const WATCHERS: &str = "watcher on >watch ~* &* +@all";
const FOLLOWERS: &str = "follower on >follow ~* &* +@all";

/// A primary that is replaced when it fails. Dropped, all of it is stopped by pid.
pub struct SentinelSet {
    servers: Vec<RedisServer>,
    sentinels: Vec<Sentinel>,
    /// Ports of the servers that take no new connections.
    shut: Vec<u16>,
}

/// What a test decides about its set.
pub struct SentinelOptions<'a> {
    /// More command-line options of each server, e.g. `["--appendonly", "yes"]`.
    pub server: &'a [&'a str],
    /// Silence after which a sentinel takes a primary to be down.
    pub down_after: Duration,
}

impl Default for SentinelOptions<'_> {
    fn default() -> Self {
        Self { server: &[], down_after: DOWN_AFTER }
    }
}

struct Sentinel {
    port: u16,
    child: Child,
    _dir: TempDir,
}

impl SentinelSet {
    /// Starts a set that notices a dead primary after a second, and waits until its members
    /// know each other.
    pub async fn start() -> Self {
        Self::start_with(SentinelOptions::default()).await
    }

    /// The same with other options.
    pub async fn start_with(options: SentinelOptions<'_>) -> Self {
        let primary = server(options.server, None);
        let port = primary.port();
        let mut servers = vec![primary];
        servers.extend((0..REPLICAS).map(|_| server(options.server, Some(port))));
        let down_after = options.down_after;
        let sentinels = (0..SENTINELS).map(|_| Sentinel::start(port, down_after)).collect();
        let set = Self { servers, sentinels, shut: Vec::new() };
        set.until_complete().await;
        set
    }

    /// `redis+sentinel://…`, with the servers' password and all sentinels.
    pub fn url(&self) -> String {
        let places: Vec<String> =
            self.sentinels.iter().map(|sentinel| format!("127.0.0.1:{}", sentinel.port)).collect();
        format!("redis+sentinel://:{PASSWORD}@{}/{MASTER}", places.join(","))
    }

    /// The server that the sentinels name.
    pub async fn primary(&mut self) -> &mut RedisServer {
        let port = self.primary_port().await;
        self.server_at(port)
    }

    /// Its port.
    pub async fn primary_port(&self) -> u16 {
        self.sentinels[0].names().await.expect("a sentinel names the primary")
    }

    /// The server that listens on `port`, to look at.
    pub fn server(&self, port: u16) -> &RedisServer {
        let server = self.servers.iter().find(|server| server.port() == port);
        server.expect("one of the set listens there")
    }

    /// The server that listens on `port`.
    pub fn server_at(&mut self, port: u16) -> &mut RedisServer {
        let server = self.servers.iter_mut().find(|server| server.port() == port);
        server.expect("one of the set listens there")
    }

    /// A connection to the primary, for publishing and for looking at it.
    pub async fn connection(&mut self) -> MultiplexedConnection {
        self.primary().await.connection().await
    }

    /// Has the sentinels replace a primary that is well (`SENTINEL FAILOVER`), and waits
    /// until all of them name the new one; answers its port.
    pub async fn failover(&self) -> u16 {
        let old = self.begin_failover().await;
        self.until_replaced(old).await
    }

    /// The same without waiting for its end; answers the port of the primary until then.
    pub async fn begin_failover(&self) -> u16 {
        let old = self.primary_port().await;
        let begun = Instant::now();
        // It is refused while a former failover is being finished.
        while self.sentinels[0].order("FAILOVER").await.is_err() {
            assert!(begun.elapsed() < PATIENCE, "no failover can be begun");
            sleep(Duration::from_millis(100)).await;
        }
        old
    }

    /// Ends the primary at once (SIGKILL); answers its port.
    pub async fn kill_primary(&mut self) -> u16 {
        let primary = self.primary().await;
        primary.kill();
        primary.port()
    }

    /// Waits until all sentinels name another primary than the one at `old`; answers the
    /// new one's port.
    pub async fn until_replaced(&self, old: u16) -> u16 {
        let begun = Instant::now();
        loop {
            let mut named = Vec::new();
            for sentinel in &self.sentinels {
                named.push(sentinel.names().await.unwrap_or(old));
            }
            if named.iter().all(|port| *port != old && *port == named[0]) {
                return named[0];
            }
            assert!(begun.elapsed() < PATIENCE, "{old} is not replaced: {named:?}");
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until one sentinel at least names another primary than the one at `old`.
    pub async fn until_promoted(&self, old: u16) {
        let begun = Instant::now();
        loop {
            for sentinel in &self.sentinels {
                if sentinel.names().await.is_some_and(|port| port != old) {
                    return;
                }
            }
            assert!(begun.elapsed() < PATIENCE, "nobody takes over from {old}");
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// Cuts the primary off from sentinels and replicas, but from nobody else: it goes on
    /// to take writes while another one is elected. Answers the ports of the old primary
    /// and of the new one, once there is one.
    pub async fn split_brain(&mut self) -> (u16, u16) {
        let old = self.primary_port().await;
        self.isolate(old).await;
        (old, self.until_replaced(old).await)
    }

    /// Takes from sentinels and replicas the right to connect to the server at `port`.
    pub async fn isolate(&mut self, port: u16) {
        let mut operator = self.server_at(port).connection().await;
        for user in ["watcher", "follower"] {
            acl(&mut operator, &["SETUSER", user, "off"]).await;
            let mut kill = redis::cmd("CLIENT");
            kill.arg(&["KILL", "USER", user]);
            kill.query_async::<u64>(&mut operator).await.expect("connections can be ended");
        }
    }

    /// Gives the right back. The sentinels make a replica of an old primary some ten
    /// seconds later.
    pub async fn reconnect(&mut self, port: u16) {
        let mut operator = self.server_at(port).connection().await;
        for user in ["watcher", "follower"] {
            acl(&mut operator, &["SETUSER", user, "on"]).await;
        }
    }

    /// Makes the replicas refuse every new connection, while those that they have go on.
    pub async fn shut_replicas(&mut self) {
        let primary = self.primary_port().await;
        for server in self.servers.iter().filter(|server| server.port() != primary) {
            listen_on(server.connection().await, ELSEWHERE).await;
            self.shut.push(server.port());
        }
    }

    /// Lets everybody connect again.
    pub async fn open_replicas(&mut self) {
        for port in self.shut.drain(..) {
            let url = format!("redis://:{PASSWORD}@{ELSEWHERE}:{port}");
            let operator = redis::Client::open(url).expect("a Redis URL");
            let operator = operator.get_multiplexed_async_connection().await;
            listen_on(operator.expect("it listens elsewhere"), "127.0.0.1").await;
        }
    }

    /// Waits until each sentinel knows the replicas and the other sentinels: before that
    /// nobody can be elected by anybody.
    pub async fn until_complete(&self) {
        let begun = Instant::now();
        for sentinel in &self.sentinels {
            while !sentinel.knows_all().await {
                assert!(begun.elapsed() < PATIENCE, "the set is not complete");
                sleep(Duration::from_millis(50)).await;
            }
        }
    }

    /// Waits until each sentinel has heard of each replica that it follows the primary, which
    /// they ask every ten seconds: no other one is chosen.
    pub async fn until_replicas_follow(&self) {
        let begun = Instant::now();
        for sentinel in &self.sentinels {
            while !sentinel.replicas_follow().await {
                assert!(begun.elapsed() < PATIENCE, "a replica does not follow");
                sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

fn server(options: &[&str], primary: Option<u16>) -> RedisServer {
    let mut all =
        vec!["--requirepass", PASSWORD, "--masteruser", "follower", "--masterauth", "follow"];
    for user in [WATCHERS, FOLLOWERS] {
        all.push("--user");
        all.extend(user.split(' '));
    }
    // Without it a full copy begins with a pause of five seconds.
    all.extend(["--repl-diskless-sync-delay", "0"]);
    let port = primary.map(|port| port.to_string());
    if let Some(port) = &port {
        all.extend(["--replicaof", "127.0.0.1", port]);
    }
    all.extend(options);
    RedisServer::start_with(&all)
}

async fn listen_on(mut operator: MultiplexedConnection, address: &str) {
    let mut bind = redis::cmd("CONFIG");
    bind.arg(&["SET", "bind", address]);
    bind.query_async::<()>(&mut operator).await.expect("it can listen elsewhere");
}

async fn acl(operator: &mut MultiplexedConnection, words: &[&str]) {
    redis::cmd("ACL").arg(words).query_async::<()>(operator).await.expect("rights can be changed");
}

impl Sentinel {
    fn start(primary: u16, down_after: Duration) -> Self {
        // Another process may take the port between the look and the bind.
        let started = (0..10).find_map(|_| Self::try_start(primary, down_after));
        started.expect("redis-server --sentinel starts")
    }

    fn try_start(primary: u16, down_after: Duration) -> Option<Self> {
        let (port, dir) = (free_port(), TempDir::new().expect("a temporary folder"));
        // It writes what it learns into its own configuration, so that has to be a file.
        let config = dir.path().join("sentinel.conf");
        let text = format!(
            "port {port}\nbind 127.0.0.1\ndir {}\n\
             sentinel monitor {MASTER} 127.0.0.1 {primary} {QUORUM}\n\
             sentinel auth-user {MASTER} watcher\n\
             sentinel auth-pass {MASTER} watch\n\
             sentinel down-after-milliseconds {MASTER} {}\n\
             sentinel failover-timeout {MASTER} 5000\n\
             sentinel parallel-syncs {MASTER} 2\n",
            dir.path().display(),
            down_after.as_millis(),
        );
        fs::write(&config, text).expect("the configuration is written");
        let mut child = Command::new("redis-server")
            .arg(&config)
            .arg("--sentinel")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("redis-server starts (apt-get install redis-server)");
        let mut log = BufReader::new(child.stdout.take().expect("stdout is piped"));
        let mut line = String::new();
        while log.read_line(&mut line).expect("its log can be read") > 0 {
            if line.contains("+monitor master") {
                // Nobody reads the rest; a full pipe would stop it.
                std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
                return Some(Self { port, child, _dir: dir });
            }
            line.clear();
        }
        child.wait().expect("it can be waited for");
        None
    }

    async fn order(&self, order: &str) -> redis::RedisResult<redis::Value> {
        let client = redis::Client::open(format!("redis://127.0.0.1:{}", self.port))?;
        let patient = redis::AsyncConnectionConfig::new()
            .set_connection_timeout(Some(PATIENCE))
            .set_response_timeout(Some(PATIENCE));
        let mut connection = client.get_multiplexed_async_connection_with_config(&patient).await?;
        redis::cmd("SENTINEL").arg(order).arg(MASTER).query_async(&mut connection).await
    }

    async fn names(&self) -> Option<u16> {
        let answer = self.order("GET-MASTER-ADDR-BY-NAME").await.ok()?;
        let (_, port): (String, u16) = redis::from_redis_value(answer).ok()?;
        Some(port)
    }

    async fn knows_all(&self) -> bool {
        let Ok(answer) = self.order("MASTER").await else { return false };
        let pairs: Vec<(String, String)> =
            redis::from_redis_value(answer).expect("names and values");
        let number = |name: &str| {
            let value = pairs.iter().find(|(key, _)| key == name).map(|(_, value)| value);
            value.and_then(|value| value.parse::<usize>().ok())
        };
        number("num-slaves") == Some(REPLICAS) && number("num-other-sentinels") == Some(QUORUM)
    }

    /// Whether none of the replicas is taken to be down, or has no link to the primary.
    async fn replicas_follow(&self) -> bool {
        let Ok(answer) = self.order("REPLICAS").await else { return false };
        let replicas: Vec<BTreeMap<String, String>> =
            redis::from_redis_value(answer).expect("names and values of each");
        replicas.iter().all(|replica| {
            let says = |name: &str, what: &str| replica.get(name).is_some_and(|is| is == what);
            says("flags", "slave") && says("master-link-status", "ok")
        })
    }
}

impl Drop for Sentinel {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
