//! What the operator may set about Redis, and what is refused at start.

use std::fmt;
use std::time::Duration;

use redcast_protocol::Channel;

use super::names::Names;
use super::route::Route;
use super::streams::READERS;
use super::tls::RedisTls;
use super::url::Address;
use crate::{QueueLimits, Sources, snapshot};

/// Connections for single commands, unless set otherwise.
const POOL_SIZE: usize = 16;
/// Connections of their own for snapshots and shares: a few short commands a second, which
/// must not wait behind publishes.
pub(super) const SNAPSHOT_POOL_SIZE: usize = 3;
/// Connections that read what lies further back in streams: each is busy with one page of
/// one client at a time, and a storm of them may wait.
pub(super) const HISTORY_POOL_SIZE: usize = 3;
/// The most descriptors that Redis takes with the default pool: those, the snapshots', the
/// streams', the connection that listens, and its successor while that is being made.
pub const REDIS_DESCRIPTORS: usize =
    POOL_SIZE + SNAPSHOT_POOL_SIZE + HISTORY_POOL_SIZE + READERS + 2;

/// The most nodes: each costs descriptors, and who needs more is better served by Cluster.
pub const MAX_NODES: usize = 16;

/// How to reach Redis and how patient to be with it.
#[derive(Clone)]
pub struct RedisConfig {
    /// `redis://[user:password@]host[:port][/db]`, `rediss://…` for TLS, or
    /// `unix:///path?user=…&pass=…`; default `redis://127.0.0.1:6379`. Or
    /// `redis+sentinel://[user:password@]host[:port],…/MASTER[/db]` (`rediss+sentinel://` for
    /// TLS), where the hosts are sentinels and user and password those of the primary. Or
    /// `redis+cluster://[user:password@]host[:port],…` (`rediss+cluster://` for TLS), where
    /// the hosts are nodes of a cluster.
    pub url: String,
    /// Whether the channels of a cluster are shard channels, which are published with
    /// SPUBLISH and told by the nodes of their slot alone; default false.
    pub sharded: bool,
    /// The URLs of several nodes among which channels and keys are spread, instead of `url`;
    /// none by default. Their order is part of where a channel is.
    pub nodes: Vec<String>,
    /// The sentinels' own password, if they have one.
    pub sentinel_password: Option<String>,
    /// What TLS trusts and shows; by default what the system trusts, and nothing.
    pub tls: RedisTls,
    /// What every Redis channel and key begins with; default empty.
    pub prefix: String,
    /// The name of this instance among those that share a Redis; random by default.
    pub instance: String,
    /// Whether this instance proves its subscription by a canary, which takes the right to
    /// that channel; true by default. Without it, it is never ready.
    pub canary: bool,
    /// Which channels are streams; none by default.
    pub sources: Sources,
    /// How many entries a stream keeps at least when something is published to it;
    /// default 10,000.
    pub stream_max_len: usize,
    /// How long Redis keeps back the answer to a read of streams that have nothing new, and
    /// so how long a new one may wait for its turn; default 200 ms.
    pub stream_block: Duration,
    /// How long one attempt to connect may take, handshake included; default 2 s.
    pub connect_timeout: Duration,
    /// How long Redis may take to answer a SUBSCRIBE or UNSUBSCRIBE before the link is
    /// given up; default 5 s.
    pub response_timeout: Duration,
    /// How long `subscribe` waits for its confirmation before it answers
    /// `Pending`; default 5 s.
    pub subscribe_timeout: Duration,
    /// How long a publish may take, or any other single command, waiting for a connection
    /// included; default 900 ms.
    pub publish_timeout: Duration,
    /// Connections for publishing; default 16. Snapshots have a few of their own.
    pub pool_size: usize,
    /// How often the link is proven by a PING; default 500 ms.
    pub heartbeat_every: Duration,
    /// Silence after which the link is dropped and built again; default 2 s.
    pub dead_after: Duration,
    /// How often a subscription that Redis has not confirmed is asked for again;
    /// default 1 s.
    pub ask_again_every: Duration,
    /// The delay before the second attempt to connect; default 50 ms.
    pub backoff_first: Duration,
    /// The longest delay between two attempts; default 300 ms, so that events flow
    /// again soon after Redis came back.
    pub backoff_cap: Duration,
    /// The most channels in one SUBSCRIBE; default 1,000.
    pub subscribe_batch: usize,
    /// How much may wait for the fan-out; default 8,192 events or 32 MiB.
    pub queue: QueueLimits,
    /// The largest payload, bytes; default 1 MiB. The client library reads an event
    /// whole before it can be measured, so this bounds what is kept, not what is read.
    pub max_event_size: usize,
    /// The largest snapshot, bytes; default 1 MiB. A larger one is measured, not read.
    pub max_snapshot_size: usize,
    /// How long what an instance told the others is remembered; default 8 s.
    pub share_lifetime: Duration,
}

impl Default for RedisConfig {
    fn default() -> Self {
        Self {
            url: "redis://127.0.0.1:6379".to_owned(),
            sharded: false,
            nodes: Vec::new(),
            sentinel_password: None,
            tls: RedisTls::default(),
            prefix: String::new(),
            instance: format!("{:08x}", fastrand::u32(..)),
            canary: true,
            sources: Sources::default(),
            stream_max_len: 10_000,
            stream_block: Duration::from_millis(200),
            connect_timeout: Duration::from_secs(2),
            response_timeout: Duration::from_secs(5),
            subscribe_timeout: Duration::from_secs(5),
            publish_timeout: Duration::from_millis(900),
            pool_size: POOL_SIZE,
            heartbeat_every: Duration::from_millis(500),
            dead_after: Duration::from_secs(2),
            ask_again_every: Duration::from_secs(1),
            backoff_first: Duration::from_millis(50),
            backoff_cap: Duration::from_millis(300),
            subscribe_batch: 1_000,
            queue: QueueLimits::default(),
            max_event_size: 1 << 20,
            max_snapshot_size: snapshot::MAX_SIZE,
            share_lifetime: snapshot::SHARE_LIFETIME,
        }
    }
}

// The URL may hold a password, so the derived form must not exist.
impl fmt::Debug for RedisConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisConfig")
            .field("scheme", &scheme(&self.url))
            .field("prefix", &self.prefix)
            .finish_non_exhaustive()
    }
}

/// Why a broker can't be made of this configuration. Never holds the URL itself,
/// which may contain a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BrokerConfigError {
    /// A URL scheme that this version does not speak.
    #[error(
        "redis.url: unsupported scheme {0:?}; use redis://, rediss://, unix://, \
         redis+sentinel://, rediss+sentinel://, redis+cluster:// or rediss+cluster://"
    )]
    UnsupportedScheme(String),
    /// The URL has a known scheme and is wrong all the same.
    #[error("redis.url: {0}")]
    InvalidUrl(String),
    /// The URL of one of several nodes is wrong.
    #[error("redis.nodes: number {number}: {reason}")]
    Node {
        /// Which one, counted from 1.
        number: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// A value that could never work.
    #[error("redis.{key}: {reason}")]
    InvalidValue {
        /// The key, without `redis.`.
        key: &'static str,
        /// What is wrong with it.
        reason: &'static str,
    },
}

impl RedisConfig {
    /// Whether a broker can be made of this; nothing is connected to.
    pub fn check(&self) -> Result<(), BrokerConfigError> {
        self.addresses().map(|_| ())
    }

    /// The URL of the Redis that `channel` is published to. It may hold a password.
    pub fn url_of(&self, channel: &Channel) -> &str {
        let urls = self.urls();
        urls[Route::new(&self.prefix, urls.len()).channel(channel)]
    }

    /// The same without user and password.
    pub fn place_of(&self, channel: &Channel) -> String {
        without_userinfo(self.url_of(channel))
    }

    /// What `channel` is called there.
    pub fn redis_channel(&self, channel: &Channel) -> String {
        Names::new(&self.prefix).channel(channel)
    }

    /// The most descriptors that it takes beyond [`REDIS_DESCRIPTORS`]: for more nodes than
    /// one, and for the sentinels of each.
    pub fn more_descriptors(&self) -> usize {
        let nodes = self.addresses().unwrap_or_default();
        let sentinels = nodes.iter().map(Address::more_descriptors).sum::<usize>();
        nodes.len().saturating_sub(1) * REDIS_DESCRIPTORS + sentinels
    }

    /// The URLs of all nodes, of which there is one at least.
    pub(super) fn urls(&self) -> Vec<&str> {
        match self.nodes.is_empty() {
            true => vec![&self.url],
            false => self.nodes.iter().map(String::as_str).collect(),
        }
    }

    /// Reads the URLs and checks the values.
    pub(super) fn addresses(&self) -> Result<Vec<Address>, BrokerConfigError> {
        self.check_values()?;
        let urls = self.urls().into_iter().enumerate();
        let read = |(at, url)| {
            let address = Address::read(url).and_then(|address| address.with_tls(&self.tls));
            address.map_err(|error| if self.nodes.is_empty() { error } else { error.of_node(at) })
        };
        let addresses: Vec<_> = urls.map(read).collect::<Result<_, _>>()?;
        check(addresses.len() <= MAX_NODES, "nodes", "must be 16 at most")?;
        let is_cluster = addresses.iter().any(|address| matches!(address, Address::Cluster(_)));
        check(is_cluster || !self.sharded, "sharded", "needs a redis+cluster:// URL")?;
        check(!is_cluster || self.nodes.is_empty(), "nodes", "must be single servers")?;
        // What belongs to a channel is kept in its slot, under a name that has the channel's
        // in braces; with others in front of them they would mean nothing.
        let has_brace = self.prefix.contains(['{', '}']);
        check(!(is_cluster && has_brace), "prefix", "has a brace, which would choose the slot")?;
        let uses_tls = addresses.iter().any(Address::is_tls);
        let why = "needs a redis.url that begins with rediss://";
        check(uses_tls || self.tls.is_default(), "tls", why)?;
        Ok(addresses)
    }

    fn check_values(&self) -> Result<(), BrokerConfigError> {
        let positive = [
            ("connect_timeout", self.connect_timeout),
            ("response_timeout", self.response_timeout),
            ("subscribe_timeout", self.subscribe_timeout),
            ("publish_timeout", self.publish_timeout),
            ("heartbeat_every", self.heartbeat_every),
            ("ask_again_every", self.ask_again_every),
            ("backoff_first", self.backoff_first),
            ("share_lifetime", self.share_lifetime),
            ("stream_block", self.stream_block),
        ];
        for (key, duration) in positive {
            check(!duration.is_zero(), key, "must be more than 0")?;
        }
        check(
            self.dead_after > self.heartbeat_every,
            "dead_after",
            "must be more than heartbeat_every",
        )?;
        check(self.stream_block < self.dead_after, "stream_block", "must be less than dead_after")?;
        check(self.pool_size > 0, "pool_size", "must be more than 0")?;
        check(self.subscribe_batch > 0, "subscribe_batch", "must be more than 0")?;
        check(self.queue.events > 0, "queue.events", "must be more than 0")?;
        check(
            self.queue.bytes >= self.max_event_size,
            "queue.bytes",
            "must hold an event of max_event_size",
        )
    }
}

impl BrokerConfigError {
    /// The same of the URL at this place among those of several nodes.
    fn of_node(self, at: usize) -> Self {
        let sentence = self.to_string();
        let reason = sentence.strip_prefix("redis.url: ").unwrap_or(&sentence).to_owned();
        Self::Node { number: at + 1, reason }
    }
}

fn check(holds: bool, key: &'static str, reason: &'static str) -> Result<(), BrokerConfigError> {
    if holds { Ok(()) } else { Err(BrokerConfigError::InvalidValue { key, reason }) }
}

/// A URL as a producer may be told it: what is secret is theirs to know.
fn without_userinfo(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return String::new() };
    let place = rest.rsplit_once('@').map_or(rest, |(_, place)| place);
    let place = place.split(['?', '#']).next().unwrap_or_default();
    format!("{scheme}://{place}")
}

fn scheme(url: &str) -> Option<&str> {
    url.split_once("://").map(|(scheme, _)| scheme)
}

#[cfg(test)]
#[path = "config_tests.rs"]
mod tests;
