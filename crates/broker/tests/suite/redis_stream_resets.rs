//! Streams that lose what they had, or hold what nobody meant: what is no longer there is
//! told as a reset, what is no event is passed by.

use std::time::Instant;

use crate::support::streams::*;
use crate::support::{channel, operator};
use bytes::Bytes;
use redcast_broker::Subscribed;
use redcast_e2e::RedisServer;
use redcast_protocol::{Cursor, GapReason, ResetReason};
use redis::aio::MultiplexedConnection;

#[tokio::test]
async fn a_trim_past_the_place_is_told() {
    let server = RedisServer::start();
    let mut operator = operator(&server).await;
    let (mut rig, a, _) = live(&server, "s:a").await;
    published(&mut rig, &a, 0).await;
    let mut burst = redis::pipe();
    burst.atomic();
    for number in 1..=5_u32 {
        let keep = ["MAXLEN", "=", "2", "*", "data"];
        burst.cmd("XADD").arg("test:s:a").arg(&keep).arg(number).ignore();
    }
    let since = Instant::now();
    burst.query_async::<()>(&mut operator).await.unwrap();
    reset(&mut rig, ResetReason::Trimmed, since).await;
    for number in ["4", "5"] {
        assert_eq!(rig.inbox.event().await.payload, number);
    }
    published(&mut rig, &a, 6).await;
}

#[tokio::test]
async fn a_stream_that_is_gone_is_told_and_followed_when_it_comes_again() {
    let server = RedisServer::start();
    let mut operator = operator(&server).await;
    let (mut rig, a, _) = live(&server, "s:a").await;
    for (round, command) in [&["DEL", "test:s:a"][..], &["FLUSHALL"]].into_iter().enumerate() {
        published(&mut rig, &a, 2 * u32::try_from(round).unwrap()).await;
        let since = Instant::now();
        run(&mut operator, command).await;
        assert_eq!(reset(&mut rig, ResetReason::Unknown, since).await, Cursor::BEGINNING);
        published(&mut rig, &a, 2 * u32::try_from(round).unwrap() + 1).await;
    }
    let since = Instant::now();
    run(&mut operator, &["XTRIM", "test:s:a", "MAXLEN", "=", "0"]).await;
    let place = reset(&mut rig, ResetReason::Trimmed, since).await;
    let page = redcast_broker::ReadLimit { events: 10, bytes: 1_000 };
    let page = rig.broker.events_after(&a, place, page).await.unwrap();
    assert!(page.events.is_empty() && page.is_last);
    published(&mut rig, &a, 9).await;
}

#[tokio::test]
async fn other_history_at_the_same_place_is_told() {
    let server = RedisServer::start();
    let mut operator = operator(&server).await;
    let (mut rig, a, _) = live(&server, "s:a").await;
    let rewrite = async |operator: &mut MultiplexedConnection, entries: &[(&str, &str)]| {
        let mut script = redis::pipe();
        script.atomic().cmd("DEL").arg("test:s:a").ignore();
        for (id, payload) in entries {
            script.cmd("XADD").arg("test:s:a").arg(id).arg("data").arg(payload).ignore();
        }
        script.query_async::<()>(operator).await.unwrap();
    };
    add(&mut operator, &a, &[], b"1").await;
    let place = rig.inbox.event().await.cursor.unwrap();
    let id = format!("{}-{}", place.millis, place.sequence);
    // As a failover does that lost the newest entry and got another one in its place.
    rewrite(&mut operator, &[(&id, "other")]).await;
    let since = Instant::now();
    run(&mut operator, &["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]).await;
    let forked = reset(&mut rig, ResetReason::Forked, since).await;
    assert_eq!(forked, Cursor::of(place.millis, place.sequence, b"other"));
    // A lower end: XREAD alone would wait for ever.
    rewrite(&mut operator, &[("1-1", "x"), ("1-2", "y")]).await;
    let lower = reset(&mut rig, ResetReason::Forked, Instant::now()).await;
    assert_eq!(lower, Cursor::of(1, 2, b"y"));
    rewrite(&mut operator, &[("1-1", "x"), ("1-2", "y"), ("1-3", "z")]).await;
    assert_eq!(rig.inbox.event().await.payload, "z");
}

#[tokio::test]
async fn a_stream_of_one_entry_is_never_reset_while_all_is_read() {
    let server = RedisServer::start();
    let mut operator = operator(&server).await;
    let (mut rig, a, _) = live(&server, "s:a").await;
    for number in 0..300_u32 {
        add(&mut operator, &a, &["MAXLEN", "=", "1"], number.to_string().as_bytes()).await;
        assert_eq!(rig.inbox.event().await.payload, number.to_string());
    }
    // Nor by a cut line.
    run(&mut operator, &["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]).await;
    add(&mut operator, &a, &["MAXLEN", "=", "1"], b"last").await;
    assert_eq!(rig.inbox.event().await.payload, "last");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn poison_is_counted_and_passed_by() {
    let server = RedisServer::start();
    let mut operator = operator(&server).await;
    let (mut rig, a, _) = live(&server, "s:a").await;
    let large = vec![b'x'; 20 << 20];
    add(&mut operator, &a, &[], b"before").await;
    run(&mut operator, &["XADD", "test:s:a", "*", "Data", "1", "other", "\0"]).await;
    add(&mut operator, &a, &[], &large).await;
    add(&mut operator, &a, &[], b"\xff\0\xfe").await;
    run(&mut operator, &["XADD", "test:s:a", "*", "data", "first", "data", "second"]).await;
    let before = rig.inbox.event().await;
    assert_eq!(before.payload, "before");
    let passed = rig.inbox.passed().await;
    let gap = rig.inbox.gap().await;
    assert_eq!((gap.reason, gap.dropped), (GapReason::TooLarge, Some(1)));
    assert!(rig.inbox.passed().await.id() > passed.id());
    assert_eq!(rig.inbox.event().await.payload.as_ref(), b"\xff\0\xfe");
    let last = rig.inbox.event().await;
    assert_eq!(last.payload, "first");
    assert_eq!(rig.metric("redcast_events_dropped_total{reason=\"no_data\"}"), 1);
    assert_eq!(rig.metric("redcast_events_dropped_total{reason=\"too_large\"}"), 1);
    let events = rig.broker.last_events(&a, 2).await.unwrap();
    assert_eq!(events.last().unwrap().cursor, last.cursor);

    // Who comes back over it is told the same, and it is no new loss.
    let limit = redcast_broker::ReadLimit { events: 10, bytes: 64 << 20 };
    let page = rig.broker.events_after(&a, before.cursor.unwrap(), limit).await.unwrap();
    let payloads: Vec<_> = page.events.iter().map(|event| event.payload.clone()).collect();
    assert_eq!(payloads, [Bytes::from_static(b"\xff\0\xfe"), Bytes::from("first")]);
    let [(place, gap)] = &page.gaps[..] else { panic!("{:?}", page.gaps) };
    assert_eq!((gap.reason, gap.dropped), (GapReason::TooLarge, Some(1)));
    assert!(place.id() > passed.id() && place.id() < page.events[0].cursor.unwrap().id());
    assert_eq!(rig.metric("redcast_events_dropped_total{reason=\"too_large\"}"), 1);
    assert_eq!(rig.metric("redcast_events_dropped_total{reason=\"no_data\"}"), 1);

    // What is poisoned hides nothing that is behind it.
    add(&mut operator, &a, &[], &large).await;
    assert_eq!(rig.inbox.gap().await.reason, GapReason::TooLarge);
    rig.inbox.passed().await;
    let events = rig.broker.last_events(&a, 1).await.unwrap();
    assert_eq!(events.last().unwrap().cursor, last.cursor);

    // A place may be a poisoned entry, too, for those who follow and those who come back.
    run(&mut operator, &["XADD", "test:s:a", "*", "none", "1"]).await;
    rig.inbox.passed().await;
    let b = channel("s:b");
    run(&mut operator, &["XADD", "test:s:b", "*", "none", "1"]).await;
    assert_eq!(rig.broker.subscribe(&b).await, Ok(Subscribed::Live));
    let place = rig.inbox.position().await.cursor;
    run(&mut operator, &["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]).await;
    published(&mut rig, &b, 1).await;
    let limit = redcast_broker::ReadLimit { events: 10, bytes: 1_000 };
    let page = rig.broker.events_after(&b, place, limit).await.unwrap();
    assert_eq!(page.events.len(), 1);
}
