//! Publishing a batch, and publishing once, through a real Redis: what it keeps, for how
//! long, and what is left of it where Redis refuses, is full, or does not answer.

use std::time::Duration;

use crate::support::{LIMIT, Rig, channel, config, operator};
use bytes::Bytes;
use redcast_broker::{OnceKey, PublishError, Published, RedisConfig};
use redcast_e2e::{Listener, RedisServer};

/// The gateway's user, as a server's command line wants it: one kind of channel alone.
const USER: [&str; 8] =
    ["--user", "gateway", "on", ">secret", "+@all", "~*", "&test:open*", "&test:redcast:canary:*"];

fn batch() -> [Bytes; 3] {
    [b"1", b"2", b"3"].map(|payload| Bytes::from_static(payload))
}

fn key(text: &str) -> OnceKey {
    OnceKey::parse(text).unwrap()
}

async fn keys(redis: &RedisServer) -> Vec<String> {
    redis::cmd("KEYS").arg("*").query_async(&mut operator(redis).await).await.unwrap()
}

#[tokio::test]
async fn a_key_is_kept_a_day_and_known_to_every_instance() {
    let redis = RedisServer::start();
    let mut arrived = Listener::subscribe(&redis, "test:a").await;
    let (one, two) = (Rig::redis(config(&redis)).await, Rig::redis(config(&redis)).await);
    let a = channel("a");
    let first = one.broker.publish_all(&a, &batch(), Some(&key("k"))).await;
    assert_eq!(first, Ok(Published::Now));
    let again = two.broker.publish_all(&a, &batch(), Some(&key("k"))).await;
    assert_eq!(again, Ok(Published::Before));
    assert_eq!(keys(&redis).await, ["test:redcast:published:k"]);
    let mut ttl = redis::cmd("TTL");
    let left: i64 =
        ttl.arg("test:redcast:published:k").query_async(&mut operator(&redis).await).await.unwrap();
    assert!((86_390..=86_400).contains(&left), "{left}");
    one.publish(&a, b"last").await;
    for expected in ["1", "2", "3", "last"] {
        assert_eq!(arrived.payload().await, expected.as_bytes());
    }
}

#[tokio::test]
async fn a_refused_batch_leaves_nothing_behind() {
    let redis = RedisServer::start_with(&USER);
    let url = format!("redis://gateway:secret@127.0.0.1:{}", redis.port());
    let rig = Rig::redis(RedisConfig { url, ..config(&redis) }).await;
    for key in [None, Some(&key("k"))] {
        let error = rig.broker.publish_all(&channel("closed"), &batch(), key).await.unwrap_err();
        let PublishError::Refused(told) = error else { panic!("{error:?}") };
        // The words differ from version to version of Redis.
        assert!(told.contains("channel"), "{told}");
        assert!(keys(&redis).await.is_empty());
    }
    let open = rig.broker.publish_all(&channel("open"), &batch(), Some(&key("k"))).await;
    assert_eq!(open, Ok(Published::Now));
}

#[tokio::test]
async fn a_redis_that_may_not_write_publishes_nothing_and_may_be_asked_again() {
    let redis = RedisServer::start();
    let mut arrived = Listener::subscribe(&redis, "test:a").await;
    let rig = Rig::redis(config(&redis)).await;
    let a = channel("a");
    let mut operator = operator(&redis).await;
    let limit = |memory: &'static str| {
        let mut command = redis::cmd("CONFIG");
        command.arg("SET").arg("maxmemory").arg(memory);
        command
    };
    limit("1").query_async::<()>(&mut operator).await.unwrap();
    let error = rig.broker.publish_all(&a, &batch(), Some(&key("k"))).await.unwrap_err();
    assert!(matches!(&error, PublishError::Unavailable(told) if told.contains("OOM")), "{error:?}");
    limit("0").query_async::<()>(&mut operator).await.unwrap();
    let again = rig.broker.publish_all(&a, &batch(), Some(&key("k"))).await;
    assert_eq!(again, Ok(Published::Now));
    rig.publish(&a, b"last").await;
    for expected in ["1", "2", "3", "last"] {
        assert_eq!(arrived.payload().await, expected.as_bytes());
    }
}

#[tokio::test]
async fn after_a_timeout_the_same_key_is_safe() {
    let redis = RedisServer::start();
    let mut arrived = Listener::subscribe(&redis, "test:a").await;
    let publish_timeout = Duration::from_millis(300);
    let rig = Rig::redis(RedisConfig { publish_timeout, ..config(&redis) }).await;
    let a = channel("a");
    // A connection is there, so that the call is on its way before nobody answers.
    rig.publish(&a, b"first").await;
    redis.freeze();
    let error = rig.broker.publish_all(&a, &batch(), Some(&key("k"))).await.unwrap_err();
    assert!(matches!(&error, PublishError::Unavailable(_)), "{error:?}");
    redis.thaw();
    // Whether that call is carried out now is not known; either way the events come once.
    rig.until_ready(LIMIT).await;
    let mut published = rig.broker.publish_all(&a, &batch(), Some(&key("k"))).await;
    while published.is_err() {
        published = rig.broker.publish_all(&a, &batch(), Some(&key("k"))).await;
    }
    rig.publish(&a, b"last").await;
    for expected in ["first", "1", "2", "3", "last"] {
        assert_eq!(arrived.payload().await, expected.as_bytes());
    }
}
