//! Opens connections to Redis with the socket options that every one of them needs.

use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::io::tcp::{TcpSettings, socket2::TcpKeepalive};
use redis::{
    AsyncConnectionConfig, Client, ConnectionInfo, ProtocolVersion, PushInfo, RedisError,
    RedisResult,
};

use super::config::RedisConfig;

/// A peer that vanished without a word is noticed by the kernel within this time,
/// while something is being sent.
const USER_TIMEOUT: Duration = Duration::from_secs(5);
/// Idle time before the kernel probes the peer, time between two probes, and probes.
const KEEPALIVE: (Duration, Duration, u32) = (Duration::from_secs(10), Duration::from_secs(3), 3);

/// The address of `info` with our socket options, and without the library's name: to
/// tell it (`CLIENT SETINFO`) takes a right that nothing else needs, and a Redis that
/// refuses it (7.2 or newer) writes that to its ACL log for each connection.
pub(super) fn with_socket_options(info: ConnectionInfo) -> ConnectionInfo {
    let (idle, interval, retries) = KEEPALIVE;
    let keepalive =
        TcpKeepalive::new().with_time(idle).with_interval(interval).with_retries(retries);
    let tcp = TcpSettings::default()
        .set_nodelay(true)
        .set_keepalive(keepalive)
        .set_user_timeout(USER_TIMEOUT);
    let settings = info.redis_settings().clone().set_skip_set_lib_name();
    info.set_redis_settings(settings).set_tcp_settings(tcp)
}

/// Opens a connection on which streams are waited for. It knows no deadline for an answer:
/// whoever asks does.
pub(super) async fn open_reader(
    info: &ConnectionInfo,
    config: &RedisConfig,
) -> RedisResult<MultiplexedConnection> {
    let settings = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(config.connect_timeout))
        .set_response_timeout(None);
    Client::open(info.clone())?.get_multiplexed_async_connection_with_config(&settings).await
}

/// Opens the connection that carries subscriptions and nothing else. RESP3, because
/// only there events and replies are told apart; `on_push` is called in the read path.
///
/// Dropping all clones of the connection closes its socket.
pub(super) async fn open_subscription(
    info: &ConnectionInfo,
    config: &RedisConfig,
    on_push: impl Fn(PushInfo) + Send + Sync + 'static,
) -> RedisResult<MultiplexedConnection> {
    let resp3 = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
    let client = Client::open(info.clone().set_redis_settings(resp3))?;
    let settings = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(config.connect_timeout))
        .set_response_timeout(Some(config.response_timeout))
        .set_push_sender(move |push| {
            on_push(push);
            Ok::<(), RedisError>(())
        });
    client.get_multiplexed_async_connection_with_config(&settings).await
}
