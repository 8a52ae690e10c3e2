//! Settings: one struct for the whole configuration, and what each room gets of it.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use bytesize::ByteSize;
use ipnet::IpNet;
use redcast_broker::{MemoryConfig, QueueLimits, RedisConfig};
use redcast_edge::{AllowedOrigins, ApiConfig, ApiKey, EdgeConfig, Endpoint, ForwardAuthConfig};
use redcast_hub::{HubConfig, SlowConsumer};
use redcast_node::{ChannelAccess, ChannelRule, NodeConfig};
use redcast_protocol::{Channel, Pattern};
use serde::Deserialize;

use crate::demo::Shown;

/// Descriptors kept for everything that is no client: Redis, metrics, logs.
const RESERVED_DESCRIPTORS: u64 = 256;

/// The whole configuration; see defaults.toml for what each key means.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    pub(crate) http: Http,
    pub(crate) admin: Admin,
    redis: Redis,
    auth: Auth,
    api: Api,
    limits: Limits,
    keepalive: Keepalive,
    interest: Interest,
    pub(crate) shutdown: Shutdown,
    pub(crate) log: Log,
    endpoints: Vec<EndpointSettings>,
    #[serde(default)]
    channels: Vec<ChannelSettings>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Http {
    pub(crate) listen: SocketAddr,
    #[serde(with = "humantime_serde")]
    pub(crate) handshake_timeout: Duration,
    pub(crate) unsent_limit: ByteSize,
    trusted_proxies: Vec<String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Admin {
    pub(crate) listen: SocketAddr,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Redis {
    url: Option<Secret>,
    prefix: String,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Auth {
    forward_url: Option<Secret>,
    #[serde(with = "humantime_serde")]
    forward_timeout: Duration,
    forward_headers: Vec<String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Api {
    key: Option<Secret>,
    key_file: Option<PathBuf>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Limits {
    max_connections: usize,
    max_connections_per_address: usize,
    max_http_connections: usize,
    handshakes_per_second: u32,
    commands_per_second: u32,
    max_subscriptions: usize,
    max_event_size: ByteSize,
    outbox: ByteSize,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Keepalive {
    #[serde(with = "humantime_serde")]
    ping_every: Duration,
    #[serde(with = "humantime_serde")]
    idle_timeout: Duration,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Interest {
    #[serde(with = "humantime_serde")]
    linger: Duration,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Shutdown {
    #[serde(with = "humantime_serde")]
    pub(crate) accept_for: Duration,
    #[serde(with = "humantime_serde")]
    pub(crate) window: Duration,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Log {
    pub(crate) level: String,
    pub(crate) format: LogFormat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    Auto,
    Json,
    Pretty,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct EndpointSettings {
    path: String,
    #[serde(default)]
    channels: Vec<String>,
    #[serde(default)]
    subscribe: Vec<String>,
    #[serde(default = "any_origin")]
    allowed_origins: Vec<String>,
    #[serde(default = "default_message_size")]
    max_message_size: ByteSize,
    #[serde(default = "yes")]
    notices: bool,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct ChannelSettings {
    pattern: String,
    #[serde(default)]
    slow_consumer: SlowConsumerSetting,
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum SlowConsumerSetting {
    #[default]
    Disconnect,
    DropOldest,
    KeepLatest,
}

/// A setting that no log shows: a key, or a URL that may hold a password.
#[derive(Clone, Deserialize)]
#[serde(transparent)]
struct Secret(String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Which broker, with its settings.
pub(crate) enum BrokerSettings {
    Memory(MemoryConfig),
    Redis(Box<RedisConfig>),
}

fn any_origin() -> Vec<String> {
    vec!["*".to_owned()]
}

fn default_message_size() -> ByteSize {
    ByteSize::kib(4)
}

fn yes() -> bool {
    true
}

impl Settings {
    /// Refuses values with which nothing could work.
    pub(crate) fn check(&self) -> Result<()> {
        let (limits, keepalive) = (&self.limits, &self.keepalive);
        let values = [
            ("http.handshake_timeout", self.http.handshake_timeout.is_zero()),
            ("http.unsent_limit", self.http.unsent_limit.as_u64() == 0),
            ("limits.max_http_connections", limits.max_http_connections == 0),
            ("limits.max_subscriptions", limits.max_subscriptions == 0),
            ("limits.max_event_size", limits.max_event_size.as_u64() == 0),
            ("limits.outbox", limits.outbox.as_u64() == 0),
            ("auth.forward_timeout", self.auth.forward_timeout.is_zero()),
            ("keepalive.ping_every", keepalive.ping_every.is_zero()),
        ];
        for (key, is_zero) in values {
            ensure!(!is_zero, "{key}: must be more than 0");
        }
        ensure!(
            bytes(limits.max_event_size) <= QueueLimits::default().bytes,
            "limits.max_event_size: at most 32MiB, which is what may wait for the fan-out"
        );
        let most = self.endpoints.iter().max_by_key(|endpoint| endpoint.channels.len());
        if let Some(EndpointSettings { path, channels, .. }) = most {
            ensure!(
                channels.len() <= limits.max_subscriptions,
                "endpoints {path:?}: channels: more than limits.max_subscriptions ({})",
                limits.max_subscriptions
            );
        }
        let (ping_every, idle_timeout) = (keepalive.ping_every, keepalive.idle_timeout);
        ensure!(
            idle_timeout > ping_every,
            "keepalive.idle_timeout: must be more than keepalive.ping_every, \
             or clients that answer every ping would be dropped"
        );
        Ok(())
    }

    /// What the broker gets: Redis with a URL, else the memory broker.
    pub(crate) fn broker(&self) -> BrokerSettings {
        let max_event_size = bytes(self.limits.max_event_size);
        match &self.redis.url {
            Some(Secret(url)) => BrokerSettings::Redis(Box::new(RedisConfig {
                url: url.clone(),
                prefix: self.redis.prefix.clone(),
                max_event_size,
                ..RedisConfig::default()
            })),
            None => {
                BrokerSettings::Memory(MemoryConfig { max_event_size, ..MemoryConfig::default() })
            }
        }
    }

    /// What a banner may show of the broker.
    pub(crate) fn shown_broker(&self) -> Shown {
        match &self.redis.url {
            None => Shown::Memory,
            Some(Secret(url)) => {
                let usual = url.trim_end_matches('/') == "redis://127.0.0.1:6379";
                Shown::Redis((!usual && !url.contains('@')).then(|| url.clone()))
            }
        }
    }

    /// What the hub gets.
    pub(crate) fn hub(&self) -> HubConfig {
        HubConfig {
            outbox_limit: bytes(self.limits.outbox),
            ping_every: self.keepalive.ping_every,
            idle_timeout: self.keepalive.idle_timeout,
            ..HubConfig::default()
        }
    }

    /// What the node gets. `descriptors` is the process's limit.
    pub(crate) fn node(&self, descriptors: u64) -> Result<NodeConfig> {
        let spare = descriptors.saturating_sub(RESERVED_DESCRIPTORS);
        let max_connections = match self.limits.max_connections {
            0 => usize::try_from(spare).unwrap_or(usize::MAX),
            limit => limit,
        };
        let rules = self.channels.iter().map(ChannelSettings::rule);
        Ok(NodeConfig {
            max_connections,
            max_connections_per_address: self.limits.max_connections_per_address,
            handshakes_per_second: self.limits.handshakes_per_second,
            max_subscriptions: self.limits.max_subscriptions,
            linger: self.interest.linger,
            rules: rules.collect::<Result<_>>()?,
        })
    }

    /// What the door gets.
    pub(crate) fn edge(&self, demo: bool) -> Result<EdgeConfig> {
        let endpoints = self.endpoints.iter().map(EndpointSettings::endpoint);
        let config = EdgeConfig {
            endpoints: endpoints.collect::<Result<_>>()?,
            api: self.api(demo)?,
            max_event_size: bytes(self.limits.max_event_size),
            handshake_timeout: self.http.handshake_timeout,
            trusted_proxies: self.trusted_proxies()?,
            max_http_connections: self.limits.max_http_connections,
            commands_per_second: self.limits.commands_per_second,
            forward_auth: self.forward_auth()?,
        };
        config.validate().context("endpoints")?;
        Ok(config)
    }

    fn trusted_proxies(&self) -> Result<Vec<IpNet>> {
        let networks = self.http.trusted_proxies.iter().map(|text| {
            // A single address is a network of one.
            let network = text.parse().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
            network.with_context(|| {
                format!("http.trusted_proxies: {text:?} is no address and no CIDR like 10.0.0.0/8")
            })
        });
        networks.collect()
    }

    fn forward_auth(&self) -> Result<Option<ForwardAuthConfig>> {
        let Some(Secret(url)) = &self.auth.forward_url else { return Ok(None) };
        let (timeout, headers) = (self.auth.forward_timeout, &self.auth.forward_headers);
        let config = ForwardAuthConfig::new(url, timeout, headers).context("auth")?;
        Ok(Some(config))
    }

    fn api(&self, demo: bool) -> Result<ApiConfig> {
        let key = match (&self.api.key, &self.api.key_file) {
            (Some(_), Some(_)) => bail!("api.key and api.key_file: set one, not both"),
            (Some(Secret(key)), None) => Some(key.clone()),
            (None, Some(file)) => {
                let text = std::fs::read_to_string(file)
                    .with_context(|| format!("api.key_file: can't read {}", file.display()))?;
                Some(text.trim().to_owned())
            }
            (None, None) => None,
        };
        match key {
            Some(key) if key.is_empty() => bail!("api.key: the key is empty"),
            Some(key) => Ok(ApiConfig::Key(ApiKey(key))),
            None if demo && self.redis.url.is_none() => Ok(ApiConfig::Open),
            None => Ok(ApiConfig::Closed),
        }
    }
}

impl EndpointSettings {
    fn endpoint(&self) -> Result<Endpoint> {
        let place = |key: &str| format!("endpoints {:?}: {key}", self.path);
        let join = self.channels.iter().map(|name| Channel::parse(name));
        let subscribe = self.subscribe.iter().map(|glob| Pattern::parse(glob));
        let max_message_size = bytes(self.max_message_size);
        ensure!(max_message_size > 0, "{}: must be more than 0", place("max_message_size"));
        Ok(Endpoint {
            path: self.path.clone(),
            access: ChannelAccess {
                join: join.collect::<Result<_, _>>().with_context(|| place("channels"))?,
                subscribe: subscribe
                    .collect::<Result<_, _>>()
                    .with_context(|| place("subscribe"))?,
            },
            allowed_origins: AllowedOrigins::new(&self.allowed_origins),
            max_message_size,
            notices: self.notices,
        })
    }
}

impl ChannelSettings {
    fn rule(&self) -> Result<ChannelRule> {
        let pattern = Pattern::parse(&self.pattern)
            .with_context(|| format!("channels: pattern {:?}", self.pattern))?;
        let slow_consumer = match self.slow_consumer {
            SlowConsumerSetting::Disconnect => SlowConsumer::Disconnect,
            SlowConsumerSetting::DropOldest => SlowConsumer::DropOldest,
            SlowConsumerSetting::KeepLatest => SlowConsumer::KeepLatest,
        };
        Ok(ChannelRule { pattern, slow_consumer })
    }
}

fn bytes(size: ByteSize) -> usize {
    usize::try_from(size.as_u64()).unwrap_or(usize::MAX)
}
