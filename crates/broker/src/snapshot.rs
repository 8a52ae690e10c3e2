//! Snapshots: documents that producers keep in the broker and Redcast only reads, and
//! the one figure that instances tell each other through it.

use async_trait::async_trait;
use bytes::Bytes;

/// What is stored under a snapshot's key, as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stored {
    /// A string; it should be a JSON document, which is not checked here.
    Text(Bytes),
    /// A hash: fields and values, in no particular order.
    Hash(Vec<(Bytes, Bytes)>),
}

/// Why a snapshot could not be read, or a count not be shared.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotError {
    /// The broker is away or did not answer in time. The sentence names it.
    #[error("{0}")]
    Unavailable(String),
    /// The broker said no, or the key holds neither a string nor a hash. The sentence
    /// has its words.
    #[error("{0}")]
    Refused(String),
    /// The document is over the size that a snapshot may have.
    #[error("a snapshot has at most {limit} bytes, this one has {size}")]
    TooLarge {
        /// Size of the document, bytes.
        size: usize,
        /// The limit, bytes.
        limit: usize,
    },
}

/// Where snapshots are read from.
#[async_trait]
pub trait SnapshotStore: Send + Sync + 'static {
    /// Reads what is stored under `key`, to which the prefix is added; none where
    /// there is no such key.
    async fn read(&self, key: &str) -> Result<Option<Stored>, SnapshotError>;

    /// Tells that this `instance` counts `count` for `name`, and answers the sum over
    /// all instances that have told theirs lately, this one included. What an instance
    /// told is forgotten 8 seconds after it told it last; 0 forgets it at once.
    async fn share(&self, name: &str, instance: &str, count: u64) -> Result<u64, SnapshotError>;
}
