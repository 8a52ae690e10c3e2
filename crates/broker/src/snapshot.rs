//! Snapshots: documents that producers keep in the broker and Redcast only reads, and
//! the one figure that instances tell each other through it.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

/// The most fields that a snapshot's hash may have: each costs a command of its own, to
/// measure it before it is read.
const MAX_FIELDS: usize = 4_096;
/// The largest snapshot, bytes, unless set otherwise.
pub(crate) const MAX_SIZE: usize = 1 << 20;
/// How long what an instance told is remembered. Instances tell every 2 seconds.
pub(crate) const SHARE_LIFETIME: Duration = Duration::from_secs(8);

/// What is stored under a snapshot's key, as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stored {
    /// A string; it should be a JSON document, which is not checked here.
    Text(Bytes),
    /// A hash: fields and values, in no particular order.
    Hash(Vec<(Bytes, Bytes)>),
}

impl Stored {
    /// Its size, bytes; fields count like values.
    pub(crate) fn size(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Hash(pairs) => pairs.iter().map(|(field, value)| field.len() + value.len()).sum(),
        }
    }

    /// Whether it is a hash without fields, which is the same as no key at all.
    pub(crate) fn is_nothing(&self) -> bool {
        matches!(self, Self::Hash(pairs) if pairs.is_empty())
    }

    /// Fails if it is more than a snapshot may be.
    pub(crate) fn check(&self, max_size: usize) -> Result<(), SnapshotError> {
        if let Self::Hash(pairs) = self {
            check_fields(pairs.len())?;
        }
        check_size(self.size(), max_size)
    }
}

/// Fails for a document of `size` bytes if they are too many.
pub(crate) fn check_size(size: usize, limit: usize) -> Result<(), SnapshotError> {
    if size > limit { Err(SnapshotError::TooLarge { size, limit }) } else { Ok(()) }
}

/// Fails for a hash of `count` fields if they are too many.
pub(crate) fn check_fields(count: usize) -> Result<(), SnapshotError> {
    if count <= MAX_FIELDS {
        return Ok(());
    }
    let why = format!("a snapshot has at most {MAX_FIELDS} fields, this one has {count}");
    Err(SnapshotError::Refused(why))
}

/// Why a snapshot could not be read, or a count not be shared.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotError {
    /// The broker is away or did not answer in time. The sentence names it.
    #[error("{0}")]
    Unavailable(String),
    /// The broker said no, or the key holds neither a string nor a hash, or a hash of
    /// more than 4,096 fields. The sentence says which.
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
    /// told is forgotten 8 seconds after it told it last; 0 forgets it at once. Both
    /// names may be any text.
    async fn share(&self, name: &str, instance: &str, count: u64) -> Result<u64, SnapshotError>;
}
