//! Readiness is proven by a canary through the real subscription: what Redis refuses or
//! does not deliver shows, each with a sentence, and heals by itself.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use crate::support::{LIMIT, Rig, calls, channel, config, operator, subscribe_all, until};
use redcast_broker::{Health, MemoryConfig, RedisConfig, Subscribed};
use redcast_e2e::RedisServer;
use redis::aio::MultiplexedConnection;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

const CANARY: &str = "test:redcast:canary:me";
/// A proof lives for three seconds; a busy machine may look late.
const SEEN_WITHIN: Duration = Duration::from_secs(5);
const HEALS_WITHIN: Duration = Duration::from_secs(2);

fn named(server: &RedisServer) -> RedisConfig {
    RedisConfig { instance: "me".to_owned(), ..config(server) }
}

async fn acl(operator: &mut MultiplexedConnection, rules: &str) {
    let mut set = redis::cmd("ACL");
    set.arg("SETUSER").arg("gateway").arg(rules.split(' ').collect::<Vec<_>>());
    set.query_async::<()>(operator).await.unwrap();
}

/// A broker as a user with all rights, and how to take some from it.
async fn as_user(server: &RedisServer) -> (Rig, MultiplexedConnection) {
    let mut operator = operator(server).await;
    acl(&mut operator, "on >secret +@all &test:*").await;
    let url = format!("redis://gateway:secret@127.0.0.1:{}", server.port());
    (Rig::redis(RedisConfig { url, ..named(server) }).await, operator)
}

async fn until_complaint(rig: &Rig, words: &[&str]) -> Health {
    let complains = || {
        let complaint = rig.broker.health().complaint().unwrap_or_default();
        words.iter().all(|word| complaint.contains(word))
    };
    let seen = until(SEEN_WITHIN, complains).await;
    seen.unwrap_or_else(|| panic!("not {words:?}: {:?}", rig.broker.health()));
    rig.broker.health()
}

/// Waits until Redis, which answers, has left this instance without a proof for too long.
async fn until_unready(rig: &Rig) {
    let is_unready = || {
        let health = rig.broker.health();
        !health.is_ready() && !health.is_outage()
    };
    until(LIMIT, is_unready).await.expect("Redis answers, and says no");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_canary_proves_delivery_and_is_no_event() {
    let server = RedisServer::start();
    let mut rig = Rig::redis(named(&server)).await;
    let a = channel("a");
    assert_eq!(rig.broker.subscribe(&a).await, Ok(Subscribed::Live));
    let mut operator = operator(&server).await;
    let listeners: (String, u64) =
        redis::cmd("PUBSUB").arg("NUMSUB").arg(CANARY).query_async(&mut operator).await.unwrap();
    assert_eq!(listeners.1, 1);
    let before = calls(&mut operator, "publish").await;
    // More than one canary later it is as ready, and none of them was an event.
    let mut published = before;
    while published < before + 3 {
        published = calls(&mut operator, "publish").await;
        assert!(rig.broker.health().is_ready());
    }
    assert!(rig.broker.health().last_proof.unwrap() < Duration::from_secs(3));
    assert_eq!(rig.metric("redcast_redis_delivery_ok"), 1);
    assert_eq!(rig.metric("redcast_events_received_total"), 0);
    assert_eq!(rig.metric("redcast_redis_channels"), 1);
    rig.publish(&a, b"first").await;
    assert_eq!(rig.inbox.event().await.payload, "first");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_canary_that_redis_refuses_is_told_and_heals() {
    let server = RedisServer::start();
    let (rig, mut operator) = as_user(&server).await;
    let a = channel("a");
    subscribe_all(&rig, std::slice::from_ref(&a)).await;

    acl(&mut operator, "resetchannels &test:a").await;
    let health = until_complaint(&rig, &["canary", CANARY, "NOPERM"]).await;
    assert!(health.connected);
    assert_eq!(health.overdue, 0, "the channel itself is live");
    until_unready(&rig).await;
    assert_eq!(rig.metric("redcast_redis_delivery_ok"), 0);

    acl(&mut operator, "&test:*").await;
    rig.until_ready(HEALS_WITHIN).await;
    assert_eq!(rig.broker.health().complaint(), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_publish_that_redis_refuses_is_told_and_heals() {
    let server = RedisServer::start();
    let (rig, mut operator) = as_user(&server).await;

    acl(&mut operator, "-publish").await;
    until_complaint(&rig, &["refused a PUBLISH", CANARY, "NOPERM"]).await;
    until_unready(&rig).await;
    assert_eq!(rig.metric("redcast_redis_reconnects_total"), 0);

    acl(&mut operator, "+publish").await;
    rig.until_ready(HEALS_WITHIN).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_may_not_hear_the_canary_never_becomes_ready() {
    let server = RedisServer::start();
    let mut operator = operator(&server).await;
    acl(&mut operator, "on >secret +@all resetchannels &test:a").await;
    let url = format!("redis://gateway:secret@127.0.0.1:{}", server.port());
    let rig = Rig::redis_unconnected(RedisConfig { url, ..named(&server) });
    until_complaint(&rig, &[CANARY, "NOPERM"]).await;
    let health = rig.broker.health();
    assert!(!health.is_ready() && !health.is_outage() && health.last_proof.is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_login_that_is_no_longer_good_is_no_outage() {
    let server = RedisServer::start();
    let (rig, mut operator) = as_user(&server).await;
    acl(&mut operator, "resetpass >other").await;
    let mut kill = redis::cmd("CLIENT");
    kill.arg("KILL").arg("USER").arg("gateway");
    kill.query_async::<u64>(&mut operator).await.unwrap();
    until_complaint(&rig, &["does not let us in"]).await;
    until_unready(&rig).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_hangs_or_dies_is_an_outage_for_who_was_ready() {
    let mut server = RedisServer::start();
    let rig = Rig::redis(named(&server)).await;
    server.freeze();
    rig.until_not_ready(SEEN_WITHIN).await;
    assert!(rig.broker.health().is_outage(), "{:?}", rig.broker.health());
    server.thaw();
    // Never anything else on the way back, or a fail-static instance would flap.
    let back = until(LIMIT, || {
        let health = rig.broker.health();
        assert!(health.is_ready() || health.is_outage(), "{health:?}");
        health.is_ready()
    });
    back.await.expect("it is back");
    server.kill();
    rig.until_not_ready(SEEN_WITHIN).await;
    assert!(rig.broker.health().is_outage());

    // Another that starts meanwhile has never been ready.
    let late = Rig::redis_unconnected(named(&server));
    until_complaint(&late, &["not available"]).await;
    assert!(!late.broker.health().is_outage());
}

/// Leads connections that carry subscriptions, which speak RESP3, to one Redis and all
/// others to another, as a network does of which one part has missed a failover.
struct SplitBrain {
    address: SocketAddr,
    hears: Arc<AtomicU16>,
    _running: JoinSet<()>,
}

impl SplitBrain {
    async fn between(hears: &RedisServer, publishes: &RedisServer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (hears, publishes) = (Arc::new(AtomicU16::new(hears.port())), publishes.port());
        let subscriptions = Arc::clone(&hears);
        let mut running = JoinSet::new();
        running.spawn(async move {
            let mut carried = JoinSet::new();
            while let Ok((mut client, _)) = listener.accept().await {
                let subscriptions = Arc::clone(&subscriptions);
                carried.spawn(async move {
                    let mut first = [0; 512];
                    let read = client.read(&mut first).await.unwrap_or(0);
                    let is_resp3 = first[..read].windows(5).any(|word| word == b"HELLO");
                    let port =
                        if is_resp3 { subscriptions.load(Ordering::SeqCst) } else { publishes };
                    let Ok(mut redis) = TcpStream::connect(("127.0.0.1", port)).await else {
                        return;
                    };
                    if redis.write_all(&first[..read]).await.is_ok() {
                        let _ = copy_bidirectional(&mut client, &mut redis).await;
                    }
                });
            }
        });
        Self { address, hears, _running: running }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscription_that_brings_nothing_is_seen_and_built_anew() {
    let (old, new) = (RedisServer::start(), RedisServer::start());
    let network = SplitBrain::between(&old, &new).await;
    let url = format!("redis://{}", network.address);
    let rig = Rig::redis_unconnected(RedisConfig { url, ..named(&old) });
    let health = until_complaint(&rig, &["has not come back"]).await;
    assert!(health.connected && !health.is_ready(), "{health:?}");
    // Whoever asks again is led to the Redis that the others publish to.
    network.hears.store(new.port(), Ordering::SeqCst);
    rig.until_ready(LIMIT).await;
    assert!(rig.metric("redcast_redis_reconnects_total") >= 1, "by a link of its own making");
    assert!(rig.broker.health().last_error.unwrap().contains("does not arrive"));
}

#[tokio::test]
async fn a_link_that_is_cut_for_a_moment_costs_no_readiness() {
    let server = RedisServer::start();
    let rig = Rig::redis(named(&server)).await;
    let mut operator = operator(&server).await;
    for round in 1..=3 {
        let mut kill = redis::cmd("CLIENT");
        kill.arg("KILL").arg("TYPE").arg("pubsub");
        // A link that has not subscribed yet is none of this type.
        while kill.query_async::<u64>(&mut operator).await.unwrap() == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let is_back = until(LIMIT, || {
            assert!(rig.broker.health().is_ready(), "{:?}", rig.broker.health());
            rig.metric("redcast_redis_reconnects_total") == round
        });
        is_back.await.expect("a new link");
        let proven = until(LIMIT, || {
            rig.broker.health().last_proof.is_some_and(|age| age < Duration::from_millis(200))
        });
        proven.await.expect("a new proof");
    }
}

#[tokio::test]
async fn the_memory_broker_is_always_proven() {
    let rig = Rig::memory(&MemoryConfig::default());
    assert!(rig.broker.health().is_ready());
    assert_eq!(rig.broker.health().last_proof, Some(Duration::ZERO));
    assert_eq!(rig.metric("redcast_redis_delivery_ok"), 1);
}
