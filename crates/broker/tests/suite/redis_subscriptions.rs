//! Redis's own count of subscriptions follows what is wanted: one by one, ten thousand
//! at once, and under ACLs that allow only a part.

use std::time::{Duration, Instant};

use crate::support::{
    LIMIT, Rig, calls, channel, channels, config, operator, produce, subscribe_all, until,
    until_numsub,
};
use redcast_broker::{
    BrokerConfigError, BrokerMetrics, Delivery, RedisBroker, RedisConfig, Subscribed,
};
use redcast_e2e::RedisServer;
use redis::aio::MultiplexedConnection;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numsub_follows_subscribe_and_unsubscribe() {
    let server = RedisServer::start();
    let rig = Rig::redis(config(&server)).await;
    let mut operator = operator(&server).await;
    let channels = channels(5);
    for (n, channel) in channels.iter().enumerate() {
        rig.broker.subscribe(channel).await.unwrap();
        // Live means that Redis counts it already.
        assert_eq!(crate::support::numsub(&mut operator, &channels[..=n]).await, vec![1; n + 1]);
    }
    rig.broker.unsubscribe(&channels[2]).await;
    until_numsub(&mut operator, &channels[2..3], 0).await;
    until_numsub(&mut operator, &channels[..2], 1).await;
    rig.broker.subscribe(&channels[2]).await.unwrap();
    until_numsub(&mut operator, &channels, 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_changes_of_mind_end_as_the_last_one_says() {
    let server = RedisServer::start();
    let mut rig = Rig::redis(config(&server)).await;
    let mut operator = operator(&server).await;
    let (kept, left) = (channel("kept"), channel("left"));
    for _ in 0..1_000 {
        assert_eq!(rig.broker.subscribe(&kept).await, Ok(Subscribed::Live));
        assert_eq!(rig.broker.subscribe(&left).await, Ok(Subscribed::Live));
        rig.broker.unsubscribe(&kept).await;
        rig.broker.unsubscribe(&left).await;
    }
    assert_eq!(rig.broker.subscribe(&kept).await, Ok(Subscribed::Live));
    until_numsub(&mut operator, &[left], 0).await;
    assert_eq!(produce(&mut operator, &kept, b"still here").await, 1);
    assert_eq!(rig.inbox.event().await.payload, "still here");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_wishes_are_asked_for_together() {
    let server = RedisServer::start();
    let mut rig = Rig::redis(config(&server)).await;
    let mut operator = operator(&server).await;
    let channels = channels(10_000);
    let start = Instant::now();
    let answers = subscribe_all(&rig, &channels).await;
    assert!(answers.iter().all(|(_, answer)| *answer == Ok(Subscribed::Live)));
    assert!(start.elapsed() < Duration::from_secs(5), "took {:?}", start.elapsed());
    let first_calls = calls(&mut operator, "subscribe").await;
    assert!(first_calls < 1_000, "{first_calls} SUBSCRIBEs");

    let mut kill = redis::cmd("CLIENT");
    kill.arg("KILL").arg("TYPE").arg("pubsub");
    kill.query_async::<u64>(&mut operator).await.unwrap();
    until(LIMIT, || rig.metric("redcast_redis_reconnects_total") == 1).await.unwrap();
    let is_back = || rig.broker.health().confirmed == channels.len();
    until(Duration::from_millis(1_500), is_back).await.expect("all are confirmed again");
    rig.until_ready(LIMIT).await;
    let again = calls(&mut operator, "subscribe").await - first_calls;
    assert!((10..=11).contains(&again), "{again}: 1,000 in each, and the canary");
    let mut told = std::collections::HashSet::new();
    for _ in 0..channels.len() {
        assert!(told.insert(rig.inbox.gap().await.channel), "one gap each");
    }
    for channel in &channels {
        rig.broker.unsubscribe(channel).await;
    }
    until_numsub(&mut operator, &channels[..1_000], 0).await;
    assert_eq!(rig.broker.health().wanted, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn new_channels_do_not_cost_readiness() {
    let server = RedisServer::start();
    let rig = Rig::redis(config(&server)).await;
    let channels = channels(2_000);
    let (mut probes, mut on_the_way) = (0, 0);
    let churn = async {
        for some in channels.chunks(100) {
            for (channel, answer) in subscribe_all(&rig, some).await {
                assert_eq!(answer, Ok(Subscribed::Live), "{channel}");
            }
        }
    };
    let probe = async {
        loop {
            let health = rig.broker.health();
            assert!(health.is_ready(), "after {probes} probes: {health:?}");
            probes += 1;
            on_the_way += usize::from(health.confirmed < health.wanted);
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        () = churn => {}
        () = probe => {}
    }
    assert!(on_the_way > 0, "none of {probes} probes met a subscribe on its way");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_unix_socket_will_do() {
    let server = RedisServer::start_with(&["--unixsocket", "redis.sock"]);
    let url = format!("unix://{}", server.dir().join("redis.sock").display());
    let mut rig = Rig::redis(RedisConfig { url, ..config(&server) }).await;
    let a = channel("a");
    assert_eq!(rig.broker.subscribe(&a).await, Ok(Subscribed::Live));
    rig.publish(&a, b"over a socket").await;
    assert_eq!(rig.inbox.event().await.payload, "over a socket");
}

#[tokio::test]
async fn a_bad_url_is_an_error_at_once() {
    for (url, scheme) in [("http://127.0.0.1", "http"), ("redis+tls://h:1", "redis+tls")] {
        let config = RedisConfig { url: url.to_owned(), ..RedisConfig::default() };
        let metrics = BrokerMetrics::register(&prometheus::Registry::new()).unwrap();
        let error =
            RedisBroker::start(config, metrics, &TaskTracker::new(), CancellationToken::new());
        assert_eq!(error.err(), Some(BrokerConfigError::UnsupportedScheme(scheme.to_owned())));
    }
}

/// Sets what the gateway's user may do: with channels, this pattern alone.
async fn allow(operator: &mut MultiplexedConnection, channels: &str) {
    let mut set = redis::cmd("ACL");
    set.arg("SETUSER").arg("gateway").arg("on").arg(">secret").arg("+@all").arg("resetchannels");
    set.arg(channels).arg("&test:redcast:canary:*");
    set.query_async::<()>(operator).await.unwrap();
}

async fn restricted(server: &RedisServer, channels: &str) -> (Rig, MultiplexedConnection) {
    let mut operator = operator(server).await;
    allow(&mut operator, channels).await;
    let url = format!("redis://gateway:secret@127.0.0.1:{}", server.port());
    (Rig::redis(RedisConfig { url, ..config(server) }).await, operator)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_channel_is_told_and_costs_the_others_nothing() {
    let server = RedisServer::start();
    let (rig, mut operator) = restricted(&server, "&test:channel:*").await;
    let mut wanted = channels(50);
    wanted.insert(25, channel("secret"));
    for (channel, answer) in subscribe_all(&rig, &wanted).await {
        if channel.as_str() == "secret" {
            let error = answer.unwrap_err();
            assert_eq!(error.channel, channel);
            assert!(error.reason.contains("NOPERM"), "{error}");
        } else {
            assert_eq!(answer, Ok(Subscribed::Live), "{channel}");
        }
    }
    assert_eq!(rig.broker.health().wanted, 50, "the refused wish is gone");
    assert!(rig.broker.health().is_ready());
    until_numsub(&mut operator, &channels(50), 1).await;
    assert_eq!(rig.metric("redcast_redis_reconnects_total"), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_publish_is_told() {
    let server = RedisServer::start();
    let (rig, _operator) = restricted(&server, "&test:channel:*").await;
    let error = rig.broker.publish(&channel("secret"), "x".into()).await.unwrap_err();
    assert!(
        matches!(&error, redcast_broker::PublishError::Refused(why) if why.contains("NOPERM")),
        "{error}"
    );
    assert_eq!(rig.broker.publish(&channel("channel:1"), "x".into()).await, Ok(()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_right_that_is_taken_and_given_back_heals_by_itself() {
    let server = RedisServer::start();
    let (mut rig, mut operator) = restricted(&server, "&test:*").await;
    let (kept, revoked) = (channel("kept"), channel("revoked"));
    subscribe_all(&rig, &[kept.clone(), revoked.clone()]).await;

    // Redis cuts the line of a client whose subscriptions it no longer allows.
    allow(&mut operator, "&test:kept").await;
    let health = || rig.broker.health();
    let seen =
        until(LIMIT, || health().connected && (health().wanted, health().confirmed) == (2, 1));
    seen.await.expect("one of two is confirmed on the new link");
    rig.until_not_ready(LIMIT).await;
    assert!(health().last_error.is_some_and(|error| error.contains("NOPERM")));
    assert_eq!(rig.inbox.gap().await.channel, kept);
    let refusal = rig.inbox.refusal().await;
    assert_eq!(refusal.channel, revoked);
    assert!(refusal.reason.contains("NOPERM"), "{refusal}");
    produce(&mut operator, &kept, b"kept").await;
    assert_eq!(rig.inbox.event().await.payload, "kept", "the other channel goes on");

    allow(&mut operator, "&test:*").await;
    rig.until_ready(Duration::from_secs(2)).await;
    produce(&mut operator, &revoked, b"given back").await;
    let before = rig.inbox.until_event(&revoked, b"given back").await;
    // Asked for again each second and refused each time, it was told of once.
    assert!(
        matches!(&before[..], [Delivery::Gap(gap)] if gap.channel == revoked),
        "one gap alone: {before:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wish_that_was_never_live_and_is_refused_does_not_cost_readiness() {
    let mut server = RedisServer::start_with(&[
        "--user",
        "gateway",
        "on",
        ">secret",
        "+@all",
        "&test:channel:*",
        "&test:redcast:canary:*",
    ]);
    server.kill();
    let url = format!("redis://gateway:secret@127.0.0.1:{}", server.port());
    let mut rig = Rig::redis_unconnected(RedisConfig { url, ..config(&server) });
    let (allowed, secret) = (channel("channel:1"), channel("secret"));
    for channel in [&allowed, &secret] {
        assert_eq!(rig.broker.subscribe(channel).await, Ok(Subscribed::Pending));
    }
    server.restart();
    rig.until_ready(LIMIT).await;
    assert_eq!(rig.inbox.gap().await.channel, allowed);
    assert_eq!(rig.inbox.refusal().await.channel, secret);
    let health = rig.broker.health();
    assert_eq!((health.wanted, health.confirmed, health.overdue), (2, 1, 0));

    // Whoever asks now gets Redis's answer of now, sooner than the next round.
    let start = Instant::now();
    for _ in 0..3 {
        assert_eq!(rig.broker.subscribe(&secret).await.unwrap_err().channel, secret);
    }
    assert!(start.elapsed() < Duration::from_millis(900), "took {:?}", start.elapsed());
    // Until the retries of three seconds are through, not one probe may fail.
    let lost = until(Duration::from_secs(3), || !rig.broker.health().is_ready()).await;
    assert_eq!(lost, None);

    allow(&mut operator(&server).await, "&test:*").await;
    assert_eq!(rig.inbox.gap().await.channel, secret, "and no second refusal before it");
    assert_eq!(rig.broker.subscribe(&secret).await, Ok(Subscribed::Live));
}
