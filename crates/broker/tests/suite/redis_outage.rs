//! Redis dies, hangs or cuts the line: events come again by themselves, and each
//! channel gets one honest gap, before the first event that follows it.

use std::time::{Duration, Instant};

use crate::support::{
    LIMIT, Rig, channel, channels, config, first_pong, operator, produce, subscribe_all, unix_ms,
    until, until_numsub,
};
use bytes::Bytes;
use redcast_broker::{Delivery, PublishError, RedisConfig, Subscribed};
use redcast_e2e::RedisServer;
use redcast_protocol::{Channel, GapReason};
use tokio::time::sleep;

/// Redis is back when it answers; we must be back this much later.
const BACK_WITHIN: Duration = Duration::from_millis(1_500);
/// An outage must be seen within this time.
const SEEN_WITHIN: Duration = Duration::from_secs(3);

/// Ten live channels that have each delivered one event.
async fn live_rig(server: &RedisServer) -> (Rig, Vec<Channel>) {
    let mut rig = Rig::redis(config(server)).await;
    let channels = channels(10);
    for (channel, answer) in subscribe_all(&rig, &channels).await {
        assert_eq!(answer, Ok(Subscribed::Live), "{channel}");
    }
    for channel in &channels {
        rig.publish(channel, b"before").await;
        assert_eq!(rig.inbox.event().await.payload, "before");
    }
    (rig, channels)
}

/// Publishes after an outage and checks that each channel delivers exactly one gap and
/// then the event. The gap must begin before the first of these moments and end after
/// the second.
async fn one_gap_then_the_event(rig: &mut Rig, channels: &[Channel], outage: (u64, u64)) {
    for channel in channels {
        rig.publish(channel, b"after").await;
    }
    let mut gaps: Vec<Channel> = Vec::new();
    let mut events: Vec<Channel> = Vec::new();
    while events.len() < channels.len() {
        match rig.inbox.next().await {
            Delivery::Gap(gap) => {
                assert_eq!((gap.reason, gap.dropped), (GapReason::RedisDisconnected, None));
                // The beginning is the last proof of life: at most one silent heartbeat
                // before the failure.
                assert!(gap.from_ms <= outage.0, "{gap:?} begins after {outage:?}");
                assert!(gap.from_ms + 1_500 >= outage.0, "{gap:?} begins long before {outage:?}");
                assert!(gap.to_ms >= outage.1, "{gap:?} ends within {outage:?}");
                assert!(!gaps.contains(&gap.channel), "a second gap: {gap:?}");
                gaps.push(gap.channel);
            }
            Delivery::Event(event) => {
                assert_eq!(event.payload, "after");
                assert!(gaps.contains(&event.channel), "no gap before {event:?}");
                events.push(event.channel);
            }
            Delivery::Refused(error) => panic!("{error}"),
            place @ (Delivery::Position(_) | Delivery::Passed { .. }) => panic!("{place:?}"),
        }
    }
    assert_eq!(gaps.len(), channels.len());
}

/// A publish while Redis is away: told so, soon.
async fn publish_is_unavailable(rig: &Rig) {
    let start = Instant::now();
    let error = rig.broker.publish(&channel("a"), Bytes::from_static(b"x")).await;
    assert!(matches!(error, Err(PublishError::Unavailable(_))), "{error:?}");
    assert!(start.elapsed() < Duration::from_secs(1), "after {:?}", start.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_and_back_after_two_seconds() {
    let mut server = RedisServer::start();
    let (mut rig, channels) = live_rig(&server).await;
    server.kill();
    let down_ms = unix_ms();
    rig.until_not_ready(SEEN_WITHIN).await;
    assert_eq!(rig.metric("redcast_redis_up"), 0);
    publish_is_unavailable(&rig).await;
    // The length of the outage is what is tested.
    sleep(Duration::from_secs(2)).await;
    let up_ms = unix_ms();
    server.restart();
    first_pong(&server).await;
    rig.until_ready(BACK_WITHIN).await;
    assert_eq!(rig.metric("redcast_redis_up"), 1);
    assert_eq!(rig.metric("redcast_redis_reconnects_total"), 1);
    one_gap_then_the_event(&mut rig, &channels, (down_ms, up_ms)).await;
    assert_eq!(rig.metric("redcast_gaps_total{reason=\"redis_disconnected\"}"), 10);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hung_for_four_seconds() {
    let server = RedisServer::start();
    let (mut rig, channels) = live_rig(&server).await;
    server.freeze();
    let down_ms = unix_ms();
    rig.until_not_ready(SEEN_WITHIN).await;
    publish_is_unavailable(&rig).await;
    sleep(Duration::from_millis(4_000).saturating_sub(Duration::from_millis(unix_ms() - down_ms)))
        .await;
    assert!(!rig.broker.health().is_ready());
    let up_ms = unix_ms();
    server.thaw();
    first_pong(&server).await;
    rig.until_ready(BACK_WITHIN).await;
    one_gap_then_the_event(&mut rig, &channels, (down_ms, up_ms)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hung_for_less_than_the_limit_costs_nothing() {
    let server = RedisServer::start();
    let (mut rig, channels) = live_rig(&server).await;
    server.freeze();
    sleep(Duration::from_secs(1)).await;
    server.thaw();
    rig.publish(&channels[0], b"after").await;
    assert_eq!(rig.inbox.event().await.payload, "after", "no gap");
    assert_eq!(rig.metric("redcast_redis_reconnects_total"), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_cut_line_is_one_gap() {
    let server = RedisServer::start();
    let (mut rig, channels) = live_rig(&server).await;
    let mut operator = operator(&server).await;
    for round in 1..=3 {
        let before_ms = unix_ms();
        let mut kill = redis::cmd("CLIENT");
        kill.arg("KILL").arg("TYPE").arg("pubsub");
        assert_eq!(kill.query_async::<u64>(&mut operator).await.unwrap(), 1);
        let after_ms = unix_ms();
        let reconnects = || rig.metric("redcast_redis_reconnects_total");
        until(LIMIT, || reconnects() == round).await.expect("a new link");
        rig.until_ready(BACK_WITHIN).await;
        one_gap_then_the_event(&mut rig, &channels, (after_ms, before_ms)).await;
    }
    assert_eq!(rig.metric("redcast_gaps_total{reason=\"redis_disconnected\"}"), 30);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_line_cut_without_a_pause_heals_when_the_cutting_ends() {
    let server = RedisServer::start();
    let (mut rig, channels) = live_rig(&server).await;
    let mut operator = operator(&server).await;
    let down_ms = unix_ms();
    let mut cuts = 0;
    while cuts < 20 {
        let mut kill = redis::cmd("CLIENT");
        kill.arg("KILL").arg("TYPE").arg("pubsub");
        cuts += kill.query_async::<u64>(&mut operator).await.unwrap();
    }
    until_numsub(&mut operator, &channels, 1).await;
    rig.until_ready(BACK_WITHIN).await;
    // How many of the links lived long enough to be an outage of their own is chance;
    // that every channel is told, and delivers again, is not.
    for channel in &channels {
        produce(&mut operator, channel, b"after").await;
        let before = rig.inbox.until_event(channel, b"after").await;
        for delivery in before {
            let Delivery::Gap(gap) = delivery else { panic!("an event out of place") };
            assert!(gap.to_ms >= down_ms);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_of_hundreds_of_attempts_is_still_one_outage() {
    // A minute's outage costs some 270 attempts; here they come faster.
    let server_config = |server: &RedisServer| RedisConfig {
        backoff_first: Duration::from_millis(1),
        backoff_cap: Duration::from_millis(4),
        ..config(server)
    };
    let mut server = RedisServer::start();
    let mut rig = Rig::redis(server_config(&server)).await;
    let channels = channels(3);
    subscribe_all(&rig, &channels).await;
    server.kill();
    let down_ms = unix_ms();
    rig.until_not_ready(SEEN_WITHIN).await;
    sleep(Duration::from_secs(2)).await;
    let up_ms = unix_ms();
    server.restart();
    first_pong(&server).await;
    rig.until_ready(BACK_WITHIN).await;
    one_gap_then_the_event(&mut rig, &channels, (down_ms, up_ms)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wish_made_while_redis_is_away_comes_true_with_a_gap() {
    let mut server = RedisServer::start();
    server.kill();
    let mut rig = Rig::redis_unconnected(config(&server));
    let (early, left) = (channel("early"), channel("left"));
    let asked_ms = unix_ms();
    assert_eq!(rig.broker.subscribe(&early).await, Ok(Subscribed::Pending));
    assert_eq!(rig.broker.subscribe(&left).await, Ok(Subscribed::Pending));
    let answered_ms = unix_ms();
    rig.broker.unsubscribe(&left).await;
    let refused = until(LIMIT, || rig.broker.health().last_error.is_some()).await;
    refused.expect("the refused connection is told");
    let health = rig.broker.health();
    assert!(!health.is_ready() && !health.connected);
    assert_eq!((health.wanted, health.confirmed), (1, 0));
    server.restart();
    first_pong(&server).await;
    rig.until_ready(BACK_WITHIN).await;
    let gap = rig.inbox.gap().await;
    assert_eq!((&gap.channel, gap.reason), (&early, GapReason::RedisDisconnected));
    assert!((asked_ms..=answered_ms).contains(&gap.from_ms), "{gap:?}");
    assert!(gap.to_ms >= gap.from_ms);
    rig.publish(&left, b"nobody").await;
    rig.publish(&early, b"first").await;
    assert_eq!(rig.inbox.event().await.payload, "first");
    assert_eq!(rig.metric("redcast_redis_reconnects_total"), 0, "it is the first link");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscribe_during_a_hang_is_answered_pending() {
    let server = RedisServer::start();
    let (mut rig, _channels) = live_rig(&server).await;
    server.freeze();
    let late = channel("late");
    let start = Instant::now();
    assert_eq!(rig.broker.subscribe(&late).await, Ok(Subscribed::Pending));
    assert!(start.elapsed() < SEEN_WITHIN, "{:?}", start.elapsed());
    server.thaw();
    rig.until_ready(LIMIT).await;
    rig.publish(&late, b"after").await;
    let before = rig.inbox.until_event(&late, b"after").await;
    let gaps = before.iter().filter(|delivery| delivery.channel() == &late).count();
    assert_eq!(gaps, 1, "{before:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_queue_ends_with_the_subscriber() {
    let server = RedisServer::start();
    let (mut rig, _channels) = live_rig(&server).await;
    rig.cancel.cancel();
    rig.tracker.close();
    tokio::time::timeout(LIMIT, rig.tracker.wait()).await.unwrap();
    rig.inbox.end().await;
    assert_eq!(rig.broker.subscribe(&channel("late")).await, Ok(Subscribed::Pending));
    assert!(!rig.broker.health().connected);
    let mut operator = operator(&server).await;
    until_numsub(&mut operator, &channels(10), 0).await;
}
