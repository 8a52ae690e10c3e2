//! PUBLISH and XADD, over a pool of connections that carry no subscriptions.

use std::time::Duration;

use bytes::Bytes;
use redcast_protocol::Channel;
use redis::{Cmd, RedisError, Value};

use super::batch::BatchError;
use super::config::RedisConfig;
use super::connection::Connection;
use super::names::Names;
use super::once::{self, How};
use super::pool::{Pool, Trouble};
use super::streams::DATA;
use crate::{OnceKey, PublishError, Published, Source, Sources};

/// What a publish that was not answered in time has come to.
const TOO_LATE: &str = "it did not answer in time; what was sent may have arrived all the same";

/// Publishes events; never waits longer than its deadline.
pub(super) struct Publisher {
    pool: Pool,
    names: Names,
    sources: Sources,
    /// Whether plain channels are shard channels.
    sharded: bool,
    stream_max_len: usize,
    max_event_size: usize,
}

impl Publisher {
    /// Publishes over `pool`.
    pub(super) fn new(pool: Pool, config: &RedisConfig) -> Self {
        Self {
            pool,
            names: Names::new(&config.prefix),
            sources: config.sources.clone(),
            sharded: config.sharded,
            stream_max_len: config.stream_max_len,
            max_event_size: config.max_event_size,
        }
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
        let (how, name) = (self.how(channel), self.names.channel(channel));
        // One call must reach both. A cluster's plain channels are reached from everywhere,
        // its streams and shard channels only from where their slot is.
        let key = key.map(|key| match how {
            How::Told("PUBLISH") => self.names.published(key),
            _ if !self.pool.is_cluster() => self.names.published(key),
            _ => self.names.published_beside(channel, key),
        });
        let key = key.as_deref();
        let command = once::command((how, &name), channel, payloads, key);
        let sending = async {
            let mut connection = match key {
                Some(key) => self.pool.get_for(key).await?,
                None => self.connection(how, &name).await?,
            };
            let answer = command.query_async::<i64>(&mut connection).await;
            once::read(answer.map_err(|error| self.failed(&error))?)
        };
        self.pool.in_time(TOO_LATE, sending).await
    }

    fn check_size(&self, payload: &Bytes) -> Result<(), PublishError> {
        let (size, limit) = (payload.len(), self.max_event_size);
        if size > limit { Err(PublishError::TooLarge { size, limit }) } else { Ok(()) }
    }

    async fn send(&self, channel: &Channel, payload: &Bytes) -> Result<(), PublishError> {
        let name = self.names.channel(channel);
        let mut connection = self.connection(self.how(channel), &name).await?;
        let sent = self.command(channel, payload).query_async::<Value>(&mut connection).await;
        sent.map_err(|error| self.failed(&error))?;
        Ok(())
    }

    /// The command that publishes one event.
    fn command(&self, channel: &Channel, payload: &Bytes) -> Cmd {
        let name = self.names.channel(channel);
        let mut command;
        match self.how(channel) {
            How::Told(publish) => {
                command = redis::cmd(publish);
                command.arg(name);
            }
            How::Kept(max_len) => {
                command = redis::cmd("XADD");
                command.arg(name).arg("MAXLEN").arg("~").arg(max_len).arg("*").arg(DATA);
            }
        }
        command.arg(payload.as_ref());
        command
    }

    fn how(&self, channel: &Channel) -> How {
        match self.sources.of(channel) {
            Source::PubSub if self.sharded => How::Told("SPUBLISH"),
            Source::PubSub => How::Told("PUBLISH"),
            Source::Stream => How::Kept(self.stream_max_len),
        }
    }

    async fn connection(&self, how: How, name: &str) -> Result<Connection, Trouble> {
        match how {
            How::Told("PUBLISH") => self.pool.get_near(name).await,
            How::Told(_) | How::Kept(_) => self.pool.get_for(name).await,
        }
    }

    async fn send_all(&self, channel: &Channel, payloads: &[Bytes]) -> Result<(), BatchError> {
        if payloads.is_empty() {
            return Ok(());
        }
        let name = self.names.channel(channel);
        let mut connection = self.connection(self.how(channel), &name).await?;
        let mut pipeline = redis::pipe();
        for payload in payloads {
            pipeline.add_command(self.command(channel, payload)).ignore();
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
