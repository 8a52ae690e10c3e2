//! Listens to Redis itself, past any gateway: what a producer really published.

use std::time::Duration;

use futures_util::StreamExt;
use redis::aio::PubSub;
use tokio::time::timeout;

use crate::redis_server::RedisServer;

const PATIENCE: Duration = Duration::from_secs(20);

/// A subscription to one Redis channel.
pub struct Listener {
    pubsub: PubSub,
}

impl Listener {
    /// Subscribes; what is published from now on arrives.
    pub async fn subscribe(redis: &RedisServer, channel: &str) -> Self {
        let client = redis::Client::open(redis.url()).expect("a Redis URL");
        let mut pubsub = client.get_async_pubsub().await.expect("redis-server answers");
        pubsub.subscribe(channel).await.expect("it may be subscribed to");
        Self { pubsub }
    }

    /// Waits for the next payload.
    pub async fn payload(&mut self) -> Vec<u8> {
        let mut messages = self.pubsub.on_message();
        let message = timeout(PATIENCE, messages.next()).await.expect("a payload arrives");
        message.expect("the connection holds").get_payload_bytes().to_vec()
    }
}
