//! The connections that carry no subscriptions, and what is told when one of them fails.

use std::sync::Arc;
use std::time::{Duration, Instant};

use deadpool_redis::{
    Hook, HookError, Manager, PoolBuilder, PoolError, Runtime, TimeoutType, Timeouts,
};
use parking_lot::Mutex;
use redis::{
    AsyncConnectionConfig, ConnectionAddr, ConnectionInfo, ErrorKind, RedisError, ServerErrorKind,
};
use tokio::time::timeout;

use super::cluster::{Pools, slot_of};
use super::config::RedisConfig;
use super::connection::Connection;
use super::locator::Locator;
use super::server::{Server, is_not_let_in, words};
use crate::{PublishError, SnapshotError};

/// The codes of a Redis that can't write, or not at this moment (redis.io, error replies):
/// out of memory, unable to persist, without the replicas it wants, held up by a script.
const NOT_NOW: [&str; 4] = ["OOM", "MISCONF", "NOREPLICAS", "BUSY"];

/// Connections for single commands; clones share them.
#[derive(Clone)]
pub(super) struct Pool {
    locator: Locator,
    /// Those to each node, if it is a cluster.
    cluster: Option<Pools>,
    /// Those to where Redis was last. When it moves, all of them are dropped at once.
    made: Arc<Mutex<Option<Made>>>,
    size: usize,
    server: Server,
    deadline: Duration,
    /// When Redis said last that it is not the one to ask.
    deposed: Arc<Mutex<Option<Instant>>>,
}

/// Connections to one place.
struct Made {
    addr: ConnectionAddr,
    connections: deadpool_redis::Pool,
}

/// Why Redis did not do what it was asked, in a sentence that names it.
#[derive(Debug)]
pub(super) enum Trouble {
    /// It is away, busy or late; asking again later may help.
    Unavailable(String),
    /// It said no, and will say so again.
    Refused(String),
}

impl From<Trouble> for PublishError {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Unavailable(sentence) => Self::Unavailable(sentence),
            Trouble::Refused(sentence) => Self::Refused(sentence),
        }
    }
}

impl From<Trouble> for SnapshotError {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Unavailable(sentence) => Self::Unavailable(sentence),
            Trouble::Refused(sentence) => Self::Refused(sentence),
        }
    }
}

impl Pool {
    /// Makes the pool; connects to nothing yet.
    pub(super) fn new(locator: Locator, server: Server, config: &RedisConfig) -> Self {
        let (size, deadline) = (config.pool_size, config.publish_timeout);
        let topology = locator.topology().map(Arc::clone);
        let cluster = topology.map(|topology| Pools::new(topology, size, deadline));
        let (made, deposed) = Default::default();
        Self { locator, cluster, made, size, server, deadline, deposed }
    }

    /// Another one of `size` connections to the same Redis: who uses it never waits for
    /// those who use this one.
    pub(super) fn beside(&self, size: usize) -> Self {
        let cluster = self.cluster.as_ref().map(|pools| pools.beside(size));
        Self { made: Arc::default(), cluster, size, ..self.clone() }
    }

    /// A connection for commands about `key`. To one server it answered a PING just now, or
    /// is new; to a cluster it is made as commands are sent.
    pub(super) async fn get_for(&self, key: &str) -> Result<Connection, Trouble> {
        match &self.cluster {
            Some(pools) => Ok(Connection::Routed(pools.to(slot_of(key), false))),
            None => self.get().await.map(Connection::One),
        }
    }

    /// A connection for commands that every node of a cluster takes: to the same for the
    /// same `name` as long as it is there, so that they keep their order.
    pub(super) async fn get_near(&self, name: &str) -> Result<Connection, Trouble> {
        match &self.cluster {
            Some(pools) => Ok(Connection::Routed(pools.to(slot_of(name), true))),
            None => self.get().await.map(Connection::One),
        }
    }

    /// Whether it leads to a cluster.
    pub(super) fn is_cluster(&self) -> bool {
        self.cluster.is_some()
    }

    async fn get(&self) -> Result<deadpool_redis::Connection, Trouble> {
        let found = timeout(self.deadline, self.locator.last_found()).await;
        let found = found.map_err(|_| self.no_connection(PoolError::Timeout(TimeoutType::Create)));
        let info = found?.map_err(|error| self.no_connection(PoolError::Backend(error)))?;
        let got = self.connections_to(&info)?.get().await;
        got.map_err(|error| self.no_connection(error))
    }

    /// The same connections as long as Redis is in the same place.
    fn connections_to(&self, info: &ConnectionInfo) -> Result<deadpool_redis::Pool, Trouble> {
        let mut made = self.made.lock();
        if let Some(made) = made.as_ref().filter(|made| made.addr == *info.addr()) {
            return Ok(made.connections.clone());
        }
        let connections =
            self.connect_to(info).map_err(|why| Trouble::Unavailable(self.server.away(&why)))?;
        let (addr, new) = (info.addr().clone(), connections.clone());
        if let Some(former) = made.replace(Made { addr, connections: new }) {
            // Who waits for one of those would be served by the wrong Redis.
            former.connections.close();
        }
        Ok(connections)
    }

    /// Connections that are made as they are needed.
    fn connect_to(&self, info: &ConnectionInfo) -> Result<deadpool_redis::Pool, String> {
        connections(info, self.size, self.deadline)?
            .pre_recycle(made_before(&self.deposed))
            .post_create(is_what_it_should_be(&self.locator))
            .build()
            .map_err(|error| error.to_string())
    }

    /// Looks where Redis is, for those who are told by nobody.
    pub(super) async fn refresh(&self, age: Duration) {
        self.locator.refresh(age).await;
    }

    /// What `work` comes to, or within the deadline that it came to nothing; `late` says
    /// what that means for what was asked.
    pub(super) async fn in_time<T, E: From<Trouble>>(
        &self,
        late: &str,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        match timeout(self.deadline, work).await {
            Ok(outcome) => outcome,
            Err(_) => Err(Trouble::Unavailable(self.server.away(late)).into()),
        }
    }

    /// Tells what Redis will refuse again from what may pass; `what` was asked of it.
    pub(super) fn failed(&self, what: &str, error: &RedisError) -> Trouble {
        if is_deposed(error) {
            *self.deposed.lock() = Some(Instant::now());
        }
        if !is_refusal(error) {
            self.locator.doubt();
        }
        if is_refusal(error) && !is_not_let_in(error) {
            Trouble::Refused(self.server.refused(what, &words(error)))
        } else {
            Trouble::Unavailable(self.server.trouble(error))
        }
    }

    /// Whatever the reason, it is none of what was to be asked.
    fn no_connection(&self, error: PoolError) -> Trouble {
        if matches!(error, PoolError::Backend(_) | PoolError::Timeout(TimeoutType::Create)) {
            self.locator.doubt();
        }
        Trouble::Unavailable(match error {
            PoolError::Backend(error) => self.server.trouble(&error),
            PoolError::Timeout(TimeoutType::Wait) => self.server.away("every connection is busy"),
            PoolError::Closed => self.server.away("another one took over"),
            PoolError::PostCreateHook(HookError::Backend(error)) => self.server.trouble(&error),
            PoolError::Timeout(_) => self.server.away("it did not answer in time"),
            other => self.server.away(&other.to_string()),
        })
    }
}

/// Connections to one place, `size` at most.
pub(super) fn connections(
    info: &ConnectionInfo,
    size: usize,
    deadline: Duration,
) -> Result<PoolBuilder, String> {
    let settings = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(deadline))
        .set_response_timeout(Some(deadline));
    let manager =
        Manager::new_with_config(info.clone(), settings).map_err(|error| words(&error))?;
    // A pool without time-outs parks every caller behind a hung Redis.
    let timeouts =
        Timeouts { wait: Some(deadline / 2), create: Some(deadline), recycle: Some(deadline / 3) };
    let builder = deadpool_redis::Pool::builder(manager).max_size(size).timeouts(timeouts);
    Ok(builder.runtime(Runtime::Tokio1))
}

/// A primary that became a replica still answers PING, so that its connections would be
/// kept for ever, while its name leads to its successor by now.
fn made_before(deposed: &Arc<Mutex<Option<Instant>>>) -> Hook {
    let deposed = Arc::clone(deposed);
    Hook::sync_fn(move |_, metrics| match *deposed.lock() {
        Some(since) if metrics.created <= since => {
            Err(HookError::message("made before a failover"))
        }
        _ => Ok(()),
    })
}

fn is_what_it_should_be(locator: &Locator) -> Hook {
    let locator = locator.clone();
    Hook::async_fn(move |connection, _| {
        let locator = locator.clone();
        Box::pin(async move { locator.check(connection).await.map_err(HookError::Backend) })
    })
}

/// Whether another Redis may be there under the same name, or will soon.
fn is_deposed(error: &RedisError) -> bool {
    use ServerErrorKind as Server;
    let kinds = [Server::ReadOnly, Server::MasterDown, Server::BusyLoading, Server::ClusterDown];
    matches!(error.kind(), ErrorKind::Server(kind) if kinds.contains(&kind))
}

/// Whether Redis said no, and is not just starting, failing over or no primary.
fn is_refusal(error: &RedisError) -> bool {
    use ServerErrorKind as Server;
    match error.kind() {
        ErrorKind::Server(
            Server::BusyLoading
            | Server::MasterDown
            | Server::ClusterDown
            | Server::ReadOnly
            | Server::TryAgain
            | Server::Moved
            | Server::Ask,
        ) => false,
        ErrorKind::Server(_) => true,
        ErrorKind::Extension => !error.code().is_some_and(|code| NOT_NOW.contains(&code)),
        _ => false,
    }
}
