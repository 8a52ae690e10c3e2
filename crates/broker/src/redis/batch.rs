//! Publishing without subscribing, for a command that ends soon: many events in one
//! write over one connection, so that they keep their order and share a round trip.

use bytes::Bytes;
use redcast_protocol::Channel;

use super::cluster::Topology;
use super::config::{BrokerConfigError, RedisConfig};
use super::connect::with_socket_options;
use super::pool::Pool;
use super::publisher::Publisher;
use crate::PublishError;

/// Publishes batches of events; starts no task and listens to nothing.
pub struct RedisPublisher {
    publisher: Publisher,
}

/// Why a batch did not go out whole.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{error}")]
pub struct BatchError {
    /// The first payload of the batch that Redis did not acknowledge, counted from 0.
    pub index: usize,
    /// How many of the batch Redis acknowledged; behind a refused one there may be some.
    /// When Redis went away, more may have arrived than it could acknowledge.
    pub published: usize,
    /// What happened to the first.
    pub error: PublishError,
}

impl RedisPublisher {
    /// Checks the configuration; connects to nothing yet.
    pub fn new(config: &RedisConfig) -> Result<Self, BrokerConfigError> {
        // One connection is what keeps the order.
        let config = RedisConfig { pool_size: 1, ..config.clone() };
        let pool = match config.cluster()? {
            Some(seeds) => Pool::of_cluster(Topology::new(seeds), &config),
            None => Pool::new(with_socket_options(config.connection_info()?), &config)?,
        };
        Ok(Self { publisher: Publisher::new(pool, &config) })
    }

    /// Publishes `payloads` in their order, or says within `publish_timeout` why not.
    /// If one is too large, none is sent. One call at a time keeps the order between
    /// batches.
    pub async fn publish_all(
        &self,
        channel: &Channel,
        payloads: &[Bytes],
    ) -> Result<(), BatchError> {
        self.publisher.publish_all(channel, payloads).await
    }
}
