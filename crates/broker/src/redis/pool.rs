//! The connections that carry no subscriptions, and what is told when one of them fails.

use std::time::Duration;

use deadpool_redis::{Connection, Manager, PoolError, Runtime, TimeoutType, Timeouts};
use redis::{AsyncConnectionConfig, ConnectionInfo, ErrorKind, RedisError, ServerErrorKind};
use tokio::time::timeout;

use super::config::{BrokerConfigError, RedisConfig};
use super::server::{Server, is_not_let_in, words};
use crate::{PublishError, SnapshotError};

/// The codes of a Redis that can't write, or not at this moment (redis.io, error replies):
/// out of memory, unable to persist, without the replicas it wants, held up by a script.
const NOT_NOW: [&str; 4] = ["OOM", "MISCONF", "NOREPLICAS", "BUSY"];

/// Connections for single commands; clones share them.
#[derive(Clone)]
pub(super) struct Pool {
    connections: deadpool_redis::Pool,
    server: Server,
    deadline: Duration,
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
        let deadline = config.publish_timeout;
        let server = Server::of(&info, &config.url);
        let settings = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(deadline))
            .set_response_timeout(Some(deadline));
        let manager = Manager::new_with_config(info, settings)
            .map_err(|error| BrokerConfigError::InvalidUrl(words(&error)))?;
        // A pool without time-outs parks every caller behind a hung Redis.
        let timeouts = Timeouts {
            wait: Some(deadline / 2),
            create: Some(deadline),
            recycle: Some(deadline / 3),
        };
        let connections = deadpool_redis::Pool::builder(manager)
            .max_size(config.pool_size)
            .timeouts(timeouts)
            .runtime(Runtime::Tokio1)
            .build()
            .map_err(|error| BrokerConfigError::InvalidUrl(error.to_string()))?;
        Ok(Self { connections, server, deadline })
    }

    /// A connection that answered a PING just now, or is new.
    pub(super) async fn get(&self) -> Result<Connection, Trouble> {
        self.connections.get().await.map_err(|error| self.no_connection(error))
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
