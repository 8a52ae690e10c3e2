//! PUBLISH, over a pool of connections that carry no subscriptions.

use std::time::Duration;

use bytes::Bytes;
use deadpool_redis::{Manager, Pool, PoolError, Runtime, TimeoutType, Timeouts};
use redcast_protocol::Channel;
use redis::{AsyncConnectionConfig, ConnectionInfo, ErrorKind, RedisError, ServerErrorKind};
use tokio::time::timeout;

use super::batch::BatchError;
use super::config::{BrokerConfigError, RedisConfig};
use super::names::Names;
use super::once;
use super::server::{Server, is_not_let_in, words};
use crate::{OnceKey, PublishError, Published};

/// The codes of a Redis that can't write, or not at this moment (redis.io, error replies):
/// out of memory, unable to persist, without the replicas it wants, held up by a script.
const NOT_NOW: [&str; 4] = ["OOM", "MISCONF", "NOREPLICAS", "BUSY"];

/// Publishes events; never waits longer than its deadline.
pub(super) struct Publisher {
    pool: Pool,
    server: Server,
    names: Names,
    deadline: Duration,
    max_event_size: usize,
}

impl Publisher {
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
        let pool = Pool::builder(manager)
            .max_size(config.pool_size)
            .timeouts(timeouts)
            .runtime(Runtime::Tokio1)
            .build()
            .map_err(|error| BrokerConfigError::InvalidUrl(error.to_string()))?;
        Ok(Self {
            pool,
            server,
            names: Names::new(&config.prefix),
            deadline,
            max_event_size: config.max_event_size,
        })
    }

    /// Publishes, or says within the deadline why not.
    pub(super) async fn publish(
        &self,
        channel: &Channel,
        payload: Bytes,
    ) -> Result<(), PublishError> {
        self.check_size(&payload)?;
        match timeout(self.deadline, self.send(channel, &payload)).await {
            Ok(published) => published,
            Err(_) => Err(self.too_late()),
        }
    }

    /// Publishes all of `payloads` in one write, or says within the deadline what became
    /// of them.
    pub(super) async fn publish_all(
        &self,
        channel: &Channel,
        payloads: &[Bytes],
    ) -> Result<(), BatchError> {
        for (index, payload) in payloads.iter().enumerate() {
            self.check_size(payload).map_err(|error| BatchError { index, published: 0, error })?;
        }
        match timeout(self.deadline, self.send_all(channel, payloads)).await {
            Ok(published) => published,
            Err(_) => Err(unacknowledged(self.too_late())),
        }
    }

    /// Publishes all of `payloads` or none, under a `key` at most once, or says within the
    /// deadline why not.
    pub(super) async fn publish_whole(
        &self,
        channel: &Channel,
        payloads: &[Bytes],
        key: Option<&OnceKey>,
    ) -> Result<Published, PublishError> {
        payloads.iter().try_for_each(|payload| self.check_size(payload))?;
        let command = once::command(&self.names, channel, payloads, key);
        let sending = async {
            let mut connection =
                self.pool.get().await.map_err(|error| self.no_connection(error))?;
            let answer = command.query_async::<i64>(&mut connection).await;
            once::read(answer.map_err(|error| self.failed(&error))?)
        };
        timeout(self.deadline, sending).await.unwrap_or_else(|_| Err(self.too_late()))
    }

    fn check_size(&self, payload: &Bytes) -> Result<(), PublishError> {
        let (size, limit) = (payload.len(), self.max_event_size);
        if size > limit { Err(PublishError::TooLarge { size, limit }) } else { Ok(()) }
    }

    async fn send(&self, channel: &Channel, payload: &Bytes) -> Result<(), PublishError> {
        let mut connection = self.pool.get().await.map_err(|error| self.no_connection(error))?;
        redis::cmd("PUBLISH")
            .arg(self.names.channel(channel))
            .arg(payload.as_ref())
            .query_async::<i64>(&mut connection)
            .await
            .map_err(|error| self.failed(&error))?;
        Ok(())
    }

    async fn send_all(&self, channel: &Channel, payloads: &[Bytes]) -> Result<(), BatchError> {
        if payloads.is_empty() {
            return Ok(());
        }
        let connection = self.pool.get().await.map_err(|error| self.no_connection(error));
        let mut connection = connection.map_err(unacknowledged)?;
        let name = self.names.channel(channel);
        let mut pipeline = redis::pipe();
        for payload in payloads {
            pipeline.cmd("PUBLISH").arg(&name).arg(payload.as_ref()).ignore();
        }
        let sent = pipeline.query_async::<()>(&mut connection).await;
        sent.map_err(|error| self.what_was_refused(&error, payloads.len()))
    }

    /// Redis went through the whole batch and refused some of it, or was lost on the way.
    fn what_was_refused(&self, error: &RedisError, sent: usize) -> BatchError {
        let refused = error.clone().into_server_errors();
        let refused = refused.as_deref().unwrap_or_default();
        match refused.first() {
            Some((index, first)) => BatchError {
                index: *index,
                published: sent - refused.len(),
                error: self.failed(&RedisError::from(first.clone())),
            },
            None => unacknowledged(self.failed(error)),
        }
    }

    fn too_late(&self) -> PublishError {
        let why = "it did not answer in time; what was sent may have arrived all the same";
        PublishError::Unavailable(self.server.away(why))
    }

    /// Whatever the reason, it is none of the event's.
    fn no_connection(&self, error: PoolError) -> PublishError {
        PublishError::Unavailable(match error {
            PoolError::Backend(error) => self.server.trouble(&error),
            PoolError::Timeout(TimeoutType::Wait) => self.server.away("every connection is busy"),
            PoolError::Timeout(_) => self.server.away("it did not answer in time"),
            other => self.server.away(&other.to_string()),
        })
    }

    /// Tells what Redis will refuse again from what may pass.
    fn failed(&self, error: &RedisError) -> PublishError {
        if is_refusal(error) && !is_not_let_in(error) {
            PublishError::Refused(self.server.refused("the event", &words(error)))
        } else {
            PublishError::Unavailable(self.server.trouble(error))
        }
    }
}

/// Redis told nothing of any event of the batch; it may have published them all.
fn unacknowledged(error: PublishError) -> BatchError {
    BatchError { index: 0, published: 0, error }
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
