//! The demo: synthetic page views, published like any other event, and a banner
//! that tells a newcomer where to look.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use redcast_edge::Edge;
use redcast_node::Node;
use redcast_producer::{DemoConfig, Sink, SinkError};
use redcast_protocol::Channel;
use tokio_util::sync::CancellationToken;

/// What may be shown of the broker.
pub(crate) enum Shown {
    Memory,
    /// With its URL, unless that holds a password or is what redis-cli uses anyway.
    Redis(Option<String>),
}

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

/// Prints where everything is.
pub(crate) fn announce(edge: &Edge, (public, admin): (SocketAddr, SocketAddr), broker: Shown) {
    let (public, admin) = (reachable(public), reachable(admin));
    let path = edge.endpoint_paths().next().unwrap_or("/");
    let channel = edge.first_channel().unwrap_or_else(|| "CHANNEL".to_owned());
    let event = r#"{"type":"page_view","data":{"path":"/hello"}}"#;
    let (broker, publish) = match broker {
        Shown::Memory => (
            "memory: this process alone, all gone at its end (set REDCAST_REDIS__URL for Redis)",
            format!("curl -d '{event}' http://{public}/api/publish/{channel}"),
        ),
        Shown::Redis(url) => {
            let server = url.map(|url| format!(" -u {url}")).unwrap_or_default();
            ("redis", format!("redis-cli{server} PUBLISH {channel} '{event}'"))
        }
    };
    println!("Redcast {} is running, with demo traffic", env!("CARGO_PKG_VERSION"));
    println!("  page       http://{public}/");
    println!("  websocket  ws://{public}{path}");
    println!("  metrics    http://{admin}/metrics");
    println!("  broker     {broker}");
    println!("  publish    {publish}");
    println!("  stop       Ctrl-C");
}

/// An address that can be pasted: nobody can open 0.0.0.0 everywhere.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(IpAddr::V4(Ipv4Addr::LOCALHOST));
    }
    address
}
