//! PUBLISH, over a pool of connections that carry no subscriptions.

use std::time::Duration;

use bytes::Bytes;
use deadpool_redis::{Manager, Pool, PoolError, Runtime, TimeoutType, Timeouts};
use redcast_protocol::Channel;
use redis::{AsyncConnectionConfig, ConnectionInfo, ErrorKind, RedisError, ServerErrorKind};
use tokio::time::timeout;

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
        let limit = self.max_event_size;
        if payload.len() > limit {
            return Err(PublishError::TooLarge { size: payload.len(), limit });
        }
        match timeout(self.deadline, self.send(channel, &payload)).await {
            Ok(published) => published,
            Err(_) => Err(PublishError::Unavailable("Redis did not answer in time".to_owned())),
        }
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
