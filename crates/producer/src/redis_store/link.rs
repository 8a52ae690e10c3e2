//! The connection to Redis: opened when it is needed, given up when it fails.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use redis::aio::MultiplexedConnection;
use redis::io::tcp::TcpSettings;
use redis::{
    AsyncConnectionConfig, Client, ClientTlsConfig, ConnectionAddr, ConnectionInfo, ErrorKind,
    IntoConnectionInfo, RedisError, RedisResult, ServerErrorKind, TlsCertificates,
};

use super::call::RECORD;
use super::config::StoreTls;
use crate::store::StoreError;

/// One connection that all callers share, or none just now.
pub(super) struct Link {
    info: ConnectionInfo,
    /// `host:port` or the path of a socket, for messages.
    place: String,
    timeout: Duration,
    /// Held while a connection is being opened: whoever comes meanwhile waits for that
    /// attempt instead of making one more.
    opening: tokio::sync::Mutex<()>,
    current: Mutex<Current>,
}

#[derive(Default)]
struct Current {
    /// Counts connections, so that a caller gives up none but the one it used.
    number: u64,
    lent: Option<Lent>,
}

/// A connection in use; clones share it.
#[derive(Clone)]
pub(super) struct Lent {
    number: u64,
    pub(super) connection: MultiplexedConnection,
    /// What Redis calls the script.
    pub(super) script: Arc<str>,
}

impl Link {
    /// Reads the URL; connects to nothing yet.
    pub(super) fn new(url: &str, tls: StoreTls, timeout: Duration) -> Result<Self, StoreError> {
        let info = url.into_connection_info().and_then(|info| with_tls(info, tls));
        let info = info.map_err(|error| StoreError::Refused(format!("the Redis URL: {error}")))?;
        let place = match info.addr() {
            // A password with one of these signs in it ends the host too early, and part
            // of it is then taken for one.
            ConnectionAddr::Tcp(..) | ConnectionAddr::TcpTls { .. } if has_odd_password(url) => {
                "the given URL".to_owned()
            }
            address => address.to_string(),
        };
        // To tell the library's name takes a right that nothing else needs.
        let settings = info.redis_settings().clone().set_skip_set_lib_name();
        let tcp = TcpSettings::default().set_nodelay(true);
        let info = info.set_redis_settings(settings).set_tcp_settings(tcp);
        let (opening, current) = (tokio::sync::Mutex::default(), Mutex::default());
        Ok(Self { info, place, timeout, opening, current })
    }

    /// The connection, opened if there is none.
    pub(super) async fn get(&self) -> Result<Lent, RedisError> {
        if let Some(lent) = self.opened() {
            return Ok(lent);
        }
        // Of tokio's kind because it is held while the connection opens, which is what it
        // is for; it guards no data, and whoever holds it ends within its own deadline.
        let _opening = self.opening.lock().await;
        if let Some(lent) = self.opened() {
            return Ok(lent);
        }
        let settings = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.timeout))
            .set_response_timeout(Some(self.timeout));
        let client = Client::open(self.info.clone())?;
        let mut connection = client.get_multiplexed_async_connection_with_config(&settings).await?;
        let load = redis::cmd("SCRIPT").arg("LOAD").arg(RECORD).to_owned();
        let script: String = load.query_async(&mut connection).await?;
        let mut current = self.current.lock();
        current.number += 1;
        let lent = Lent { number: current.number, connection, script: script.into() };
        current.lent = Some(lent.clone());
        Ok(lent)
    }

    fn opened(&self) -> Option<Lent> {
        self.current.lock().lent.clone()
    }

    /// The next caller opens a new connection; this one failed or fell silent.
    pub(super) fn give_up(&self, lent: u64) {
        let mut current = self.current.lock();
        if current.number == lent {
            current.lent = None;
        }
    }

    /// The error of a Redis that can't be used now.
    pub(super) fn away(&self, why: &str) -> StoreError {
        StoreError::Unavailable(format!("Redis at {} is not available: {why}", self.place))
    }

    /// The error of a Redis of which nobody knows what it did.
    pub(super) fn silent(&self) -> StoreError {
        StoreError::Unknown(format!(
            "Redis at {} did not answer in time; what was sent may have been counted",
            self.place
        ))
    }

    /// What Redis said no to, and whether it may say yes later.
    pub(super) fn said_no(&self, error: &RedisError) -> StoreError {
        if may_pass(error) {
            return self.away(&words(error));
        }
        StoreError::Refused(format!("Redis at {} refused the views: {}", self.place, words(error)))
    }
}

impl Lent {
    /// Which connection this is, for [`Link::give_up`].
    pub(super) fn number(&self) -> u64 {
        self.number
    }
}

/// `info` with what TLS trusts and shows, where it is reached by TLS.
fn with_tls(info: ConnectionInfo, tls: StoreTls) -> RedisResult<ConnectionInfo> {
    if !matches!(info.addr(), ConnectionAddr::TcpTls { .. }) {
        return Ok(info);
    }
    let client_tls =
        tls.identity.map(|(cert, key)| ClientTlsConfig { client_cert: cert, client_key: key });
    let certificates = TlsCertificates { client_tls, root_cert: tls.ca };
    Ok(Client::build_with_tls(info, certificates)?.get_connection_info().clone())
}

/// Whether Redis itself answered, so that it is known that the call did nothing.
pub(super) fn is_answer(error: &RedisError) -> bool {
    matches!(error.kind(), ErrorKind::Server(_) | ErrorKind::Extension)
}

/// Whether the connection leads to a Redis that can't write any more: after a failover the
/// same name leads elsewhere, but only for a new connection.
pub(super) fn is_elsewhere(error: &RedisError) -> bool {
    use ServerErrorKind as Server;
    matches!(
        error.kind(),
        ErrorKind::Server(
            Server::BusyLoading
                | Server::MasterDown
                | Server::ClusterDown
                | Server::ReadOnly
                | Server::Moved
                | Server::Ask
        )
    )
}

/// Errors that end by themselves: Redis starts, fails over, is full, or can't write to
/// its disk.
fn may_pass(error: &RedisError) -> bool {
    use ServerErrorKind as Server;
    match error.kind() {
        ErrorKind::Server(kind) => kind == Server::TryAgain || is_elsewhere(error),
        ErrorKind::Extension => matches!(error.code(), Some("OOM" | "MISCONF" | "BUSY")),
        _ => true,
    }
}

/// Redis's own words where it spoke, else the client library's.
fn words(error: &RedisError) -> String {
    if let (Some(code), Some(detail)) = (error.code(), error.detail()) {
        return format!("{code} {detail}");
    }
    let text = error.to_string().replacen(&format!(" - {:?}", error.kind()), "", 1);
    let text = text.split(" (os error ").next().unwrap_or_default();
    text.lines().collect::<Vec<_>>().join(" ")
}

fn has_odd_password(url: &str) -> bool {
    let rest = url.split_once("://").map_or("", |(_, rest)| rest);
    rest.rsplit_once('@').is_some_and(|(user, _)| user.contains(['/', '?', '#']))
}
