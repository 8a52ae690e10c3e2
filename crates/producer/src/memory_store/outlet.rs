//! What a store without Redis writes to.

use async_trait::async_trait;

/// A broker inside the same process, or a list in a test.
#[async_trait]
pub trait Outlet: Send + Sync + 'static {
    /// Publishes one event to a channel. The payload is the whole event.
    async fn publish(&self, channel: &str, payload: Vec<u8>) -> Result<(), OutletError>;

    /// Keeps these fields and values as the hash `key`, in place of what it held.
    async fn store(&self, key: &str, fields: Vec<(String, String)>);
}

/// The outlet did not take an event, and why; the event is lost.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the event was not published: {0}")]
pub struct OutletError(pub String);
