//! Streams over a real Redis that dies, hangs or cuts the line, and readers that are many,
//! late or not let in: what is still there arrives, once and in order.

use std::time::Duration;

use crate::support::streams::*;
use crate::support::{LIMIT, Rig, calls, channel, operator, subscribe_all, until};
use bytes::Bytes;
use redcast_broker::{Delivery, RedisConfig, Subscribed};
use redcast_e2e::{Fault, FaultProxy, RedisServer, Way};
use redcast_protocol::{Channel, GapReason};
use redis::aio::MultiplexedConnection;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::sleep;

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
