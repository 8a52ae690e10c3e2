//! Streams over a real Redis that dies, hangs, cuts the line or loses what it had: what is
//! still there arrives, once and in order, and what is not is told as a reset.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking, its helpers too"
)]

mod support;

use std::time::{Duration, Instant};

use bytes::Bytes;
use redcast_broker::{Delivery, RedisConfig, Source, Sources, Subscribed};
use redcast_e2e::{Fault, FaultProxy, RedisServer, Way};
use redcast_protocol::{Channel, Cursor, GapReason, Pattern, ResetReason};
use redis::aio::MultiplexedConnection;
use support::{LIMIT, Rig, calls, channel, config, operator, subscribe_all, until};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::sleep;

/// A break must be told within this time.
const TOLD_WITHIN: Duration = Duration::from_secs(2);
/// An outage must be seen within this time.
const SEEN_WITHIN: Duration = Duration::from_secs(3);

fn streams(server: &RedisServer) -> RedisConfig {
    let sources = Sources::new([(Pattern::parse("s:*").unwrap(), Source::Stream)]);
    // A page of 20 MB takes its time on a busy machine.
    RedisConfig { sources, publish_timeout: LIMIT, ..config(server) }
}

/// A rig with one live stream channel, and its first place.
async fn live(server: &RedisServer, name: &str) -> (Rig, Channel, Cursor) {
    let mut rig = Rig::redis(streams(server)).await;
    let channel = channel(name);
    assert_eq!(rig.broker.subscribe(&channel).await, Ok(Subscribed::Live));
    let position = rig.inbox.position().await;
    assert_eq!(position.reset, None);
    (rig, channel, position.cursor)
}

/// XADD as a producer does it, with what stands between the key and the ID.
async fn add(
    connection: &mut MultiplexedConnection,
    channel: &Channel,
    options: &[&str],
    payload: &[u8],
) {
    let mut command = redis::cmd("XADD");
    command.arg(format!("test:{channel}")).arg(options).arg("*").arg("data").arg(payload);
    command.query_async::<String>(connection).await.unwrap();
}

async fn run(connection: &mut MultiplexedConnection, command: &[&str]) {
    let mut line = redis::cmd(command[0]);
    line.arg(&command[1..]);
    line.query_async::<redis::Value>(connection).await.unwrap();
}

/// The next delivery has to be a reset, soon after `since`; answers the new place.
async fn reset(rig: &mut Rig, reason: ResetReason, since: Instant) -> Cursor {
    let position = rig.inbox.position().await;
    assert_eq!(position.reset, Some(reason));
    assert!(since.elapsed() < TOLD_WITHIN, "told after {:?}", since.elapsed());
    position.cursor
}

async fn published(rig: &mut Rig, channel: &Channel, number: u32) {
    let payload = Bytes::from(number.to_string());
    rig.broker.publish(channel, payload.clone()).await.unwrap();
    assert_eq!(rig.inbox.event().await.payload, payload);
}

/// Publishes numbers until each of them is acknowledged once more than it has to be.
async fn produce_through(rig: &Rig, channel: &Channel, numbers: std::ops::Range<u32>) {
    for number in numbers {
        let payload = Bytes::from(number.to_string());
        // Whether it arrived is not known after a failure, so it may stand there twice.
        while rig.broker.publish(channel, payload.clone()).await.is_err() {
            sleep(Duration::from_millis(20)).await;
        }
    }
}

/// Reads until `last`; each entry of the stream arrives once, in order, and nothing else.
async fn exactly_what_redis_has(rig: &mut Rig, channel: &Channel, first: Cursor, last: u32) {
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_with_its_log_on_disk_costs_nothing() {
    let options = ["--appendonly", "yes", "--appendfsync", "always"];
    let mut server = RedisServer::start_with(&options);
    let (mut rig, a, first) = live(&server, "s:a").await;
    produce_through(&rig, &a, 0..50).await;
    server.kill();
    let back = async {
        sleep(Duration::from_millis(600)).await;
        server.restart();
    };
    tokio::join!(back, produce_through(&rig, &a, 50..100));
    exactly_what_redis_has(&mut rig, &a, first, 99).await;
    assert_eq!(rig.metric("redcast_stream_resets_total{reason=\"forked\"}"), 0);
    assert!(rig.metric("redcast_stream_verifications_total") > 0);
    rig.until_ready(LIMIT).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_added_while_the_line_was_cut_is_read_after_it() {
    let server = RedisServer::start();
    let mut operator = operator(&server).await;
    let (mut rig, a, first) = live(&server, "s:a").await;
    for round in 0..20 {
        // The operator's own connection is no exception, unless it says so.
        run(&mut operator, &["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]).await;
        add(&mut operator, &a, &[], round.to_string().as_bytes()).await;
        if round % 5 == 0 {
            sleep(Duration::from_millis(50)).await;
        }
    }
    exactly_what_redis_has(&mut rig, &a, first, 19).await;
    assert!(rig.metric("redcast_stream_entries_repaired_total") > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hang_is_seen_and_costs_nothing() {
    let server = RedisServer::start();
    let (mut rig, a, _) = live(&server, "s:a").await;
    rig.publish(&a, b"0").await;
    let first = rig.inbox.event().await.cursor.unwrap();
    let mut producer = TcpStream::connect(("127.0.0.1", server.port())).await.unwrap();
    server.freeze();
    // They wait in the socket, and stand in the stream before anybody can read it again.
    for number in 1..40_u32 {
        let command = format!("XADD test:s:a * data {number}\r\n");
        producer.write_all(command.as_bytes()).await.unwrap();
    }
    let took = rig.until_not_ready(LIMIT).await;
    assert!(took < SEEN_WITHIN, "seen after {took:?}");
    // Not only by the subscriber: what is read after it comes over another connection.
    let seen = || rig.broker.health().last_error.is_some_and(|told| told.contains("in time"));
    assert!(until(LIMIT, seen).await.is_some(), "{:?}", rig.broker.health());
    server.thaw();
    rig.until_ready(LIMIT).await;
    rig.broker.publish(&a, Bytes::from("40")).await.unwrap();
    exactly_what_redis_has(&mut rig, &a, first, 40).await;
}

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

#[tokio::test]
async fn what_redis_refuses_is_refused_for_that_channel_alone() {
    let user = ["--user", "gateway", "on", ">secret", "+@all", "&*", "~test:s:open*"];
    let server = RedisServer::start_with(&user);
    let mut operator = operator(&server).await;
    let url = server.url().replace("redis://", "redis://gateway:secret@");
    let mut rig = Rig::redis(RedisConfig { url, ..streams(&server) }).await;
    run(&mut operator, &["SET", "test:s:open:string", "x"]).await;
    let closed = channel("s:closed");
    for (refused, word) in [(&closed, "NOPERM"), (&channel("s:open:string"), "WRONGTYPE")] {
        let error = rig.broker.subscribe(refused).await.unwrap_err();
        assert!(error.reason.contains(word), "{error}");
    }
    let open = channel("s:open:a");
    assert_eq!(rig.broker.subscribe(&open).await, Ok(Subscribed::Live));
    rig.inbox.position().await;
    published(&mut rig, &open, 1).await;

    // A right that is taken while the channel is followed, and given back.
    run(&mut operator, &["ACL", "SETUSER", "gateway", "~test:s:closed"]).await;
    assert_eq!(rig.broker.subscribe(&closed).await, Ok(Subscribed::Live));
    rig.inbox.position().await;
    run(&mut operator, &["ACL", "SETUSER", "gateway", "resetkeys", "~test:s:open*"]).await;
    assert_eq!(rig.inbox.refusal().await.channel, closed);
    rig.until_not_ready(LIMIT).await;
    add(&mut operator, &closed, &[], b"missed by nobody").await;
    published(&mut rig, &open, 2).await;
    run(&mut operator, &["ACL", "SETUSER", "gateway", "~test:s:closed"]).await;
    assert_eq!(rig.inbox.event().await.payload, "missed by nobody");
    rig.until_ready(LIMIT).await;
    assert_eq!(rig.broker.health().last_error, None, "it was made good");
}

/// How many connections read streams: now and then one of them asks something else.
async fn connections_that_read(operator: &mut MultiplexedConnection) -> usize {
    let mut most = 0;
    let mut rounds = tokio::time::interval(Duration::from_millis(20));
    for _ in 0..100 {
        rounds.tick().await;
        let mut list = redis::cmd("CLIENT");
        let clients: String = list.arg("LIST").query_async(operator).await.unwrap();
        most = most.max(clients.lines().filter(|line| line.contains(" cmd=xread ")).count());
    }
    most
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_history_of_large_entries_is_read_to_its_end() {
    let server = RedisServer::start();
    let mut operator = operator(&server).await;
    let payload = vec![b'x'; 300_000];
    let a = channel("s:a");
    add(&mut operator, &a, &[], b"first").await;
    let rig = Rig::redis(streams(&server)).await;
    let mut place = rig.broker.last_events(&a, 1).await.unwrap()[0].cursor.unwrap();
    drop(rig);
    for _ in 0..500 {
        add(&mut operator, &a, &[], &payload).await;
    }
    // Less than all of it takes on a fast machine, and time enough for a few entries.
    let publish_timeout = Duration::from_millis(150);
    let rig = Rig::redis(RedisConfig { publish_timeout, ..streams(&server) }).await;
    let (mut read, mut late) = (0, 0);
    loop {
        let limit = redcast_broker::ReadLimit { events: 512, bytes: 1 << 20 };
        let Ok(page) = rig.broker.events_after(&a, place, limit).await else {
            late += 1;
            assert!(late < 20, "only {read} entries were read");
            continue;
        };
        late = 0;
        (read, place) = (read + page.events.len(), page.cursor);
        if page.is_last {
            break;
        }
    }
    assert_eq!(read, 500);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_that_are_not_let_in_make_it_unready() {
    let user = ["--user", "gateway", "on", ">secret", "+@all", "&*", "~*"];
    let server = RedisServer::start_with(&user);
    let mut operator = operator(&server).await;
    // Who says who he is has to be answered before he counts as connected.
    let url = server.url().replace("redis://", "redis://gateway:secret@");
    let rig = Rig::redis(RedisConfig { url, ..streams(&server) }).await;
    let clients: String =
        redis::cmd("CLIENT").arg("LIST").query_async(&mut operator).await.unwrap();
    let full = clients.lines().count().to_string();
    // Whoever has a connection keeps it: the subscriber, and what publishes its canaries.
    run(&mut operator, &["CONFIG", "SET", "maxclients", &full]).await;
    assert_eq!(rig.broker.subscribe(&channel("s:a")).await, Ok(Subscribed::Pending));
    rig.until_not_ready(LIMIT).await;
    assert!(rig.broker.health().connected, "the subscriber hears Redis");
    assert!(rig.broker.health().last_error.is_some(), "it says why");
    run(&mut operator, &["CONFIG", "SET", "maxclients", "1000"]).await;
    rig.until_ready(LIMIT).await;
    assert_eq!(rig.broker.health().last_error, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn six_hundred_streams_take_two_connections() {
    let server = RedisServer::start();
    let mut operator = operator(&server).await;
    let mut rig = Rig::redis(streams(&server)).await;
    let channels: Vec<Channel> = (0..600).map(|n| channel(&format!("s:{n}"))).collect();
    for (channel, answer) in subscribe_all(&rig, &channels).await {
        assert_eq!(answer, Ok(Subscribed::Live), "{channel}");
    }
    for _ in &channels {
        rig.inbox.position().await;
    }
    assert_eq!(connections_that_read(&mut operator).await, 2);
    assert_eq!(rig.metric("redcast_stream_channels"), 600);
    for channel in &channels {
        add(&mut operator, channel, &[], channel.as_str().as_bytes()).await;
    }
    let mut heard = std::collections::HashSet::new();
    for _ in &channels {
        let event = rig.inbox.event().await;
        assert_eq!(event.payload, event.channel.as_str());
        heard.insert(event.channel);
    }
    assert_eq!(heard.len(), channels.len());
    for channel in &channels {
        rig.broker.unsubscribe(channel).await;
    }
    assert!(until(LIMIT, || rig.metric("redcast_stream_channels") == 0).await.is_some());
    assert_eq!(rig.broker.health().wanted, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_channel_that_had_to_wait_for_redis_has_a_gap_and_one_that_was_live_has_none() {
    let mut server = RedisServer::start_with(&["--appendonly", "yes"]);
    let (mut rig, a, _) = live(&server, "s:a").await;
    let b = channel("s:b");
    server.kill();
    rig.until_not_ready(LIMIT).await;
    assert_eq!(rig.broker.subscribe(&b).await, Ok(Subscribed::Pending));
    server.restart();
    rig.until_ready(LIMIT).await;
    assert_eq!(rig.inbox.position().await.channel, b);
    let gap = rig.inbox.gap().await;
    assert_eq!((gap.channel, gap.reason), (b.clone(), GapReason::RedisDisconnected));
    for channel in [&a, &b] {
        published(&mut rig, channel, 1).await;
    }
    match rig.broker.subscribe(&a).await {
        Ok(Subscribed::Live) => {}
        other => panic!("{other:?}"),
    }
    rig.publish(&a, b"end").await;
    assert!(matches!(rig.inbox.next().await, Delivery::Event(_)), "no gap of s:a");
}

#[tokio::test]
async fn a_channel_that_is_left_and_wanted_again_while_it_is_taken_over_is_heard() {
    let server = RedisServer::start();
    let proxy = FaultProxy::before(([127, 0, 0, 1], server.port()).into()).await;
    let config = RedisConfig {
        url: proxy.redis_url(),
        subscribe_timeout: Duration::from_millis(100),
        dead_after: LIMIT,
        ..streams(&server)
    };
    let mut rig = Rig::redis(config).await;
    assert_eq!(rig.broker.subscribe(&channel("s:live")).await, Ok(Subscribed::Live));
    rig.inbox.position().await;
    let mut operator = operator(&server).await;
    let asked = calls(&mut operator, "xinfo|stream").await;
    // Between Redis's answer and the reader there is time enough for a change of mind.
    proxy.set(Way::ToClient, Fault::Delay(Duration::from_millis(500)));
    let a = channel("s:a");
    assert_eq!(rig.broker.subscribe(&a).await, Ok(Subscribed::Pending));
    while calls(&mut operator, "xinfo|stream").await == asked {
        sleep(Duration::from_millis(5)).await;
    }
    rig.broker.unsubscribe(&a).await;
    assert_eq!(rig.broker.subscribe(&a).await, Ok(Subscribed::Pending));
    proxy.mend();
    let is_live = until(LIMIT, || rig.broker.is_live(&a)).await;
    assert!(is_live.is_some(), "it is never live");
    // Two rounds of the reader later it has noticed that there is a wish of now.
    let rounds = calls(&mut operator, "xread").await;
    while calls(&mut operator, "xread").await < rounds + 2 {
        sleep(Duration::from_millis(5)).await;
    }
    add(&mut operator, &a, &[], b"heard").await;
    rig.inbox.until_event(&a, b"heard").await;
}
