//! The demo: synthetic page views, published like any other event.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use redcast_node::Node;
use redcast_producer::{DemoConfig, PageView, Store, StoreError, demo};
use redcast_protocol::Channel;
use tokio_util::sync::CancellationToken;

/// Where the events go.
const CHANNEL: &str = "analytics";

struct NodeStore(Arc<Node>);

#[async_trait]
impl Store for NodeStore {
    async fn record(&self, views: &[PageView]) -> Result<(), StoreError> {
        let refused = |error: &dyn std::error::Error| StoreError::Refused(error.to_string());
        let channel = Channel::parse(CHANNEL).map_err(|error| refused(&error))?;
        for view in views {
            let payload = view.encode().map_err(|error| refused(&error))?;
            let published = self.0.publish(&channel, Bytes::from(payload)).await;
            published.map_err(|error| refused(&error))?;
        }
        Ok(())
    }
}

/// Publishes page views until `stop`.
pub(crate) async fn traffic(node: Arc<Node>, stop: CancellationToken) {
    demo::run(Arc::new(NodeStore(node)), DemoConfig::default(), stop).await;
}
