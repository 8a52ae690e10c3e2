//! A gateway over a Redis of its own, and streams from it.

use redcast_e2e::{Gateway, GatewayOptions, RedisServer, SseClient};
use redis::aio::MultiplexedConnection;
use serde_json::Value;

/// The built-in endpoint's stream.
pub(crate) const PATH: &str = "/sse/analytics";

/// A gateway over a Redis of its own.
pub(crate) struct Stage {
    _redis: RedisServer,
    pub(crate) gateway: Gateway,
    pub(crate) producer: MultiplexedConnection,
}

impl Stage {
    pub(crate) async fn new(config: &str) -> Self {
        Self::with(GatewayOptions { config: config.to_owned(), ..Default::default() }).await
    }

    pub(crate) async fn with(options: GatewayOptions) -> Self {
        let redis = RedisServer::start();
        let redis_url = Some(redis.url());
        let gateway = Gateway::ready(GatewayOptions { redis_url, ..options }).await;
        let producer = redis.connection().await;
        Self { _redis: redis, gateway, producer }
    }

    /// A stream whose channels, so many, are joined.
    pub(crate) async fn joined(&self, path: &str, channels: usize) -> SseClient {
        let before = self.gateway.metrics().await.value("redcast_subscriptions");
        let client = SseClient::connect(self.gateway.public(), path).await;
        self.gateway.until_metric("redcast_subscriptions", before + channels as f64).await;
        client
    }

    pub(crate) async fn publish(&mut self, channel: &str, payload: &[u8]) {
        let mut publish = redis::cmd("PUBLISH");
        publish.arg(channel).arg(payload);
        let () = publish.query_async(&mut self.producer).await.unwrap();
    }

    /// The status of a refusal, which says why.
    pub(crate) async fn refused(&self, path: &str, headers: &[(&str, &str)]) -> u16 {
        let refused = SseClient::with(self.gateway.public(), path, headers).await;
        let Err(refused) = refused else { panic!("{path} is refused") };
        let body: Value = serde_json::from_str(&refused.body).unwrap();
        assert!(body["error"].is_string(), "{refused:?}");
        let comes_later = matches!(refused.status, 429 | 503);
        assert_eq!(refused.header("retry-after").is_some(), comes_later, "{refused:?}");
        refused.status
    }

    /// How many connections ended with this code.
    pub(crate) async fn closed(&self, code: u16) -> f64 {
        let name = format!("redcast_connections_closed_total{{code=\"{code}\"}}");
        self.gateway.metrics().await.value(&name)
    }

    /// Waits until so many connections have ended with this code.
    pub(crate) async fn until_closed(&self, code: u16, count: f64) {
        let name = format!("redcast_connections_closed_total{{code=\"{code}\"}}");
        self.gateway.until_metric(&name, count).await;
    }
}
