//! Where a producer's events go.

use async_trait::async_trait;

/// A place to publish to: a broker, Redis, or a list in a test.
#[async_trait]
pub trait Sink: Send + Sync + 'static {
    /// Publishes one event. The payload is the whole event; nothing is added to it.
    async fn publish(&self, channel: &str, payload: Vec<u8>) -> Result<(), SinkError>;
}

/// The sink did not take an event, and why; the event is lost.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the event was not published: {0}")]
pub struct SinkError(pub String);
