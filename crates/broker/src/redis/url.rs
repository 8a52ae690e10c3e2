//! What the URL of a Redis says: one server, the sentinels that know which one, or nodes of
//! a cluster.
//!
//! The client library reads the URLs of single servers. It refuses those with several
//! hosts, so these are cut into URLs that it does read: it alone decodes users and
//! passwords. No error here repeats any part of a URL, because a password with a sign in it
//! may have spilled into whatever part that is.

use redis::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo};

use super::config::BrokerConfigError;
use super::streams::READERS;
use super::tls::RedisTls;

/// Where sentinels listen unless a URL says otherwise (redis.io, Sentinel).
const SENTINEL_PORT: u16 = 26379;

/// What each node of a cluster takes of descriptors: its share of the pools' connections, a
/// link for its shard channels, one for the question who has what, and those that read
/// streams.
const PER_NODE: usize = 12 + READERS;
/// How many nodes a cluster is thought to have at least: three primaries and their replicas.
const FEWEST_NODES: usize = 6;

/// What a URL leads to.
#[derive(Debug, Clone)]
pub(super) enum Address {
    /// One server, wherever it is.
    One(Box<ConnectionInfo>),
    /// The primary that sentinels name.
    Sentinel(Box<SentinelAddress>),
    /// Nodes of a cluster, of which there is one at least, as one connects to them.
    Cluster(Vec<ConnectionInfo>),
}

/// `redis+sentinel://[user:password@]host[:port],…/MASTER[/db]`.
#[derive(Debug, Clone)]
pub(super) struct SentinelAddress {
    /// How to reach each sentinel; as nobody, yet.
    pub(super) sentinels: Vec<ConnectionInfo>,
    /// The name under which they know the primary.
    pub(super) master: String,
    /// As whom to connect to the primary, and to which of its databases; its host and port
    /// are those of a sentinel and mean nothing.
    pub(super) primary: ConnectionInfo,
}

impl Address {
    /// Reads `url`.
    pub(super) fn read(url: &str) -> Result<Self, BrokerConfigError> {
        match url.split_once("://") {
            None => Err(wrong("it has no scheme")),
            Some(("redis" | "rediss" | "unix" | "redis+unix", _)) => {
                one(url).map(Box::new).map(Self::One)
            }
            Some(("redis+sentinel", rest)) => {
                sentinel("redis", rest).map(Box::new).map(Self::Sentinel)
            }
            Some(("rediss+sentinel", rest)) => {
                sentinel("rediss", rest).map(Box::new).map(Self::Sentinel)
            }
            Some(("redis+cluster", rest)) => cluster("redis", rest).map(Self::Cluster),
            Some(("rediss+cluster", rest)) => cluster("rediss", rest).map(Self::Cluster),
            Some((scheme, _)) => Err(BrokerConfigError::UnsupportedScheme(scheme.to_owned())),
        }
    }

    /// The same, and where it is reached by TLS, with what that trusts and shows.
    pub(super) fn with_tls(self, tls: &RedisTls) -> Result<Self, BrokerConfigError> {
        let apply = |info| tls.apply(info).map_err(|error| wrong(&error.to_string()));
        Ok(match self {
            Self::One(info) => Self::One(Box::new(apply(*info)?)),
            Self::Sentinel(address) => {
                let SentinelAddress { sentinels, master, primary } = *address;
                let sentinels = sentinels.into_iter().map(apply).collect::<Result<_, _>>()?;
                let primary = apply(primary)?;
                Self::Sentinel(Box::new(SentinelAddress { sentinels, master, primary }))
            }
            Self::Cluster(nodes) => {
                Self::Cluster(nodes.into_iter().map(apply).collect::<Result<_, _>>()?)
            }
        })
    }

    /// The most descriptors that it takes to know where the Redis is: a connection to each
    /// sentinel, its successor or that of another question, and the one that asks for the
    /// role. Of a cluster, what its nodes take that one server would not.
    pub(super) fn more_descriptors(&self) -> usize {
        match self {
            Self::One(_) => 0,
            Self::Sentinel(address) => 2 * address.sentinels.len() + 1,
            // What there is beyond those that are named is not known before one has answered.
            Self::Cluster(nodes) => PER_NODE * nodes.len().max(FEWEST_NODES),
        }
    }

    /// Whether it is reached by TLS.
    pub(super) fn is_tls(&self) -> bool {
        let info = match self {
            Self::One(info) => info.as_ref(),
            Self::Sentinel(address) => &address.primary,
            // All are alike.
            Self::Cluster(nodes) => &nodes[0],
        };
        matches!(info.addr(), ConnectionAddr::TcpTls { .. })
    }
}

/// The parts of a URL that names several hosts; each as it was written.
pub(super) struct Hosts<'a> {
    /// `user:password@`, or nothing.
    pub(super) userinfo: &'a str,
    /// Each `host` or `host:port`.
    pub(super) hosts: Vec<&'a str>,
    /// What follows behind a slash.
    pub(super) path: &'a str,
}

impl<'a> Hosts<'a> {
    /// Cuts what stands behind `://`.
    pub(super) fn cut(rest: &'a str) -> Result<Self, BrokerConfigError> {
        // No host has this sign, so whatever stands before the last one is the user's.
        let (userinfo, place) = match rest.rfind('@') {
            Some(at) => rest.split_at(at + 1),
            None => ("", rest),
        };
        if userinfo.contains(['/', '?', '#']) {
            return Err(wrong("its password has a sign that must be escaped"));
        }
        if place.contains(['?', '#']) {
            return Err(wrong("nothing may follow the path"));
        }
        let (hosts, path) = place.split_once('/').unwrap_or((place, ""));
        let hosts: Vec<&str> = hosts.split(',').map(str::trim).collect();
        if hosts.iter().any(|host| host.is_empty()) {
            return Err(wrong("one of its hosts is empty"));
        }
        Ok(Self { userinfo, hosts, path })
    }
}

/// One server's URL, as the client library reads it.
pub(super) fn one(url: &str) -> Result<ConnectionInfo, BrokerConfigError> {
    let info = url.into_connection_info().map_err(|error| wrong(&error.to_string()))?;
    if matches!(info.addr(), ConnectionAddr::TcpTls { insecure: true, .. }) {
        return Err(wrong("#insecure would trust whoever answers; set redis.tls.ca_file"));
    }
    Ok(info)
}

fn sentinel(scheme: &str, rest: &str) -> Result<SentinelAddress, BrokerConfigError> {
    let Hosts { userinfo, hosts, path } = Hosts::cut(rest)?;
    let (master, db) = path.split_once('/').unwrap_or((path, ""));
    if master.is_empty() {
        return Err(wrong("it does not name the primary; end it with a slash and its name"));
    }
    let sentinels = hosts.iter().map(|host| one_sentinel(scheme, host));
    let sentinels: Vec<ConnectionInfo> = sentinels.collect::<Result<_, _>>()?;
    let primary = one(&format!("{scheme}://{userinfo}{}/{db}", hosts[0]))?;
    Ok(SentinelAddress { sentinels, master: master.to_owned(), primary })
}

fn cluster(scheme: &str, rest: &str) -> Result<Vec<ConnectionInfo>, BrokerConfigError> {
    let Hosts { userinfo, hosts, path } = Hosts::cut(rest)?;
    if !path.is_empty() {
        return Err(wrong("a cluster has one database, which has no number"));
    }
    hosts.iter().map(|host| one(&format!("{scheme}://{userinfo}{host}"))).collect()
}

fn one_sentinel(scheme: &str, host: &str) -> Result<ConnectionInfo, BrokerConfigError> {
    let info = one(&format!("{scheme}://{host}"))?;
    let has_port = host.rsplit_once(':').is_some_and(|(_, port)| !port.ends_with(']'));
    Ok(if has_port { info } else { at_port(&info, SENTINEL_PORT) })
}

fn at_port(info: &ConnectionInfo, port: u16) -> ConnectionInfo {
    match info.addr() {
        ConnectionAddr::Tcp(host, _) => elsewhere(info, host, port),
        ConnectionAddr::TcpTls { host, .. } => elsewhere(info, host, port),
        _ => info.clone(),
    }
}

/// The same way to connect, to another place.
pub(super) fn elsewhere(info: &ConnectionInfo, host: &str, port: u16) -> ConnectionInfo {
    let host = host.to_owned();
    let addr = match info.addr().clone() {
        ConnectionAddr::TcpTls { insecure, tls_params, .. } => {
            ConnectionAddr::TcpTls { host, port, insecure, tls_params }
        }
        _ => ConnectionAddr::Tcp(host, port),
    };
    info.clone().set_addr(addr)
}

fn wrong(why: &str) -> BrokerConfigError {
    BrokerConfigError::InvalidUrl(why.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn by_sentinel(url: &str) -> SentinelAddress {
        match Address::read(url) {
            Ok(Address::Sentinel(address)) => *address,
            other => panic!("{url}: {other:?}"),
        }
    }

    fn places(address: &SentinelAddress) -> Vec<String> {
        address.sentinels.iter().map(|sentinel| sentinel.addr().to_string()).collect()
    }

    #[test]
    fn sentinels_their_primary_and_as_whom_to_connect_to_it() {
        let url = "redis+sentinel://app:p%40ss,w:d@a.example:26380,b.example,[::1]/orders/3";
        let address = by_sentinel(url);
        assert_eq!(places(&address), ["a.example:26380", "b.example:26379", "::1:26379"]);
        assert_eq!(address.master, "orders");
        let settings = address.primary.redis_settings();
        assert_eq!(
            (settings.username(), settings.password(), settings.db()),
            (Some("app"), Some("p@ss,w:d"), 3)
        );
        // The primary's password is not the sentinels'.
        assert_eq!(address.sentinels[0].redis_settings().password(), None);
    }

    #[test]
    fn a_broken_sentinel_url_is_refused_without_telling_its_password() {
        for url in [
            "redis+sentinel://:hunter2@host:1",
            "redis+sentinel://:hunter2@host:1/",
            "redis+sentinel://:hunter2@/orders",
            "redis+sentinel://:hunter2@a,,b/orders",
            "redis+sentinel://:hunter2@a:port/orders",
            "redis+sentinel://:hunter2@a/orders/x",
            "redis+sentinel://:hunter2/x@a/orders",
            "redis+sentinel://:x@a/orders?hunter2",
            "redis+sentinel://:x@a/orders#hunter2",
        ] {
            let error = Address::read(url).unwrap_err();
            assert!(matches!(error, BrokerConfigError::InvalidUrl(_)), "{url}: {error}");
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn every_node_of_a_cluster_is_reached_as_the_same_user() {
        let url = "redis+cluster://gateway:s%40cret@a:7000,b,[::1]:7002/";
        let Ok(Address::Cluster(nodes)) = Address::read(url) else { panic!("{url}") };
        let places: Vec<_> = nodes.iter().map(|node| node.addr().to_string()).collect();
        assert_eq!(places, ["a:7000", "b:6379", "::1:7002"]);
        for node in nodes {
            let settings = node.redis_settings();
            assert_eq!(settings.username().zip(settings.password()), Some(("gateway", "s@cret")));
        }
        let url = "rediss+cluster://a:7000,b";
        assert!(Address::read(url).is_ok_and(|address| address.is_tls()));
    }

    #[test]
    fn what_a_cluster_does_not_have_is_refused_without_telling_its_password() {
        for url in [
            "redis+cluster://:hunter2@a:1,b:2/3",
            "redis+cluster://:hunter2@a:1?db=3",
            "redis+cluster://:hunter2@a:port",
            "redis+cluster://:hunter2@a:1,,b:2",
            "redis+cluster://:hunter2@",
        ] {
            let error = Address::read(url).unwrap_err();
            assert!(matches!(error, BrokerConfigError::InvalidUrl(_)), "{url}: {error}");
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn another_place_is_reached_in_the_same_way() {
        let address = by_sentinel("redis+sentinel://:secret@a/orders");
        let found = elsewhere(&address.primary, "10.0.0.7", 6380);
        assert_eq!(found.addr().to_string(), "10.0.0.7:6380");
        assert_eq!(found.redis_settings().password(), Some("secret"));
    }
}
