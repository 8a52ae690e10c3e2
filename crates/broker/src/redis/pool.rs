//! The connections that carry no subscriptions, and what is told when one of them fails.

use std::sync::Arc;
use std::time::{Duration, Instant};

use deadpool_redis::{Hook, HookError, Manager, PoolError, Runtime, TimeoutType, Timeouts};
use parking_lot::Mutex;
use redis::aio::ConnectionLike;
use redis::{
    AsyncConnectionConfig, Cmd, ConnectionInfo, ErrorKind, Pipeline, RedisError, RedisFuture,
    ServerErrorKind, Value,
};
use tokio::time::timeout;

use super::cluster::{Pools, Routed, Topology, slot_of};
use super::config::{BrokerConfigError, RedisConfig};
use super::server::{Server, is_not_let_in, words};
use crate::{PublishError, SnapshotError};

/// The codes of a Redis that can't write, or not at this moment (redis.io, error replies):
/// out of memory, unable to persist, without the replicas it wants, held up by a script.
const NOT_NOW: [&str; 4] = ["OOM", "MISCONF", "NOREPLICAS", "BUSY"];

/// Connections for single commands; clones share them.
#[derive(Clone)]
pub(super) struct Pool {
    connections: Connections,
    server: Server,
    deadline: Duration,
    /// When Redis said last that it is not the one to ask.
    deposed: Arc<Mutex<Option<Instant>>>,
}

#[derive(Clone)]
enum Connections {
    /// All to one server.
    One(deadpool_redis::Pool, Box<ConnectionInfo>),
    /// To each node of a cluster.
    Cluster(Pools),
}

/// A connection for commands about one key.
pub(super) enum Connection {
    /// To the only server.
    One(deadpool_redis::Connection),
    /// To whichever node has the key when a command is sent.
    Routed(Routed),
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
    pub(super) fn new(
        info: ConnectionInfo,
        config: &RedisConfig,
    ) -> Result<Self, BrokerConfigError> {
        let server = Server::of(&info, &config.url);
        let (deadline, deposed) = (config.publish_timeout, Arc::default());
        let connections = connections(&info, config.pool_size, deadline, &deposed)?;
        let connections = Connections::One(connections, Box::new(info));
        Ok(Self { connections, server, deadline, deposed })
    }

    /// Makes one to each node of a cluster; connects to nothing yet.
    pub(super) fn of_cluster(topology: Arc<Topology>, config: &RedisConfig) -> Self {
        let server = topology.server();
        let deadline = config.publish_timeout;
        let pools = Pools::new(topology, config.pool_size, deadline);
        let connections = Connections::Cluster(pools);
        Self { connections, server, deadline, deposed: Arc::default() }
    }

    /// Another one of `size` connections to the same Redis: who uses it never waits for
    /// those who use this one.
    pub(super) fn beside(&self, size: usize) -> Result<Self, BrokerConfigError> {
        let connections = match &self.connections {
            Connections::One(_, info) => {
                let pool = connections(info, size, self.deadline, &self.deposed)?;
                Connections::One(pool, info.clone())
            }
            Connections::Cluster(pools) => Connections::Cluster(pools.beside(size)),
        };
        Ok(Self { connections, ..self.clone() })
    }

    /// A connection for commands about `key`. To a server it answered a PING just now, or
    /// is new; to a cluster it is made as commands are sent.
    pub(super) async fn get_for(&self, key: &str) -> Result<Connection, Trouble> {
        self.connection(key, false).await
    }

    /// A connection for commands that every node of a cluster takes: to the same for the
    /// same `name` as long as it is there, so that they keep their order.
    pub(super) async fn get_near(&self, name: &str) -> Result<Connection, Trouble> {
        self.connection(name, true).await
    }

    async fn connection(&self, key: &str, anywhere: bool) -> Result<Connection, Trouble> {
        match &self.connections {
            Connections::One(pool, _) => match pool.get().await {
                Ok(connection) => Ok(Connection::One(connection)),
                Err(error) => Err(self.no_connection(error)),
            },
            Connections::Cluster(pools) => Ok(Connection::Routed(pools.to(slot_of(key), anywhere))),
        }
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
        if is_refusal(error) && !is_not_let_in(error) {
            Trouble::Refused(self.server.refused(what, &words(error)))
        } else {
            Trouble::Unavailable(self.server.trouble(error))
        }
    }

    /// Whatever the reason, it is none of what was to be asked.
    fn no_connection(&self, error: PoolError) -> Trouble {
        Trouble::Unavailable(match error {
            PoolError::Backend(error) => self.server.trouble(&error),
            PoolError::Timeout(TimeoutType::Wait) => self.server.away("every connection is busy"),
            PoolError::Timeout(_) => self.server.away("it did not answer in time"),
            other => self.server.away(&other.to_string()),
        })
    }
}

impl ConnectionLike for Connection {
    fn req_packed_command<'a>(&'a mut self, command: &'a Cmd) -> RedisFuture<'a, Value> {
        match self {
            Self::One(connection) => connection.req_packed_command(command),
            Self::Routed(routed) => routed.req_packed_command(command),
        }
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        match self {
            Self::One(connection) => connection.req_packed_commands(pipeline, offset, count),
            Self::Routed(routed) => routed.req_packed_commands(pipeline, offset, count),
        }
    }

    fn get_db(&self) -> i64 {
        match self {
            Self::One(connection) => connection.get_db(),
            Self::Routed(routed) => routed.get_db(),
        }
    }
}

/// Connections that are made as they are needed, `size` at most.
pub(super) fn connections(
    info: &ConnectionInfo,
    size: usize,
    deadline: Duration,
    deposed: &Arc<Mutex<Option<Instant>>>,
) -> Result<deadpool_redis::Pool, BrokerConfigError> {
    let settings = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(deadline))
        .set_response_timeout(Some(deadline));
    let manager = Manager::new_with_config(info.clone(), settings)
        .map_err(|error| BrokerConfigError::InvalidUrl(words(&error)))?;
    // A pool without time-outs parks every caller behind a hung Redis.
    let timeouts =
        Timeouts { wait: Some(deadline / 2), create: Some(deadline), recycle: Some(deadline / 3) };
    let deposed = Arc::clone(deposed);
    // A primary that became a replica still answers PING, so that its connections would be
    // kept for ever, while its name leads to its successor by now.
    let is_of_before = Hook::sync_fn(move |_, metrics| match *deposed.lock() {
        Some(since) if metrics.created <= since => {
            Err(HookError::message("made before a failover"))
        }
        _ => Ok(()),
    });
    deadpool_redis::Pool::builder(manager)
        .max_size(size)
        .timeouts(timeouts)
        .runtime(Runtime::Tokio1)
        .pre_recycle(is_of_before)
        .build()
        .map_err(|error| BrokerConfigError::InvalidUrl(error.to_string()))
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
