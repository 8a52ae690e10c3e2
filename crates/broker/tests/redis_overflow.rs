//! A fan-out that does not read, and events that are too large. Alone in its process,
//! because it measures its memory.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking, its helpers too"
)]

mod support;

use std::collections::HashMap;

use redcast_broker::{Delivery, QueueLimits, RedisConfig};
use redcast_e2e::RedisServer;
use redcast_protocol::GapReason;
use support::{LIMIT, Rig, channel, channels, config, operator, produce, until};

const MIB: usize = 1 << 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_reads_and_the_link_stays_up() {
    const EVENTS: u64 = 2_000;
    let server = RedisServer::start();
    let queue = QueueLimits { events: 8192, bytes: MIB };
    let mut rig = Rig::redis(RedisConfig { queue, ..config(&server) }).await;
    let channels = channels(4);
    support::subscribe_all(&rig, &channels).await;
    let mut producer = operator(&server).await;
    let before = resident();
    let payload = vec![b'x'; 100_000];
    for number in 0..EVENTS {
        assert_eq!(produce(&mut producer, &channels[number as usize % 4], &payload).await, 1);
    }
    // 200 MB went by; 1 MiB of it may be here.
    let received = || rig.metric("redcast_events_received_total");
    until(LIMIT, || received() == EVENTS).await.expect("everything was read from Redis");
    let grown = resident().saturating_sub(before);
    assert!(grown < 32 * MIB, "the process grew by {} MiB", grown / MIB);
    assert!(rig.broker.health().is_ready());
    assert_eq!(rig.metric("redcast_redis_reconnects_total"), 0);

    let dropped = rig.metric("redcast_events_dropped_total{reason=\"overflow\"}");
    let last = channel("channel:0");
    let mut events = 0;
    let mut told: HashMap<_, u64> = HashMap::new();
    while events < EVENTS - dropped || told.len() < 4 {
        match rig.inbox.next().await {
            Delivery::Event(event) => {
                assert!(!told.contains_key(&event.channel), "an event after its gap");
                events += 1;
            }
            Delivery::Gap(gap) => {
                assert_eq!(gap.reason, GapReason::Overflow);
                assert!(gap.from_ms <= gap.to_ms);
                assert_eq!(told.insert(gap.channel, gap.dropped.unwrap()), None, "one gap each");
            }
            Delivery::Refused(error) => panic!("{error}"),
            place @ (Delivery::Position(_) | Delivery::Passed { .. }) => panic!("{place:?}"),
        }
    }
    assert!(events >= 10, "{events} events were kept");
    assert_eq!(told.values().sum::<u64>(), dropped);
    assert_eq!(rig.metric("redcast_gaps_total{reason=\"overflow\"}"), 4);

    produce(&mut producer, &last, b"after").await;
    assert_eq!(rig.inbox.event().await.payload, "after");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn too_large_an_event_is_dropped_and_told() {
    let server = RedisServer::start();
    let mut rig = Rig::redis(RedisConfig { max_event_size: 1_000, ..config(&server) }).await;
    let a = channel("a");
    rig.broker.subscribe(&a).await.unwrap();
    let mut producer = operator(&server).await;
    produce(&mut producer, &a, &[b'x'; 1_000]).await;
    produce(&mut producer, &a, &[b'x'; 1_001]).await;
    produce(&mut producer, &a, b"next").await;
    assert_eq!(rig.inbox.event().await.payload.len(), 1_000);
    let gap = rig.inbox.gap().await;
    assert_eq!((gap.channel, gap.reason, gap.dropped), (a, GapReason::TooLarge, Some(1)));
    assert_eq!(rig.inbox.event().await.payload, "next");
    assert_eq!(rig.metric("redcast_events_dropped_total{reason=\"too_large\"}"), 1);
    assert_eq!(rig.metric("redcast_gaps_total{reason=\"too_large\"}"), 1);
}

/// What this process holds in memory, bytes.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: usize = statm.split(' ').nth(1).unwrap().parse().unwrap();
    pages * 4096
}
