//! The contract of stream channels: one suite, run against the memory broker and against a
//! real Redis.

use std::time::Duration;

use crate::support::{LIMIT, Rig, channel, config, until};
use bytes::Bytes;
use redcast_broker::{
    Delivery, Event, HistoryError, MemoryConfig, OnceKey, PublishError, Published, QueueLimits,
    ReadLimit, RedisConfig, Source, Sources, Subscribed,
};
use redcast_e2e::RedisServer;
use redcast_protocol::{Channel, Cursor, Pattern, ResetReason};
use tokio_util::task::TaskTracker;

const ALL: ReadLimit = ReadLimit { events: 1_000, bytes: 8 << 20 };

async fn published(rig: &mut Rig, to: &Channel, payload: &str) -> Cursor {
    rig.broker.publish(to, Bytes::copy_from_slice(payload.as_bytes())).await.unwrap();
    let event = rig.inbox.event().await;
    assert_eq!((&event.channel, event.payload.as_ref()), (to, payload.as_bytes()));
    event.cursor.unwrap()
}

async fn subscribed(rig: &mut Rig, to: &Channel) -> Cursor {
    assert_eq!(rig.broker.subscribe(to).await, Ok(Subscribed::Live));
    let position = rig.inbox.position().await;
    assert_eq!((&position.channel, position.reset), (to, None));
    position.cursor
}

fn payloads(events: &[Event]) -> Vec<&[u8]> {
    events.iter().map(|event| event.payload.as_ref()).collect()
}

async fn a_channel_begins_at_its_end(mut rig: Rig) {
    let a = channel("s:a");
    assert_eq!(rig.broker.source(&a), Source::Stream);
    assert_eq!(subscribed(&mut rig, &a).await, Cursor::BEGINNING);
    let first = published(&mut rig, &a, "1").await;
    assert_eq!(first, Cursor::of(first.millis, first.sequence, b"1"));
    let second = published(&mut rig, &a, "2").await;
    assert!(second.id() > first.id());
    rig.broker.unsubscribe(&a).await;
    rig.publish(&a, b"3").await;
    let place = subscribed(&mut rig, &a).await;
    assert_eq!(place, Cursor::of(place.millis, place.sequence, b"3"));
    published(&mut rig, &a, "4").await;
}

async fn whoever_subscribes_anew_hears_where_it_stands(mut rig: Rig) {
    let a = channel("s:a");
    for round in 0..30 {
        subscribed(&mut rig, &a).await;
        published(&mut rig, &a, &round.to_string()).await;
        rig.broker.unsubscribe(&a).await;
    }
    assert_eq!(rig.broker.health().wanted, 0);
}

async fn events_keep_their_order_and_come_once(mut rig: Rig) {
    const EVENTS: u32 = 2_000;
    let channels: Vec<Channel> = (0..5).map(|n| channel(&format!("s:{n}"))).collect();
    let publishers = TaskTracker::new();
    for channel in &channels {
        subscribed(&mut rig, channel).await;
    }
    for channel in channels.clone() {
        let broker = rig.broker.clone();
        publishers.spawn(async move {
            for number in 0..EVENTS {
                broker.publish(&channel, Bytes::from(number.to_string())).await.unwrap();
            }
        });
    }
    let mut next = vec![(0, Cursor::BEGINNING); channels.len()];
    for _ in 0..EVENTS * 5 {
        let event = rig.inbox.event().await;
        let at = channels.iter().position(|channel| *channel == event.channel).unwrap();
        let (number, before) = next[at];
        let cursor = event.cursor.unwrap();
        assert_eq!(event.payload, number.to_string());
        assert!(cursor.id() > before.id());
        next[at] = (number + 1, cursor);
    }
}

async fn history_is_read_after_a_cursor(mut rig: Rig) {
    let a = channel("s:a");
    let broker = rig.broker.clone();
    let beginning = broker.events_after(&a, Cursor::BEGINNING, ALL).await.unwrap();
    assert!(beginning.events.is_empty() && beginning.is_last);
    subscribed(&mut rig, &a).await;
    let mut cursors = Vec::new();
    for number in 0..10 {
        cursors.push(published(&mut rig, &a, &number.to_string()).await);
    }
    let page = broker.events_after(&a, cursors[6], ALL).await.unwrap();
    assert_eq!(payloads(&page.events), [b"7", b"8", b"9"]);
    assert_eq!(page.events[2].cursor, Some(cursors[9]));
    assert_eq!((page.cursor, page.is_last), (cursors[9], true));
    let page = broker.events_after(&a, cursors[9], ALL).await.unwrap();
    assert!(page.events.is_empty() && page.is_last && page.cursor == cursors[9]);
    let page = broker.events_after(&a, Cursor::BEGINNING, ALL).await.unwrap();
    assert_eq!(page.events.len(), 10);

    let mut since = cursors[1];
    let mut read = Vec::new();
    loop {
        let limit = ReadLimit { events: 3, bytes: 1_000 };
        let page = broker.events_after(&a, since, limit).await.unwrap();
        assert!(page.events.len() <= 3);
        read.extend(page.events);
        since = page.cursor;
        if page.is_last {
            break;
        }
    }
    assert_eq!(payloads(&read), [b"2", b"3", b"4", b"5", b"6", b"7", b"8", b"9"]);
    let page = broker.events_after(&a, cursors[1], ReadLimit { events: 9, bytes: 0 }).await;
    assert_eq!(payloads(&page.unwrap().events), [b"2"], "the first in any case");
}

async fn the_last_events_are_read(mut rig: Rig) {
    let a = channel("s:a");
    assert!(rig.broker.last_events(&a, 5).await.unwrap().is_empty());
    subscribed(&mut rig, &a).await;
    let mut last = Cursor::BEGINNING;
    for number in 0..10 {
        last = published(&mut rig, &a, &number.to_string()).await;
    }
    let events = rig.broker.last_events(&a, 3).await.unwrap();
    assert_eq!(payloads(&events), [b"7", b"8", b"9"]);
    assert_eq!(events[2].cursor, Some(last));
    assert_eq!(rig.broker.last_events(&a, 1_000).await.unwrap().len(), 10);
}

async fn a_place_that_is_lost_is_told(mut rig: Rig) {
    let a = channel("s:a");
    subscribed(&mut rig, &a).await;
    let first = published(&mut rig, &a, "1").await;
    published(&mut rig, &a, "2").await;
    let after = async |channel: &Channel, since| {
        rig.broker.events_after(channel, since, ALL).await.unwrap_err()
    };
    let lost = HistoryError::Reset;
    let other = Cursor { hash: first.hash ^ 1, ..first };
    assert_eq!(after(&a, other).await, lost(ResetReason::Forked));
    assert_eq!(after(&channel("s:none"), first).await, lost(ResetReason::Unknown));
    assert_eq!(after(&channel("pubsub"), first).await, lost(ResetReason::Unknown));
    let pubsub = rig.broker.last_events(&channel("pubsub"), 1).await.unwrap_err();
    assert_eq!(pubsub, lost(ResetReason::Unknown));
}

async fn any_bytes_come_back(mut rig: Rig) {
    let a = channel("s:a");
    subscribed(&mut rig, &a).await;
    let large = vec![b'x'; 1 << 20];
    for payload in [&b""[..], b"\0", b"\xff\xfe\0\r\n", &large] {
        rig.broker.publish(&a, Bytes::copy_from_slice(payload)).await.unwrap();
        let event = rig.inbox.event().await;
        assert!(event.payload == payload);
        let last = rig.broker.last_events(&a, 1).await.unwrap();
        assert!(last[0].payload == payload && last[0].cursor == event.cursor);
    }
    let too_large = rig.broker.publish(&a, Bytes::from(vec![0; (1 << 20) + 1])).await;
    assert!(matches!(too_large, Err(PublishError::TooLarge { .. })));
}

async fn a_batch_is_published_once_under_its_key(mut rig: Rig) {
    let a = channel("s:a");
    subscribed(&mut rig, &a).await;
    let batch = [Bytes::from("1"), Bytes::from("2")];
    let key = OnceKey::parse("order-7").unwrap();
    let publish = async |payloads: &[Bytes], key| rig.broker.publish_all(&a, payloads, key).await;
    assert_eq!(publish(&batch, Some(&key)).await, Ok(Published::Now));
    assert_eq!(publish(&batch, Some(&key)).await, Ok(Published::Before));
    assert_eq!(publish(&batch[..1], Some(&key)).await, Err(PublishError::KeyTaken));
    assert_eq!(publish(&batch, None).await, Ok(Published::Now));
    for expected in ["1", "2", "1", "2"] {
        assert_eq!(rig.inbox.event().await.payload, expected);
    }
}

async fn nothing_is_lost_while_nobody_reads_the_queue(mut rig: Rig) {
    let a = channel("s:a");
    subscribed(&mut rig, &a).await;
    let broker = rig.broker.clone();
    let publishing = TaskTracker::new();
    let to = a.clone();
    publishing.spawn(async move {
        for number in 0..500_u32 {
            broker.publish(&to, Bytes::from(number.to_string())).await.unwrap();
        }
    });
    // The queue of this rig holds 16, and streams have half of it.
    let received = || rig.metric("redcast_events_received_total");
    assert!(until(LIMIT, || received() >= 8).await.is_some());
    assert_eq!(until(Duration::from_secs(1), || received() > 16).await, None, "it waits");
    for number in 0..500_u32 {
        match rig.inbox.next().await {
            Delivery::Event(event) => assert_eq!(event.payload, number.to_string()),
            other => panic!("instead of event {number}: {other:?}"),
        }
    }
    assert_eq!(rig.metric("redcast_events_dropped_total{reason=\"overflow\"}"), 0);
}

/// So small that streams have to wait for room.
const QUEUE: QueueLimits = QueueLimits { events: 16, bytes: 4 << 20 };

fn sources() -> Sources {
    Sources::new([(Pattern::parse("s:*").unwrap(), Source::Stream)])
}

async fn memory() -> (Rig, ()) {
    let config = MemoryConfig { sources: sources(), queue: QUEUE, ..MemoryConfig::default() };
    (Rig::memory(&config), ())
}

async fn redis_server() -> (Rig, RedisServer) {
    let server = RedisServer::start();
    let config = RedisConfig { sources: sources(), queue: QUEUE, ..config(&server) };
    (Rig::redis(config).await, server)
}

contract! {
    a_channel_begins_at_its_end
    whoever_subscribes_anew_hears_where_it_stands
    events_keep_their_order_and_come_once
    history_is_read_after_a_cursor
    the_last_events_are_read
    a_place_that_is_lost_is_told
    any_bytes_come_back
    a_batch_is_published_once_under_its_key
    nothing_is_lost_while_nobody_reads_the_queue
}
