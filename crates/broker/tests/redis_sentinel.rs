//! Sentinels replace the primary: the broker follows, and tells what it may have missed.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking, its helpers too"
)]

mod support;

use std::time::Duration;

use bytes::Bytes;
use redcast_broker::{PublishError, RedisConfig, Subscribed};
use redcast_e2e::SentinelSet;
use redcast_protocol::{Channel, GapReason};
use support::{LIMIT, Rig, channel, produce, unix_ms, until};
use tokio::time::{Instant, sleep};

fn config(set: &SentinelSet) -> RedisConfig {
    RedisConfig { url: set.url(), prefix: "test:".to_owned(), ..RedisConfig::default() }
}

/// Publishes as a producer does to whoever is the primary, until it is heard; answers when
/// it was not, for the first time.
async fn until_heard(set: &mut SentinelSet, channel: &Channel, text: &[u8]) -> Option<u64> {
    let begun = Instant::now();
    let mut primary = set.connection().await;
    let mut unheard = None;
    while produce(&mut primary, channel, text).await == 0 {
        unheard.get_or_insert_with(unix_ms);
        assert!(begun.elapsed() < LIMIT, "nobody listens to the primary");
        sleep(Duration::from_millis(10)).await;
    }
    unheard
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failover_is_one_gap_that_begins_before_it() {
    let mut set = SentinelSet::start().await;
    let mut rig = Rig::redis(config(&set)).await;
    let channel = channel("a");
    assert_eq!(rig.broker.subscribe(&channel).await, Ok(Subscribed::Live));
    rig.publish(&channel, b"before").await;
    assert_eq!(rig.inbox.event().await.payload, "before");
    for round in 0..2 {
        set.failover().await;
        let unheard = until_heard(&mut set, &channel, b"after").await;
        let gap = rig.inbox.gap().await;
        println!("round {round}: {gap:?}, first unheard: {unheard:?}");
        assert_eq!(gap.reason, GapReason::RedisDisconnected);
        // The old primary answers all the time, so this is not the link's last byte.
        assert!(unheard.is_none_or(|at| gap.from_ms <= at), "{gap:?} begins after {unheard:?}");
        assert!(gap.from_ms <= gap.to_ms);
        assert_eq!(rig.inbox.event().await.payload, "after");
        // Pooled connections have moved, too.
        rig.publish(&channel, b"ours").await;
        assert_eq!(rig.inbox.event().await.payload, "ours");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_primary_is_replaced_and_publishes_never_hang() {
    let mut set = SentinelSet::start().await;
    let mut rig = Rig::redis(config(&set)).await;
    let channel = channel("a");
    assert_eq!(rig.broker.subscribe(&channel).await, Ok(Subscribed::Live));
    let old = set.kill_primary().await;
    let begun = Instant::now();
    let mut published = 0;
    while published < 3 {
        let asked = Instant::now();
        match rig.broker.publish(&channel, Bytes::from_static(b"x")).await {
            Ok(()) => published += 1,
            Err(PublishError::Unavailable(_)) => assert_eq!(published, 0, "it was there already"),
            Err(error) => panic!("{error}"),
        }
        assert!(asked.elapsed() < Duration::from_secs(2), "it took {:?}", asked.elapsed());
        assert!(begun.elapsed() < LIMIT, "nothing can be published");
    }
    set.until_replaced(old).await;
    until(LIMIT, || rig.broker.health().is_ready()).await.expect("it is ready again");
    until_heard(&mut set, &channel, b"after").await;
    let before = rig.inbox.until_event(&channel, b"after").await;
    let gaps =
        before.iter().filter(|news| matches!(news, redcast_broker::Delivery::Gap(_))).count();
    assert_eq!(gaps, 1, "{before:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_old_primary_that_goes_on_alone_is_left() {
    let mut set = SentinelSet::start().await;
    let mut rig = Rig::redis(config(&set)).await;
    let channel = channel("a");
    assert_eq!(rig.broker.subscribe(&channel).await, Ok(Subscribed::Live));
    let (old, new) = set.split_brain().await;
    let mut at_old = set.server_at(old).connection().await;
    let left = Instant::now();
    while produce(&mut at_old, &channel, b"lost").await > 0 {
        assert!(left.elapsed() < LIMIT, "the old primary is not left");
        sleep(Duration::from_millis(20)).await;
    }
    println!("the old primary is left {:?} after its successor was named", left.elapsed());
    until_heard(&mut set, &channel, b"new").await;
    rig.inbox.until_event(&channel, b"new").await;
    rig.publish(&channel, b"ours").await;
    assert_eq!(rig.inbox.event().await.payload, "ours", "it went to {new}, not to {old}");
}
