//! The demo: synthetic page views, published like any other event.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use redcast_node::Node;
use redcast_producer::{DemoConfig, Sink, SinkError};
use redcast_protocol::Channel;
use tokio_util::sync::CancellationToken;

struct NodeSink(Arc<Node>);

#[async_trait]
impl Sink for NodeSink {
    async fn publish(&self, channel: &str, payload: Vec<u8>) -> Result<(), SinkError> {
        let channel = Channel::parse(channel).map_err(|error| SinkError(error.to_string()))?;
        let published = self.0.publish(&channel, Bytes::from(payload)).await;
        published.map_err(|error| SinkError(error.to_string()))
    }
}

/// Publishes page views until `stop`.
pub(crate) async fn traffic(node: Arc<Node>, stop: CancellationToken) {
    redcast_producer::run(Arc::new(NodeSink(node)), DemoConfig::default(), stop).await;
}
