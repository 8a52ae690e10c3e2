//! PUBLISH, over a pool of connections that carry no subscriptions.

use std::time::Duration;

use bytes::Bytes;
use redcast_protocol::Channel;
use redis::RedisError;

use super::batch::BatchError;
use super::config::RedisConfig;
use super::connection::Connection;
use super::names::Names;
use super::once;
use super::pool::{Pool, Trouble};
use crate::{OnceKey, PublishError, Published};

/// What a publish that was not answered in time has come to.
const TOO_LATE: &str = "it did not answer in time; what was sent may have arrived all the same";

/// Publishes events; never waits longer than its deadline.
pub(super) struct Publisher {
    pool: Pool,
    names: Names,
    /// Whether a channel is published in its slot of a cluster alone.
    sharded: bool,
    max_event_size: usize,
}

impl Publisher {
    /// Publishes over `pool`.
    pub(super) fn new(pool: Pool, config: &RedisConfig) -> Self {
        let (sharded, max_event_size) = (config.sharded, config.max_event_size);
        Self { pool, names: Names::new(&config.prefix), sharded, max_event_size }
    }

    /// Looks where Redis is, if nobody has for this long.
    pub(super) async fn look_around(&self, age: Duration) {
        self.pool.refresh(age).await;
    }

    /// Publishes, or says within the deadline why not.
    pub(super) async fn publish(
        &self,
        channel: &Channel,
        payload: Bytes,
    ) -> Result<(), PublishError> {
        self.check_size(&payload)?;
        self.pool.in_time(TOO_LATE, self.send(channel, &payload)).await
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
        self.pool.in_time(TOO_LATE, self.send_all(channel, payloads)).await
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
        let name = self.names.channel(channel);
        // One call must reach both, and a plain channel is reached from everywhere.
        let key = key.map(|key| match self.sharded {
            true => self.names.published_beside(channel, key),
            false => self.names.published(key),
        });
        let key = key.as_deref();
        let command = once::command((self.command(), &name), channel, payloads, key);
        let sending = async {
            let mut connection = match key {
                Some(key) => self.pool.get_for(key).await?,
                None => self.connection(&name).await?,
            };
            let answer = command.query_async::<i64>(&mut connection).await;
            once::read(answer.map_err(|error| self.failed(&error))?)
        };
        self.pool.in_time(TOO_LATE, sending).await
    }

    fn command(&self) -> &'static str {
        if self.sharded { "SPUBLISH" } else { "PUBLISH" }
    }

    async fn connection(&self, name: &str) -> Result<Connection, Trouble> {
        match self.sharded {
            true => self.pool.get_for(name).await,
            false => self.pool.get_near(name).await,
        }
    }

    fn check_size(&self, payload: &Bytes) -> Result<(), PublishError> {
        let (size, limit) = (payload.len(), self.max_event_size);
        if size > limit { Err(PublishError::TooLarge { size, limit }) } else { Ok(()) }
    }

    async fn send(&self, channel: &Channel, payload: &Bytes) -> Result<(), PublishError> {
        let name = self.names.channel(channel);
        let mut connection = self.connection(&name).await?;
        redis::cmd(self.command())
            .arg(name)
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
        let name = self.names.channel(channel);
        let mut connection = self.connection(&name).await?;
        let mut pipeline = redis::pipe();
        for payload in payloads {
            pipeline.cmd(self.command()).arg(&name).arg(payload.as_ref()).ignore();
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
                error: self.failed(&RedisError::from(first.clone())).into(),
            },
            None => self.failed(error).into(),
        }
    }

    fn failed(&self, error: &RedisError) -> Trouble {
        self.pool.failed("the event", error)
    }
}

/// Redis told nothing of any event of the batch; it may have published them all.
impl From<Trouble> for BatchError {
    fn from(trouble: Trouble) -> Self {
        Self { index: 0, published: 0, error: trouble.into() }
    }
}
