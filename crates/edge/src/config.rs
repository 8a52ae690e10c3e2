//! What an operator can set about the door.

use std::collections::HashSet;
use std::fmt;
use std::time::Duration;

use ipnet::IpNet;
use redcast_node::ChannelAccess;

use crate::api_docs;
use crate::forward_auth::ForwardAuthConfig;
use crate::origin::AllowedOrigins;
use crate::page::FILES;
use crate::sse;

/// Settings of the public listener and of what it serves.
#[derive(Clone, Debug)]
pub struct EdgeConfig {
    /// The WebSocket endpoints.
    pub endpoints: Vec<Endpoint>,
    /// Who may publish over HTTP.
    pub api: ApiConfig,
    /// Whether the documents that describe the API are served. Default yes.
    pub docs: bool,
    /// The largest event, bytes; also the largest body of a publish.
    pub max_event_size: usize,
    /// How long a client may take for a request's head, for the body of a publish, and
    /// from the answer 101 to the hand-over of its socket. What forward auth takes
    /// comes on top. Default 5 s.
    pub handshake_timeout: Duration,
    /// Networks whose `X-Forwarded-For` is believed. Default none.
    pub trusted_proxies: Vec<IpNet>,
    /// Sockets of the public port that may speak plain HTTP at a time. Default 4,096.
    pub max_http_connections: usize,
    /// Commands one connection may send per second; 0 means no limit. Default 50.
    pub commands_per_second: u32,
    /// Who is asked whether to admit a handshake; none means that all are admitted.
    pub forward_auth: Option<ForwardAuthConfig>,
    /// The dashboard.
    pub page: PageConfig,
    /// Whether an instance that was ready stays so while Redis itself is away. Default no.
    pub fail_static: bool,
}

/// Settings of the dashboard at `/`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageConfig {
    /// Whether the page and what it asks, `/api/info`, are served. Default yes.
    pub enabled: bool,
    /// Where the page's own visits are counted; none means nowhere.
    pub collector: Option<Collector>,
}

/// Where a collector answers `/r.js` and `/collect`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Collector {
    /// At the gateway's own address.
    Here,
    /// At another origin, such as `http://127.0.0.1:8090`: scheme, host and port alone.
    Elsewhere(String),
}

impl Collector {
    /// What the page puts `/r.js` behind.
    pub(crate) fn base(&self) -> &str {
        self.origin().unwrap_or("/")
    }

    /// The origin, where it is not the page's own.
    pub(crate) fn origin(&self) -> Option<&str> {
        match self {
            Self::Here => None,
            Self::Elsewhere(origin) => Some(origin),
        }
    }
}

/// An HTTP path that accepts WebSocket connections.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// The path, e.g. `/ws/analytics`.
    pub path: String,
    /// Channels joined on connect, and what a client may join itself.
    pub access: ChannelAccess,
    /// Which pages may connect.
    pub allowed_origins: AllowedOrigins,
    /// The largest message a client may send, bytes. Default 4 KiB.
    pub max_message_size: usize,
    /// Whether a raw connection is told of gaps and errors, or gets events alone.
    pub notices: bool,
    /// Whether clients that offer permessage-deflate (RFC 7692) get it. Default no.
    pub deflate: bool,
    /// The snapshot that greets clients and beats; one of the node's. Default none.
    pub snapshot: Option<String>,
}

/// Who may publish over HTTP.
#[derive(Clone, Debug)]
pub enum ApiConfig {
    /// Nobody.
    Closed,
    /// Anyone: the demo on the memory broker, on a laptop.
    Open,
    /// Whoever shows this key.
    Key(ApiKey),
}

/// A secret that no log shows.
#[derive(Clone)]
pub struct ApiKey(pub String);

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Endpoints that can't be served together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// Not a path the router can serve.
    #[error("the endpoint path {0:?} must start with \"/\" and hold only A-Z a-z 0-9 _ . - / ~")]
    BadPath(String),
    /// A path under which our own API lives.
    #[error(
        "the path {0:?} is taken: /api/, /sse/, /docs/, /openapi.json and /asyncapi.json are \
        Redcast's own"
    )]
    ReservedPath(String),
    /// Two endpoints, or an endpoint and a path of ours.
    #[error("the path {0:?} is used twice; each endpoint needs a path of its own")]
    DuplicatePath(String),
}

impl EdgeConfig {
    /// Checks what the types can't: the paths together.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let files = FILES.iter().filter(|_| self.page.enabled);
        let mut seen: HashSet<&str> = files.map(|file| file.path).collect();
        for Endpoint { path, .. } in &self.endpoints {
            let fits = |c: char| c.is_ascii_alphanumeric() || "_.-/~".contains(c);
            if !path.starts_with('/') || !path.chars().all(fits) {
                return Err(ConfigError::BadPath(path.clone()));
            }
            if path.starts_with("/api/") || api_docs::is_reserved(path) || sse::is_reserved(path) {
                return Err(ConfigError::ReservedPath(path.clone()));
            }
            if !seen.insert(path) {
                return Err(ConfigError::DuplicatePath(path.clone()));
            }
        }
        Ok(())
    }
}
