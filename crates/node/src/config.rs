//! What an operator can set about channels and limits.

use std::time::Duration;

use redcast_hub::SlowConsumer;
use redcast_protocol::{Channel, Pattern};

use crate::item::ItemPointer;
use crate::snapshot::SnapshotConfig;

/// Settings of the node.
#[derive(Clone, Debug)]
pub struct NodeConfig {
    /// Client connections this instance takes.
    pub max_connections: usize,
    /// Client connections from one address; 0 means no limit, which is the default,
    /// because behind a load balancer all clients may seem to have one address.
    pub max_connections_per_address: usize,
    /// Handshakes admitted per second; 0, the default, means no limit.
    pub handshakes_per_second: u32,
    /// Channels one connection may be in. Default 128.
    pub max_subscriptions: usize,
    /// How long a channel without members stays subscribed, so that a page that is
    /// reloaded does not cost an UNSUBSCRIBE and a SUBSCRIBE. Default 5 s.
    pub linger: Duration,
    /// Rules for channels; the first that matches counts.
    pub rules: Vec<ChannelRule>,
    /// How events are compressed for connections that agreed on it.
    pub deflate: DeflateConfig,
    /// How much of a stream channel's past a client is sent that comes back.
    pub replay: ReplayConfig,
    /// Documents that greet clients and beat; each has a name of its own.
    pub snapshots: Vec<SnapshotConfig>,
    /// By what other instances know this one: different for each.
    pub instance: String,
}

/// How events are compressed (RFC 7692).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeflateConfig {
    /// Payloads with fewer bytes are sent as they are. Default 256.
    pub min_size: usize,
    /// From 1, the fastest, to 9, which makes the smallest frames. Default 3: the first
    /// that makes page views of 1 KiB, UUIDs and all, two fifths in either window.
    pub level: u32,
}

/// How much of a stream channel's past one client may be sent; more lies behind it than
/// that, and it gets a reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplayConfig {
    /// Events. Default 10,000.
    pub events: usize,
    /// Bytes of payloads. Default 8 MiB.
    pub bytes: usize,
}

/// What holds for the channels that a pattern matches.
#[derive(Clone, Debug)]
pub struct ChannelRule {
    /// Which channels.
    pub pattern: Pattern,
    /// What a slow client loses.
    pub slow_consumer: SlowConsumer,
    /// Over how long events are gathered into one write for each client; none means
    /// that each goes at once.
    pub flush_every: Option<Duration>,
    /// Where an event says what it is about: under [`SlowConsumer::KeepLatest`] the
    /// newest of each such item waits. None means that the channel is one item.
    pub latest_by: Option<ItemPointer>,
}

impl Default for DeflateConfig {
    fn default() -> Self {
        Self { min_size: 256, level: 3 }
    }
}

impl Default for ReplayConfig {
    fn default() -> Self {
        Self { events: 10_000, bytes: 8 << 20 }
    }
}

impl Default for NodeConfig {
    fn default() -> Self {
        Self {
            max_connections: 10_000,
            max_connections_per_address: 0,
            handshakes_per_second: 0,
            max_subscriptions: 128,
            linger: Duration::from_secs(5),
            rules: Vec::new(),
            deflate: DeflateConfig::default(),
            replay: ReplayConfig::default(),
            snapshots: Vec::new(),
            instance: String::new(),
        }
    }
}

impl NodeConfig {
    /// The rule of a channel, if one matches.
    pub fn rule(&self, channel: &Channel) -> Option<&ChannelRule> {
        self.rules.iter().find(|rule| rule.pattern.matches(channel.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_matching_rule_counts() {
        let rule = |glob: &str, slow_consumer| ChannelRule {
            pattern: Pattern::parse(glob).unwrap(),
            slow_consumer,
            flush_every: None,
            latest_by: None,
        };
        let rules = vec![
            rule("orders:1", SlowConsumer::KeepLatest),
            rule("orders:*", SlowConsumer::DropOldest),
        ];
        let config = NodeConfig { rules, ..NodeConfig::default() };
        let policy =
            |name: &str| config.rule(&Channel::parse(name).unwrap()).map(|rule| rule.slow_consumer);
        assert_eq!(policy("orders:1"), Some(SlowConsumer::KeepLatest));
        assert_eq!(policy("orders:2"), Some(SlowConsumer::DropOldest));
        assert_eq!(policy("other"), None);
    }
}
