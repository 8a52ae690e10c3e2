//! PUBLISH, over a pool of connections that carry no subscriptions.

use std::time::Duration;

use bytes::Bytes;
use deadpool_redis::{Manager, Pool, PoolError, Runtime, TimeoutType, Timeouts};
use redcast_protocol::Channel;
use redis::{AsyncConnectionConfig, ConnectionInfo, ErrorKind, RedisError, ServerErrorKind};
use tokio::time::timeout;

use super::batch::BatchError;
use super::commands::words;
use super::config::{BrokerConfigError, RedisConfig};
use super::names::Names;
use crate::PublishError;

/// Publishes events; never waits longer than its deadline.
pub(super) struct Publisher {
    pool: Pool,
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
        let settings = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(deadline))
            .set_response_timeout(Some(deadline));
        let manager = Manager::new_with_config(info, settings)
            .map_err(|error| BrokerConfigError::InvalidUrl(error.to_string()))?;
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
            Err(_) => Err(too_late()),
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
            Err(_) => Err(unacknowledged(too_late())),
        }
    }

    fn check_size(&self, payload: &Bytes) -> Result<(), PublishError> {
        let (size, limit) = (payload.len(), self.max_event_size);
        if size > limit { Err(PublishError::TooLarge { size, limit }) } else { Ok(()) }
    }

    async fn send(&self, channel: &Channel, payload: &Bytes) -> Result<(), PublishError> {
        let mut connection = self.pool.get().await.map_err(no_connection)?;
        redis::cmd("PUBLISH")
            .arg(self.names.channel(channel))
            .arg(payload.as_ref())
            .query_async::<i64>(&mut connection)
            .await
            .map_err(|error| failed(&error))?;
        Ok(())
    }

    async fn send_all(&self, channel: &Channel, payloads: &[Bytes]) -> Result<(), BatchError> {
        if payloads.is_empty() {
            return Ok(());
        }
        let connection = self.pool.get().await.map_err(no_connection);
        let mut connection = connection.map_err(unacknowledged)?;
        let name = self.names.channel(channel);
        let mut pipeline = redis::pipe();
        for payload in payloads {
            pipeline.cmd("PUBLISH").arg(&name).arg(payload.as_ref()).ignore();
        }
        let sent = pipeline.query_async::<()>(&mut connection).await;
        sent.map_err(|error| what_was_refused(&error, payloads.len()))
    }
}

/// Redis went through the whole batch and refused some of it, or was lost on the way.
fn what_was_refused(error: &RedisError, sent: usize) -> BatchError {
    let refused = error.clone().into_server_errors();
    let refused = refused.as_deref().unwrap_or_default();
    match refused.first() {
        Some((index, first)) => BatchError {
            index: *index,
            published: sent - refused.len(),
            error: failed(&RedisError::from(first.clone())),
        },
        None => unacknowledged(failed(error)),
    }
}

/// Redis told nothing of any event of the batch; it may have published them all.
fn unacknowledged(error: PublishError) -> BatchError {
    BatchError { index: 0, published: 0, error }
}

fn too_late() -> PublishError {
    PublishError::Unavailable(
        "Redis did not answer in time; what was sent may have arrived all the same".to_owned(),
    )
}

fn no_connection(error: PoolError) -> PublishError {
    match error {
        PoolError::Backend(error) => failed(&error),
        PoolError::Timeout(TimeoutType::Wait) => {
            PublishError::Unavailable("every connection is busy".to_owned())
        }
        other => PublishError::Unavailable(other.to_string()),
    }
}

/// Tells what Redis will refuse again from what may pass.
fn failed(error: &RedisError) -> PublishError {
    use ServerErrorKind as Server;
    match error.kind() {
        // The answers of a server that is starting, failing over or not a primary.
        ErrorKind::Server(
            Server::BusyLoading
            | Server::MasterDown
            | Server::ClusterDown
            | Server::ReadOnly
            | Server::TryAgain
            | Server::Moved
            | Server::Ask,
        ) => PublishError::Unavailable(words(error)),
        ErrorKind::Server(_) | ErrorKind::Extension | ErrorKind::AuthenticationFailed => {
            PublishError::Refused(words(error))
        }
        _ => PublishError::Unavailable(words(error)),
    }
}
