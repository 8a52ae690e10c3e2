//! What the operator may set about Redis, and what is refused at start.

use std::fmt;
use std::time::Duration;

use redis::{ConnectionInfo, IntoConnectionInfo};

use super::cluster::{Seeds, hash_tag};
use crate::{QueueLimits, Sources, snapshot};

/// Connections for single commands, unless set otherwise.
const POOL_SIZE: usize = 16;
/// Connections of their own for snapshots and shares: a few short commands a second, which
/// must not wait behind publishes.
pub(super) const SNAPSHOT_POOL_SIZE: usize = 3;
/// The most descriptors that Redis takes with the default pool: those, the snapshots', the
/// connection that listens, and its successor while that is being made.
pub const REDIS_DESCRIPTORS: usize = POOL_SIZE + SNAPSHOT_POOL_SIZE + 2;

/// How to reach Redis and how patient to be with it.
#[derive(Clone)]
pub struct RedisConfig {
    /// `redis://[user:password@]host[:port][/db]` or `unix:///path?user=…&pass=…`;
    /// default `redis://127.0.0.1:6379`. Or `redis+cluster://[user:password@]host[:port],…`,
    /// where the hosts are any nodes of a cluster.
    pub url: String,
    /// Whether the channels of a cluster are shard channels, which are published with
    /// SPUBLISH and told by the nodes of their slot alone; default false.
    pub sharded: bool,
    /// What every Redis channel and key begins with; default empty.
    pub prefix: String,
    /// Which channels are streams; none by default.
    pub sources: Sources,
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
            prefix: String::new(),
            sources: Sources::default(),
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
    #[error("redis.url: unsupported scheme {0:?}; use redis:// or unix://")]
    UnsupportedScheme(String),
    /// The URL has a known scheme and is wrong all the same.
    #[error("redis.url: {0}")]
    InvalidUrl(String),
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
        match self.cluster()? {
            Some(_) => Ok(()),
            None => self.connection_info().map(|_| ()),
        }
    }

    /// Where the cluster is, if the URL names one.
    pub(super) fn cluster(&self) -> Result<Option<Seeds>, BrokerConfigError> {
        self.check_values()?;
        let is_cluster = scheme(&self.url).is_some_and(Seeds::are_named_by);
        check(is_cluster || !self.sharded, "sharded", "needs a redis+cluster:// URL")?;
        if !is_cluster {
            return Ok(None);
        }
        // What belongs to a channel is kept in its slot, under a name that has the channel's
        // in braces; with these in front they would mean something else.
        let has_half_a_tag = self.prefix.contains(['{', '}']) && hash_tag(&self.prefix).is_none();
        check(!has_half_a_tag, "prefix", "has a brace that makes no hash tag")?;
        Seeds::read(&self.url).map(Some).map_err(BrokerConfigError::InvalidUrl)
    }

    /// Reads the URL and checks the values.
    pub(super) fn connection_info(&self) -> Result<ConnectionInfo, BrokerConfigError> {
        self.check_values()?;
        match scheme(&self.url) {
            Some("redis" | "unix" | "redis+unix") => {}
            Some(other) => return Err(BrokerConfigError::UnsupportedScheme(other.to_owned())),
            None => return Err(BrokerConfigError::InvalidUrl("it has no scheme".to_owned())),
        }
        self.url
            .as_str()
            .into_connection_info()
            .map_err(|error| BrokerConfigError::InvalidUrl(error.to_string()))
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
        ];
        for (key, duration) in positive {
            check(!duration.is_zero(), key, "must be more than 0")?;
        }
        check(
            self.dead_after > self.heartbeat_every,
            "dead_after",
            "must be more than heartbeat_every",
        )?;
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

fn check(holds: bool, key: &'static str, reason: &'static str) -> Result<(), BrokerConfigError> {
    if holds { Ok(()) } else { Err(BrokerConfigError::InvalidValue { key, reason }) }
}

fn scheme(url: &str) -> Option<&str> {
    url.split_once("://").map(|(scheme, _)| scheme)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(url: &str) -> Result<ConnectionInfo, BrokerConfigError> {
        RedisConfig { url: url.to_owned(), ..RedisConfig::default() }.connection_info()
    }

    #[test]
    fn tcp_and_unix_urls_are_read() {
        for url in [
            "redis://127.0.0.1:6379",
            "redis://user:secret@redis.example/3",
            "unix:///run/redis.sock",
            "redis+unix:///run/redis.sock?user=a&pass=b",
        ] {
            assert!(read(url).is_ok(), "{url}: {:?}", read(url).err());
        }
    }

    #[test]
    fn schemes_of_later_versions_are_refused_by_name() {
        for scheme in ["rediss", "redis+sentinel", "rediss+sentinel", "redis+cluster", "http"] {
            let error = read(&format!("{scheme}://host:1")).unwrap_err();
            assert_eq!(error, BrokerConfigError::UnsupportedScheme(scheme.to_owned()));
            assert!(error.to_string().contains("unsupported scheme"), "{error}");
        }
    }

    #[test]
    fn a_broken_url_is_refused_without_telling_its_password() {
        for url in ["localhost:6379", "redis://u:hunter2@host:port", "redis://:hunter2@host/x"] {
            let error = read(url).unwrap_err();
            assert!(matches!(error, BrokerConfigError::InvalidUrl(_)), "{url}: {error}");
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn debug_never_shows_the_password() {
        let url = "redis://user:hunter2@host".to_owned();
        let config = RedisConfig { url, ..RedisConfig::default() };
        assert!(!format!("{config:?}").contains("hunter2"));
    }

    #[test]
    fn values_that_could_never_work_are_named() {
        let queue = QueueLimits { events: 10, bytes: 100 };
        let config = RedisConfig { queue, max_event_size: 101, ..RedisConfig::default() };
        let error = config.connection_info().unwrap_err();
        assert_eq!(error.to_string(), "redis.queue.bytes: must hold an event of max_event_size");

        let config = RedisConfig { dead_after: Duration::ZERO, ..RedisConfig::default() };
        assert!(config.connection_info().is_err());
    }
}
