//! What the tests of streams share.

use std::time::{Duration, Instant};

use bytes::Bytes;
use redcast_broker::{RedisConfig, Source, Sources, Subscribed};
use redcast_e2e::RedisServer;
use redcast_protocol::{Channel, Cursor, Pattern, ResetReason};
use redis::aio::MultiplexedConnection;
use tokio::time::sleep;

use super::{LIMIT, Rig, channel, config};

/// A break must be told within this time.
pub const TOLD_WITHIN: Duration = Duration::from_secs(2);
/// An outage must be seen within this time.
pub const SEEN_WITHIN: Duration = Duration::from_secs(3);

pub fn streams(server: &RedisServer) -> RedisConfig {
    let sources = Sources::new([(Pattern::parse("s:*").unwrap(), Source::Stream)]);
    // A page of 20 MB takes its time on a busy machine.
    RedisConfig { sources, publish_timeout: LIMIT, ..config(server) }
}

/// A rig with one live stream channel, and its first place.
pub async fn live(server: &RedisServer, name: &str) -> (Rig, Channel, Cursor) {
    let mut rig = Rig::redis(streams(server)).await;
    let channel = channel(name);
    assert_eq!(rig.broker.subscribe(&channel).await, Ok(Subscribed::Live));
    let position = rig.inbox.position().await;
    assert_eq!(position.reset, None);
    (rig, channel, position.cursor)
}

/// XADD as a producer does it, with what stands between the key and the ID.
pub async fn add(
    connection: &mut MultiplexedConnection,
    channel: &Channel,
    options: &[&str],
    payload: &[u8],
) {
    let mut command = redis::cmd("XADD");
    command.arg(format!("test:{channel}")).arg(options).arg("*").arg("data").arg(payload);
    command.query_async::<String>(connection).await.unwrap();
}

pub async fn run(connection: &mut MultiplexedConnection, command: &[&str]) {
    let mut line = redis::cmd(command[0]);
    line.arg(&command[1..]);
    line.query_async::<redis::Value>(connection).await.unwrap();
}

/// The next delivery has to be a reset, soon after `since`; answers the new place.
pub async fn reset(rig: &mut Rig, reason: ResetReason, since: Instant) -> Cursor {
    let position = rig.inbox.position().await;
    assert_eq!(position.reset, Some(reason));
    assert!(since.elapsed() < TOLD_WITHIN, "told after {:?}", since.elapsed());
    position.cursor
}

pub async fn published(rig: &mut Rig, channel: &Channel, number: u32) {
    let payload = Bytes::from(number.to_string());
    rig.broker.publish(channel, payload.clone()).await.unwrap();
    assert_eq!(rig.inbox.event().await.payload, payload);
}

/// Publishes numbers until each of them is acknowledged once more than it has to be.
pub async fn produce_through(rig: &Rig, channel: &Channel, numbers: std::ops::Range<u32>) {
    for number in numbers {
        let payload = Bytes::from(number.to_string());
        // Whether it arrived is not known after a failure, so it may stand there twice.
        while rig.broker.publish(channel, payload.clone()).await.is_err() {
            sleep(Duration::from_millis(20)).await;
        }
    }
}

/// Reads until `last`; each entry of the stream arrives once, in order, and nothing else.
pub async fn exactly_what_redis_has(rig: &mut Rig, channel: &Channel, first: Cursor, last: u32) {
    let mut read = Vec::new();
    loop {
        let event = rig.inbox.event().await;
        read.push((event.cursor.unwrap(), event.payload.clone()));
        if event.payload == last.to_string() {
            break;
        }
    }
    let mut connection = rig.broker.last_events(channel, 1_000).await.unwrap();
    connection.retain(|event| event.cursor.unwrap().id() > first.id());
    assert!(!connection.is_empty());
    let held: Vec<_> =
        connection.into_iter().map(|event| (event.cursor.unwrap(), event.payload)).collect();
    assert_eq!(read, held);
}
