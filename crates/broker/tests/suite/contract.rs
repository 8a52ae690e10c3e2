//! The contract of `Broker`: one suite, run against the memory broker and against a
//! real Redis.

use std::collections::HashMap;

use crate::support::{Rig, channel, channels, config};
use bytes::Bytes;
use redcast_broker::{
    MemoryConfig, OnceKey, PublishError, Published, QueueLimits, RedisConfig, Subscribed,
};
use redcast_e2e::RedisServer;
use tokio_util::task::TaskTracker;

const MAX_EVENT_SIZE: usize = 1 << 20;

async fn payloads_arrive_byte_for_byte(mut rig: Rig) {
    let a = channel("a");
    assert_eq!(rig.broker.subscribe(&a).await, Ok(Subscribed::Live));
    let large: Vec<u8> = (0..MAX_EVENT_SIZE).map(|n| (n % 251) as u8).collect();
    let payloads: [&[u8]; 7] = [
        b"",
        b"{\"type\":\"page_view\",\"path\":\"/a b\"}",
        b"line\r\nbreak\0and \"quotes\" \\",
        "\u{1f30d} \u{10348} \u{e9}".as_bytes(),
        &[0xff, 0xfe, 0x00, 0x80],
        b"$3\r\nfoo\r\n+OK\r\n",
        &large,
    ];
    for payload in payloads {
        rig.broker.publish(&a, Bytes::copy_from_slice(payload)).await.unwrap();
        let event = rig.inbox.event().await;
        assert_eq!(event.channel, a);
        assert!(
            event.payload == payload,
            "{} bytes came for {}",
            event.payload.len(),
            payload.len()
        );
    }
}

async fn an_unsubscribed_channel_is_silent(mut rig: Rig) {
    let (wanted, other) = (channel("a"), channel("a:b"));
    rig.broker.subscribe(&wanted).await.unwrap();
    rig.publish(&other, b"not for us").await;
    rig.publish(&wanted, b"for us").await;
    assert_eq!(rig.inbox.event().await.payload, "for us");
    rig.broker.unsubscribe(&wanted).await;
    rig.broker.subscribe(&other).await.unwrap();
    rig.publish(&wanted, b"not for us any more").await;
    rig.publish(&other, b"for us now").await;
    assert_eq!(rig.inbox.event().await.payload, "for us now");
}

async fn a_channel_keeps_its_order(mut rig: Rig) {
    const CHANNELS: usize = 50;
    const EVENTS: u32 = 20_000 / CHANNELS as u32;
    let channels = channels(CHANNELS);
    let publishers = TaskTracker::new();
    for channel in &channels {
        rig.broker.subscribe(channel).await.unwrap();
    }
    for channel in channels.clone() {
        let broker = rig.broker.clone();
        publishers.spawn(async move {
            for number in 0..EVENTS {
                let payload = Bytes::copy_from_slice(&number.to_be_bytes());
                broker.publish(&channel, payload).await.unwrap();
            }
        });
    }
    let mut next: HashMap<String, u32> = HashMap::new();
    for _ in 0..CHANNELS as u32 * EVENTS {
        let event = rig.inbox.event().await;
        let expected = next.entry(event.channel.to_string()).or_default();
        assert_eq!(event.payload.as_ref(), expected.to_be_bytes(), "{}", event.channel);
        *expected += 1;
    }
    assert!(next.len() == CHANNELS && next.values().all(|&count| count == EVENTS));
}

async fn subscribing_twice_is_once(mut rig: Rig) {
    let a = channel("a");
    let (first, second) = tokio::join!(rig.broker.subscribe(&a), rig.broker.subscribe(&a));
    assert_eq!((first, second), (Ok(Subscribed::Live), Ok(Subscribed::Live)));
    assert_eq!(rig.broker.subscribe(&a).await, Ok(Subscribed::Live));
    assert_eq!(rig.broker.health().wanted, 1);
    rig.publish(&a, b"1").await;
    rig.publish(&a, b"2").await;
    assert_eq!(rig.inbox.event().await.payload, "1");
    assert_eq!(rig.inbox.event().await.payload, "2");
    rig.broker.unsubscribe(&a).await;
    assert_eq!(rig.broker.health().wanted, 0, "one unsubscribe ends it");
}

async fn a_channel_can_be_left_and_joined_again(mut rig: Rig) {
    let a = channel("a");
    for round in 0..100_u8 {
        assert_eq!(rig.broker.subscribe(&a).await, Ok(Subscribed::Live));
        rig.broker.publish(&a, Bytes::copy_from_slice(&[round])).await.unwrap();
        assert_eq!(rig.inbox.event().await.payload.as_ref(), [round]);
        rig.broker.unsubscribe(&a).await;
    }
    assert_eq!(rig.broker.health().wanted, 0);
}

async fn too_large_a_payload_is_refused(mut rig: Rig) {
    let a = channel("a");
    rig.broker.subscribe(&a).await.unwrap();
    let size = MAX_EVENT_SIZE + 1;
    let error = rig.broker.publish(&a, Bytes::from(vec![b'x'; size])).await;
    assert_eq!(error, Err(PublishError::TooLarge { size, limit: MAX_EVENT_SIZE }));
    // The publisher knows; for the subscribers nothing ever happened.
    rig.publish(&a, b"next").await;
    assert_eq!(rig.inbox.event().await.payload, "next");
}

async fn health_counts_the_channels(rig: Rig) {
    for channel in &channels(10) {
        rig.broker.subscribe(channel).await.unwrap();
    }
    let health = rig.broker.health();
    assert_eq!((health.wanted, health.confirmed), (10, 10));
    assert!(health.connected && health.is_ready());
    assert_eq!(rig.metric("redcast_redis_up"), 1);
    assert_eq!(rig.metric("redcast_redis_channels"), 10);
    rig.broker.unsubscribe(&channel("channel:3")).await;
    assert_eq!(rig.broker.health().wanted, 9);
    assert_eq!(rig.metric("redcast_redis_channels"), 9);
}

async fn what_arrives_is_counted(mut rig: Rig) {
    let a = channel("a");
    rig.broker.subscribe(&a).await.unwrap();
    rig.publish(&a, b"12345").await;
    rig.publish(&a, b"678").await;
    rig.inbox.event().await;
    rig.inbox.event().await;
    assert_eq!(rig.metric("redcast_events_received_total"), 2);
    assert_eq!(rig.metric("redcast_event_bytes_received_total"), 8);
}

fn key(text: &str) -> OnceKey {
    OnceKey::parse(text).unwrap()
}

async fn a_batch_arrives_whole_and_in_order(mut rig: Rig) {
    let a = channel("a");
    rig.broker.subscribe(&a).await.unwrap();
    let mut batch: Vec<Bytes> = (0..1_000).map(|n: u32| Bytes::from(n.to_string())).collect();
    batch.extend([Bytes::new(), Bytes::from_static(b"\xff\0\r\n")]);
    let others = TaskTracker::new();
    let (broker, other) = (rig.broker.clone(), a.clone());
    others.spawn(async move {
        for _ in 0..100 {
            broker.publish(&other, Bytes::from_static(b"between")).await.unwrap();
        }
    });
    assert_eq!(rig.broker.publish_all(&a, &batch, None).await, Ok(Published::Now));
    while rig.inbox.event().await.payload != "0" {}
    for expected in &batch[1..] {
        assert_eq!(rig.inbox.event().await.payload, expected);
    }
    others.close();
    others.wait().await;
}

async fn a_batch_with_an_event_that_is_too_large_is_not_published(mut rig: Rig) {
    let a = channel("a");
    rig.broker.subscribe(&a).await.unwrap();
    let size = MAX_EVENT_SIZE + 1;
    let batch = [Bytes::from_static(b"1"), Bytes::from(vec![b'x'; size])];
    let error = rig.broker.publish_all(&a, &batch, Some(&key("k"))).await;
    assert_eq!(error, Err(PublishError::TooLarge { size, limit: MAX_EVENT_SIZE }));
    // Nor was the key used up.
    let batch = [Bytes::from_static(b"2")];
    assert_eq!(rig.broker.publish_all(&a, &batch, Some(&key("k"))).await, Ok(Published::Now));
    assert_eq!(rig.inbox.event().await.payload, "2");
}

async fn one_key_publishes_once(mut rig: Rig) {
    let (a, b) = (channel("a"), channel("b"));
    rig.broker.subscribe(&a).await.unwrap();
    rig.broker.subscribe(&b).await.unwrap();
    let batch = [Bytes::from_static(b"1"), Bytes::from_static(b"2")];
    let (broker, once) = (&rig.broker, key("order-7"));
    // At the same moment, as a producer that is too impatient does it.
    let (x, y) = tokio::join!(
        broker.publish_all(&a, &batch, Some(&once)),
        broker.publish_all(&a, &batch, Some(&once)),
    );
    let mut outcomes = [x.unwrap(), y.unwrap()];
    outcomes.sort_by_key(|published| *published == Published::Before);
    assert_eq!(outcomes, [Published::Now, Published::Before]);
    for _ in 0..3 {
        assert_eq!(broker.publish_all(&a, &batch, Some(&once)).await, Ok(Published::Before));
    }
    for (channel, other) in [(&a, &batch[..1]), (&b, &batch[..])] {
        let taken = broker.publish_all(channel, other, Some(&once)).await;
        assert_eq!(taken, Err(PublishError::KeyTaken));
    }
    assert_eq!(
        broker.publish_all(&a, &batch[..1], Some(&key("order-8"))).await,
        Ok(Published::Now)
    );
    assert_eq!(broker.publish_all(&b, &batch[..1], None).await, Ok(Published::Now));
    for expected in [("a", "1"), ("a", "2"), ("a", "1"), ("b", "1")] {
        let event = rig.inbox.event().await;
        assert_eq!(
            (event.channel.as_str(), event.payload.as_ref()),
            (expected.0, expected.1.as_bytes())
        );
    }
}

async fn a_channel_is_live_while_it_is_subscribed(rig: Rig) {
    let a = channel("a");
    assert!(!rig.broker.is_live(&a));
    rig.broker.subscribe(&a).await.unwrap();
    assert!(rig.broker.is_live(&a) && !rig.broker.is_live(&channel("b")));
    rig.broker.unsubscribe(&a).await;
    assert!(!rig.broker.is_live(&a));
}

/// Room for every event of a test: these tests are not about overflow.
const QUEUE: QueueLimits = QueueLimits { events: 32_768, bytes: 64 << 20 };

async fn memory() -> (Rig, ()) {
    let config =
        MemoryConfig { max_event_size: MAX_EVENT_SIZE, queue: QUEUE, ..MemoryConfig::default() };
    (Rig::memory(&config), ())
}

async fn redis_server() -> (Rig, RedisServer) {
    let server = RedisServer::start();
    let config = RedisConfig { max_event_size: MAX_EVENT_SIZE, queue: QUEUE, ..config(&server) };
    (Rig::redis(config).await, server)
}

contract! {
    payloads_arrive_byte_for_byte
    an_unsubscribed_channel_is_silent
    a_channel_keeps_its_order
    subscribing_twice_is_once
    a_channel_can_be_left_and_joined_again
    too_large_a_payload_is_refused
    health_counts_the_channels
    what_arrives_is_counted
    a_batch_arrives_whole_and_in_order
    a_batch_with_an_event_that_is_too_large_is_not_published
    one_key_publishes_once
    a_channel_is_live_while_it_is_subscribed
}
