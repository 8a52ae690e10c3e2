//! Settings: the whole configuration as types. defaults.toml says what each key means;
//! the JSON Schema, by which every layer is judged, is made of both.

mod catalogue;
mod checks;
mod kinds;
mod parsed;
mod rooms;
mod schema;
mod secret;
mod snapshots;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use bytesize::ByteSize;
use ipnet::IpNet;
use redcast_broker::RedisTls;
use redcast_node::{ItemPointer, SnapshotName};
use redcast_protocol::{Channel, Pattern};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub(crate) use self::catalogue::{Section, catalogue};
pub(crate) use self::checks::{Finding, wrong_nodes};
use self::kinds::{CollectorUrl, HeaderName, LogFilter, Origin};
pub(crate) use self::parsed::{Kind, Parsed, Written};
pub(crate) use self::rooms::{BrokerSettings, RESERVED_DESCRIPTORS};
pub(crate) use self::schema::schema;
pub(crate) use self::secret::{ApiKeyText, ForwardUrl, HIDDEN, Password, RedisUrl};
use self::snapshots::SnapshotSettings;

/// The built-in settings: the weakest layer, and the one place that describes keys.
pub(crate) const DEFAULTS: &str = include_str!("../defaults.toml");

/// The whole configuration.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    pub(crate) http: Http,
    pub(crate) admin: Admin,
    pub(crate) redis: Redis,
    pub(crate) auth: Auth,
    pub(crate) api: Api,
    page: Page,
    limits: Limits,
    keepalive: Keepalive,
    interest: Interest,
    streams: Streams,
    deflate: Deflate,
    pub(crate) shutdown: Shutdown,
    pub(crate) log: Log,
    endpoints: Vec<EndpointSettings>,
    #[serde(default)]
    channels: Vec<ChannelSettings>,
    #[serde(default)]
    snapshots: Vec<SnapshotSettings>,
}

#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Http {
    pub(crate) listen: Parsed<SocketAddr>,
    pub(crate) handshake_timeout: Parsed<Duration>,
    pub(crate) unsent_limit: Parsed<ByteSize>,
    trusted_proxies: Vec<Parsed<IpNet>>,
}

#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Admin {
    pub(crate) listen: Parsed<SocketAddr>,
    fail_static: bool,
}

#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Redis {
    pub(crate) url: Option<Parsed<RedisUrl>>,
    pub(crate) url_file: Option<PathBuf>,
    pub(crate) nodes: Option<Vec<Parsed<RedisUrl>>>,
    pub(crate) nodes_file: Option<PathBuf>,
    pub(crate) sentinel_password: Option<Parsed<Password>>,
    pub(crate) sentinel_password_file: Option<PathBuf>,
    prefix: String,
    sharded: bool,
    pub(crate) tls: Tls,
}

#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Tls {
    pub(crate) ca_file: Option<PathBuf>,
    pub(crate) cert_file: Option<PathBuf>,
    pub(crate) key_file: Option<PathBuf>,
    /// What the files hold.
    #[serde(skip)]
    #[schemars(skip)]
    pub(crate) read: RedisTls,
}

#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Auth {
    pub(crate) forward_url: Option<Parsed<ForwardUrl>>,
    pub(crate) forward_url_file: Option<PathBuf>,
    forward_timeout: Parsed<Duration>,
    forward_headers: Vec<Parsed<HeaderName>>,
}

#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Api {
    pub(crate) key: Option<Parsed<ApiKeyText>>,
    pub(crate) key_file: Option<PathBuf>,
    docs: bool,
}

#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Page {
    enabled: bool,
    collector: Option<Parsed<CollectorUrl>>,
}

#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Limits {
    max_connections: u32,
    max_connections_per_address: u32,
    #[schemars(range(min = 1))]
    max_http_connections: u32,
    handshakes_per_second: u32,
    commands_per_second: u32,
    #[schemars(range(min = 1))]
    max_subscriptions: u32,
    max_event_size: Parsed<ByteSize>,
    outbox: Parsed<ByteSize>,
}

#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Keepalive {
    ping_every: Parsed<Duration>,
    idle_timeout: Parsed<Duration>,
}

#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Interest {
    linger: Parsed<Duration>,
}

#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Streams {
    #[schemars(range(min = 1))]
    max_len: u32,
    #[schemars(range(min = 1))]
    replay_events: u32,
    replay_bytes: Parsed<ByteSize>,
}

#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Deflate {
    min_size: Parsed<ByteSize>,
    #[schemars(range(min = 1, max = 9))]
    level: u32,
}

#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Shutdown {
    pub(crate) accept_for: Parsed<Duration>,
    pub(crate) window: Parsed<Duration>,
}

#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Log {
    #[schemars(with = "Parsed<LogFilter>")]
    pub(crate) level: String,
    pub(crate) format: LogFormat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    Auto,
    Json,
    Pretty,
}

#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct EndpointSettings {
    path: String,
    #[serde(default)]
    channels: Vec<Parsed<Channel>>,
    #[serde(default)]
    subscribe: Vec<Parsed<Pattern>>,
    #[serde(default = "any_origin")]
    allowed_origins: Vec<Parsed<Origin>>,
    #[serde(default = "default_message_size")]
    max_message_size: Parsed<ByteSize>,
    #[serde(default = "yes")]
    notices: bool,
    #[serde(default)]
    deflate: bool,
    snapshot: Option<Parsed<SnapshotName>>,
}

#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ChannelSettings {
    pattern: Parsed<Pattern>,
    #[serde(default)]
    source: SourceSetting,
    #[serde(default)]
    slow_consumer: SlowConsumerSetting,
    flush_every: Option<Parsed<Duration>>,
    latest_by: Option<Parsed<ItemPointer>>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum SourceSetting {
    #[default]
    PubSub,
    Stream,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum SlowConsumerSetting {
    #[default]
    Disconnect,
    DropOldest,
    KeepLatest,
}

fn any_origin() -> Vec<Parsed<Origin>> {
    vec![Parsed(Origin::any())]
}

fn default_message_size() -> Parsed<ByteSize> {
    Parsed(ByteSize::kib(4))
}

fn yes() -> bool {
    true
}

/// What somebody wrote, as a message may repeat it: escaped and not too long.
pub(crate) fn quoted(text: &str) -> String {
    match text.char_indices().nth(60) {
        Some((end, _)) => format!("{:?}…", &text[..end]),
        None => format!("{text:?}"),
    }
}
