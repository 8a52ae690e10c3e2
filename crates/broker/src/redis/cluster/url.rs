//! Reads `redis+cluster://[user:password@]host[:port][,host[:port]…]` and its TLS twin,
//! which the client library does not know.

use redis::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo};

use super::super::connect::with_socket_options;
use super::map::Node;

/// The port of a node whose URL names none.
const PORT: u16 = 6379;

/// Where a cluster is looked for, and as whom one connects to any of its nodes.
#[derive(Debug, Clone)]
pub(in super::super) struct Seeds {
    nodes: Vec<Node>,
    /// User, password, TLS and socket options, the same for every node.
    template: ConnectionInfo,
}

impl Seeds {
    /// Whether `scheme` is one that this reads.
    pub(in super::super) fn are_named_by(scheme: &str) -> bool {
        matches!(scheme, "redis+cluster" | "rediss+cluster")
    }

    /// Reads the URL, or says without its password what is wrong with it.
    pub(in super::super) fn read(url: &str) -> Result<Self, String> {
        let (scheme, rest) = url.split_once("://").ok_or("it has no scheme")?;
        let plain = if scheme == "rediss+cluster" { "rediss" } else { "redis" };
        // A password may hold an @, a host can't.
        let (login, hosts) = match rest.rsplit_once('@') {
            Some((login, hosts)) => (format!("{login}@"), hosts),
            None => (String::new(), rest),
        };
        let hosts = hosts.trim_end_matches('/');
        if hosts.contains(['/', '?', '#']) {
            return Err("a cluster has no database number and takes no options".to_owned());
        }
        let mut nodes = Vec::new();
        let mut template = None;
        for host in hosts.split(',') {
            // Each is read as if it were alone, so that all are read alike.
            let info = format!("{plain}://{login}{host}").into_connection_info();
            let info = info.map_err(|error| error.to_string())?;
            nodes.push(node_of(&info).ok_or("a node is a host and a port")?);
            template.get_or_insert(info);
        }
        let template = template.ok_or("it names no host")?;
        Ok(Self { nodes, template: with_socket_options(template) })
    }

    /// The nodes that the URL names.
    pub(in super::super) fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// How to connect to `node`.
    pub(in super::super) fn info(&self, node: &Node) -> ConnectionInfo {
        let (host, port) = (node.host.to_string(), node.port);
        let addr = match self.template.addr().clone() {
            ConnectionAddr::TcpTls { insecure, tls_params, .. } => {
                ConnectionAddr::TcpTls { host, port, insecure, tls_params }
            }
            ConnectionAddr::Tcp(..) | ConnectionAddr::Unix(_) | _ => {
                ConnectionAddr::Tcp(host, port)
            }
        };
        self.template.clone().set_addr(addr)
    }

    /// The nodes for people.
    pub(in super::super) fn place(&self) -> String {
        self.nodes.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
    }
}

fn node_of(info: &ConnectionInfo) -> Option<Node> {
    match info.addr() {
        ConnectionAddr::Tcp(host, port) | ConnectionAddr::TcpTls { host, port, .. } => {
            let port = if *port == 0 { PORT } else { *port };
            (!host.is_empty()).then(|| Node::new(host, port))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_host_is_a_seed_and_all_share_the_login() {
        let seeds = Seeds::read("redis+cluster://gateway:s%40cret@a:7000,b,[::1]:7002").unwrap();
        assert_eq!(seeds.place(), "a:7000,b:6379,[::1]:7002");
        let info = seeds.info(&Node::new("c", 7003));
        assert_eq!(info.addr(), &ConnectionAddr::Tcp("c".to_owned(), 7003));
        assert_eq!(info.redis_settings().username(), Some("gateway"));
        assert_eq!(info.redis_settings().password(), Some("s@cret"));
    }

    #[test]
    fn what_a_cluster_does_not_have_is_refused_without_the_password() {
        for url in [
            "redis+cluster://:hunter2@a:1,b:2/3",
            "redis+cluster://:hunter2@a:1?db=3",
            "redis+cluster://:hunter2@a:port",
            "redis+cluster://:hunter2@a:1,,b:2",
            "redis+cluster://",
        ] {
            let error = Seeds::read(url).unwrap_err();
            assert!(!error.contains("hunter2"), "{url}: {error}");
        }
    }
}
