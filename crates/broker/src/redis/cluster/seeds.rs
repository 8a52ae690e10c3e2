//! Where a cluster is looked for, and as whom one connects to any of its nodes.

use redis::{ConnectionAddr, ConnectionInfo};

use super::super::connect::with_socket_options;
use super::super::url::elsewhere;
use super::map::Node;

/// The nodes that a URL names, of which there is one at least.
#[derive(Debug, Clone)]
pub(super) struct Seeds {
    nodes: Vec<Node>,
    /// User, password, TLS and socket options, the same for every node.
    template: ConnectionInfo,
}

impl Seeds {
    /// Those at `places`.
    pub(super) fn new(places: &[ConnectionInfo]) -> Self {
        let nodes = places.iter().filter_map(node_of).collect();
        Self { nodes, template: with_socket_options(places[0].clone()) }
    }

    /// The nodes that the URL names.
    pub(super) fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// How to connect to `node`.
    pub(super) fn info(&self, node: &Node) -> ConnectionInfo {
        elsewhere(&self.template, &node.host, node.port)
    }
}

/// A cluster has no sockets in a file system.
fn node_of(info: &ConnectionInfo) -> Option<Node> {
    match info.addr() {
        ConnectionAddr::Tcp(host, port) | ConnectionAddr::TcpTls { host, port, .. } => {
            Some(Node::new(host, *port))
        }
        _ => None,
    }
}
