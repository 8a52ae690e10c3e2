//! Reads snapshots: one string or hash each, never more of it than is permitted.

use bytes::Bytes;
use redis::{Cmd, FromRedisValue, cmd, pipe};

use super::config::RedisConfig;
use super::connection::Connection;
use super::names::Names;
use super::pool::{Pool, Trouble};
use crate::snapshot::{check_fields, check_size};
use crate::{SnapshotError, Stored};

/// Reads what producers keep; never waits longer than the pool's deadline.
pub(super) struct Snapshots {
    pool: Pool,
    names: Names,
    max_size: usize,
}

impl Snapshots {
    /// Reads over `pool`.
    pub(super) fn new(pool: Pool, config: &RedisConfig) -> Self {
        Self { pool, names: Names::new(&config.prefix), max_size: config.max_snapshot_size }
    }

    /// Reads what is stored under `key`, or says within the deadline why not.
    pub(super) async fn read(&self, key: &str) -> Result<Option<Stored>, SnapshotError> {
        let reading = async {
            let key = self.names.key(key);
            let connection = self.pool.get_for(&key).await?;
            Reading { pool: &self.pool, connection, key, limit: self.max_size }.stored().await
        };
        self.pool.in_time("it did not answer in time", reading).await
    }
}

/// One reading of one key.
struct Reading<'a> {
    pool: &'a Pool,
    connection: Connection,
    key: String,
    limit: usize,
}

impl Reading<'_> {
    // The type is asked for first, and not found out by an error: errors are counted by
    // Redis and looked for by its operators.
    async fn stored(&mut self) -> Result<Option<Stored>, SnapshotError> {
        let kind: String = self.ask(cmd("TYPE").arg(&self.key)).await?;
        match kind.as_str() {
            "none" => Ok(None),
            "string" => self.text().await.map(Some),
            "hash" => self.hash().await,
            other => Err(SnapshotError::Refused(format!(
                "the key {:?} holds a {other}; a snapshot is a string or a hash",
                self.key
            ))),
        }
    }

    async fn text(&mut self) -> Result<Stored, SnapshotError> {
        // The last byte of the range is one too many, so that a longer string shows.
        let range = cmd("GETRANGE").arg(&self.key).arg(0).arg(self.limit).to_owned();
        let text: Vec<u8> = self.ask(&range).await?;
        if text.len() > self.limit {
            let size: usize = self.ask(cmd("STRLEN").arg(&self.key)).await?;
            check_size(size.max(text.len()), self.limit)?;
        }
        Ok(Stored::Text(text.into()))
    }

    // Redis has no command that reads a part of a hash's values, so they are measured
    // before they are asked for. That takes their fields' names, which nothing measures:
    // there are 4,096 at most, and a producer that makes them long harms itself first.
    async fn hash(&mut self) -> Result<Option<Stored>, SnapshotError> {
        check_fields(self.ask(cmd("HLEN").arg(&self.key)).await?)?;
        let fields: Vec<Vec<u8>> = self.ask(cmd("HKEYS").arg(&self.key)).await?;
        let names: usize = fields.iter().map(Vec::len).sum();
        check_size(names + self.values_size(&fields).await?, self.limit)?;
        let pairs: Vec<(Vec<u8>, Vec<u8>)> = self.ask(cmd("HGETALL").arg(&self.key)).await?;
        let bytes = |(field, value)| (Bytes::from(field), Bytes::from(value));
        let hash = Stored::Hash(pairs.into_iter().map(bytes).collect());
        // It may have grown meanwhile.
        hash.check(self.limit)?;
        // It may as well have gone; Redis keeps no empty hash.
        Ok(Some(hash).filter(|hash| !hash.is_nothing()))
    }

    /// How large the values of these fields are together, bytes.
    async fn values_size(&mut self, fields: &[Vec<u8>]) -> Result<usize, Trouble> {
        if fields.is_empty() {
            return Ok(0);
        }
        let mut lengths = pipe();
        for field in fields {
            lengths.cmd("HSTRLEN").arg(&self.key).arg(field);
        }
        let lengths: Result<Vec<usize>, _> = lengths.query_async(&mut self.connection).await;
        lengths.map(|lengths| lengths.iter().sum()).map_err(|error| self.failed(&error))
    }

    async fn ask<T: FromRedisValue>(&mut self, command: &Cmd) -> Result<T, Trouble> {
        let answer = command.query_async(&mut self.connection).await;
        answer.map_err(|error| self.failed(&error))
    }

    fn failed(&self, error: &redis::RedisError) -> Trouble {
        self.pool.failed(&format!("the snapshot {:?}", self.key), error)
    }
}
