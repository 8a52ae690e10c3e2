//! What each room gets of the settings.

use bytesize::ByteSize;
use redcast_broker::{MemoryConfig, RedisConfig, Source, Sources};
use redcast_edge::{
    AllowedOrigins, ApiConfig, ApiKey, ConfigError, EdgeConfig, Endpoint, ForwardAuthConfig,
    ForwardAuthConfigError, PageConfig,
};
use redcast_hub::{HubConfig, SlowConsumer};
use redcast_node::{
    ChannelAccess, ChannelRule, DeflateConfig, Merge, MergePointer, MergeValue, NodeConfig,
    ReplayConfig, SnapshotConfig,
};

use super::snapshots::{MergeSetting, SnapshotSettings};
use super::{
    ChannelSettings, EndpointSettings, Parsed, Redis, RedisUrl, Settings, SlowConsumerSetting,
    SourceSetting,
};
use crate::banner::{Shown, is_plain};
use crate::cli::ServeFlags;

/// Descriptors that the limit of connections leaves free: for one Redis, metrics and logs,
/// and for handshakes.
pub(crate) const RESERVED_DESCRIPTORS: u64 = 256;

/// Which broker, with its settings.
pub(crate) enum BrokerSettings {
    Memory(MemoryConfig),
    Redis(Box<RedisConfig>),
}

/// What the door could not be opened with.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EdgeSettingsError {
    #[error("endpoints: {0}")]
    Endpoints(#[from] ConfigError),
    #[error("auth: {0}")]
    ForwardAuth(#[from] ForwardAuthConfigError),
}

impl Settings {
    /// What the broker gets: Redis with a URL, else the memory broker.
    pub(crate) fn broker(&self) -> BrokerSettings {
        let max_event_size = bytes(self.limits.max_event_size);
        match self.redis_urls() {
            Some((url, nodes)) => BrokerSettings::Redis(Box::new(RedisConfig {
                url,
                nodes,
                sentinel_password: self.redis.sentinel_password(),
                tls: self.redis.tls.read.clone(),
                prefix: self.redis.prefix.clone(),
                sharded: self.redis.sharded,
                sources: self.sources(),
                stream_max_len: count(self.streams.max_len),
                max_event_size,
                ..RedisConfig::default()
            })),
            None => BrokerSettings::Memory(MemoryConfig {
                sources: self.sources(),
                max_event_size,
                ..MemoryConfig::default()
            }),
        }
    }

    /// The URL of the one Redis, or those of several; none for the memory broker.
    fn redis_urls(&self) -> Option<(String, Vec<String>)> {
        let text = |url: &Parsed<RedisUrl>| url.0.0.as_str().to_owned();
        match (&self.redis.url, &self.redis.nodes) {
            (Some(url), _) => Some((text(url), Vec::new())),
            (None, Some(nodes)) => Some((String::new(), nodes.iter().map(text).collect())),
            (None, None) => None,
        }
    }

    /// Descriptors that the limit of connections leaves free.
    pub(super) fn reserved_descriptors(&self) -> u64 {
        RESERVED_DESCRIPTORS + self.more_descriptors() as u64
    }

    /// Descriptors for Redis beyond those of one at a fixed address.
    pub(crate) fn more_descriptors(&self) -> usize {
        match self.broker() {
            BrokerSettings::Redis(config) => config.more_descriptors(),
            BrokerSettings::Memory(_) => 0,
        }
    }

    fn sources(&self) -> Sources {
        Sources::new(self.channels.iter().map(|rule| {
            let source = match rule.source {
                SourceSetting::PubSub => Source::PubSub,
                SourceSetting::Stream => Source::Stream,
            };
            (rule.pattern.0.clone(), source)
        }))
    }

    /// What a banner may show of the broker; `flags` are those that were started with.
    pub(crate) fn shown_broker(&self, flags: &ServeFlags) -> Shown {
        match (&self.redis.url, &self.redis.nodes) {
            (None, None) => Shown::Memory,
            (Some(Parsed(url)), _) => {
                Shown::Redis(self.with_redis_cli(url).or_else(|| with_redcast(flags)))
            }
            // Which of them it is depends on the channel.
            (None, Some(_)) => Shown::Redis(with_redcast(flags)),
        }
    }

    /// redis-cli knows nothing of prefixes, sockets in a URL and our other ways to write one.
    fn with_redis_cli(&self, url: &RedisUrl) -> Option<String> {
        let url = url.harmless()?;
        let known = url.starts_with("redis://") && is_plain(url) && self.redis.prefix.is_empty();
        let server = match url.trim_end_matches('/') {
            "redis://127.0.0.1:6379" => String::new(),
            _ => format!("-u {url} "),
        };
        known.then(|| format!("redis-cli {server}PUBLISH"))
    }

    /// What the hub gets.
    pub(crate) fn hub(&self) -> HubConfig {
        HubConfig {
            outbox_limit: bytes(self.limits.outbox),
            ping_every: *self.keepalive.ping_every,
            idle_timeout: *self.keepalive.idle_timeout,
            ..HubConfig::default()
        }
    }

    /// What the node gets. `descriptors` is the process's limit, `instance` the name by
    /// which other instances know this one.
    pub(crate) fn node(&self, descriptors: u64, instance: &str) -> NodeConfig {
        let spare = descriptors.saturating_sub(self.reserved_descriptors());
        let max_connections = match self.limits.max_connections {
            0 => usize::try_from(spare).unwrap_or(usize::MAX),
            limit => count(limit),
        };
        NodeConfig {
            max_connections,
            max_connections_per_address: count(self.limits.max_connections_per_address),
            handshakes_per_second: self.limits.handshakes_per_second,
            max_subscriptions: count(self.limits.max_subscriptions),
            linger: *self.interest.linger,
            rules: self.channels.iter().map(ChannelSettings::rule).collect(),
            deflate: DeflateConfig {
                min_size: bytes(self.deflate.min_size),
                level: self.deflate.level,
            },
            replay: ReplayConfig {
                events: count(self.streams.replay_events),
                bytes: bytes(self.streams.replay_bytes),
            },
            snapshots: self.snapshots.iter().map(SnapshotSettings::snapshot).collect(),
            instance: instance.to_owned(),
        }
    }

    /// What the door gets. Settings that were checked give no error.
    pub(crate) fn edge(&self, demo: bool) -> Result<EdgeConfig, EdgeSettingsError> {
        let config = EdgeConfig {
            endpoints: self.endpoints.iter().map(EndpointSettings::endpoint).collect(),
            api: self.api(demo),
            forward_auth: self.forward_auth()?,
            ..self.door()
        };
        config.validate()?;
        Ok(config)
    }

    /// The door that leads nowhere yet.
    pub(super) fn door(&self) -> EdgeConfig {
        EdgeConfig {
            endpoints: Vec::new(),
            api: ApiConfig::Closed,
            docs: self.api.docs,
            max_event_size: bytes(self.limits.max_event_size),
            handshake_timeout: *self.http.handshake_timeout,
            trusted_proxies: self.http.trusted_proxies.iter().map(|network| network.0).collect(),
            max_http_connections: count(self.limits.max_http_connections),
            commands_per_second: self.limits.commands_per_second,
            forward_auth: None,
            page: self.page(),
            fail_static: self.admin.fail_static,
        }
    }

    pub(super) fn forward_auth(&self) -> Result<Option<ForwardAuthConfig>, ForwardAuthConfigError> {
        let Some(Parsed(url)) = &self.auth.forward_url else { return Ok(None) };
        let headers = self.auth.forward_headers.iter().map(|name| name.as_str().to_owned());
        let headers: Vec<String> = headers.collect();
        ForwardAuthConfig::new(url.0.as_str(), *self.auth.forward_timeout, &headers).map(Some)
    }

    fn page(&self) -> PageConfig {
        let collector = self.page.collector.as_ref().map(|collector| collector.0.0.clone());
        PageConfig { enabled: self.page.enabled, collector }
    }

    fn api(&self, demo: bool) -> ApiConfig {
        match &self.api.key {
            Some(Parsed(key)) => ApiConfig::Key(ApiKey(key.0.as_str().to_owned())),
            None if demo && self.redis_urls().is_none() => ApiConfig::Open,
            None => ApiConfig::Closed,
        }
    }
}

impl Redis {
    fn sentinel_password(&self) -> Option<String> {
        self.sentinel_password.as_ref().map(|password| password.0.0.as_str().to_owned())
    }
}

/// Our own command reads the same variables and file; a URL in a flag would have to be
/// told to it.
fn with_redcast(flags: &ServeFlags) -> Option<String> {
    let path = match &flags.config {
        None => String::new(),
        Some(path) => format!(" --config {}", path.to_str().filter(|path| is_plain(path))?),
    };
    flags.redis_url.is_none().then(|| format!("redcast publish{path}"))
}

impl EndpointSettings {
    pub(super) fn endpoint(&self) -> Endpoint {
        let origins = self.allowed_origins.iter().map(|origin| origin.as_str().to_owned());
        Endpoint {
            path: self.path.clone(),
            access: ChannelAccess {
                join: self.channels.iter().map(|channel| channel.0.clone()).collect(),
                subscribe: self.subscribe.iter().map(|pattern| pattern.0.clone()).collect(),
            },
            allowed_origins: AllowedOrigins::new(&origins.collect::<Vec<_>>()),
            max_message_size: bytes(self.max_message_size),
            notices: self.notices,
            deflate: self.deflate,
            snapshot: self.snapshot.as_ref().map(|name| name.to_string()),
        }
    }
}

impl SnapshotSettings {
    fn snapshot(&self) -> SnapshotConfig {
        // Each pointer was read before, with the schema.
        let merge = self.merge.iter().flatten().filter_map(|(pointer, value)| {
            let pointer = MergePointer::parse(pointer).ok()?;
            Some(Merge { pointer, value: value.value() })
        });
        SnapshotConfig {
            name: self.name.0.clone(),
            key: self.key.clone(),
            every: *self.every,
            on_connect: self.on_connect.clone(),
            on_tick: self.on_tick.clone(),
            merge: merge.collect(),
        }
    }
}

impl MergeSetting {
    fn value(self) -> MergeValue {
        match self {
            Self::Connections => MergeValue::Connections,
            Self::InstanceConnections => MergeValue::InstanceConnections,
            Self::Now => MergeValue::Now,
            Self::NowMs => MergeValue::NowMs,
        }
    }
}

impl ChannelSettings {
    fn rule(&self) -> ChannelRule {
        let slow_consumer = match self.slow_consumer {
            SlowConsumerSetting::Disconnect => SlowConsumer::Disconnect,
            SlowConsumerSetting::DropOldest => SlowConsumer::DropOldest,
            SlowConsumerSetting::KeepLatest => SlowConsumer::KeepLatest,
        };
        ChannelRule {
            pattern: self.pattern.0.clone(),
            slow_consumer,
            flush_every: self.flush_every.map(|every| *every),
            latest_by: self.latest_by.as_ref().map(|pointer| pointer.0.clone()),
        }
    }
}

fn bytes(size: Parsed<ByteSize>) -> usize {
    usize::try_from(size.as_u64()).unwrap_or(usize::MAX)
}

fn count(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}
