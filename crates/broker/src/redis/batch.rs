//! Publishing without subscribing, for a command that ends soon: many events in one
//! write over one connection, so that they keep their order and share a round trip.

use std::time::Duration;

use bytes::Bytes;
use redcast_protocol::Channel;

use super::config::{BrokerConfigError, RedisConfig};
use super::locator::Locator;
use super::pool::Pool;
use super::publisher::Publisher;
use super::route::Route;
use super::server::Server;
use crate::PublishError;

/// A batch goes where Redis was at most this long ago; nothing else here follows failovers.
const FRESH: Duration = Duration::from_secs(1);

/// Publishes batches of events; starts no task and listens to nothing.
pub struct RedisPublisher {
    route: Route,
    nodes: Vec<Publisher>,
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
        let addresses = config.addresses()?;
        let nodes = addresses.iter().zip(config.urls()).map(|(address, url)| {
            let locator = Locator::new(address, &config)?;
            let pool = Pool::new(locator, Server::of(address, url), &config);
            Ok(Publisher::new(pool, &config))
        });
        let nodes = nodes.collect::<Result<Vec<_>, _>>()?;
        Ok(Self { route: Route::new(&config.prefix, nodes.len()), nodes })
    }

    /// Publishes `payloads` in their order, or says within `publish_timeout` why not.
    /// If one is too large, none is sent. One call at a time keeps the order between
    /// batches.
    pub async fn publish_all(
        &self,
        channel: &Channel,
        payloads: &[Bytes],
    ) -> Result<(), BatchError> {
        let publisher = &self.nodes[self.route.channel(channel)];
        publisher.look_around(FRESH).await;
        publisher.publish_all(channel, payloads).await
    }
}
