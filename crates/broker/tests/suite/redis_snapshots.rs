//! Snapshots and shares in Redis: what is no snapshot, what is never read, who may ask,
//! and a Redis that is away or hung.

use std::pin::pin;
use std::time::{Duration, Instant};

use crate::support::{LIMIT, channel, config, first_pong, snapshot_store, unheard_redis};
use redcast_broker::{Broker, RedisConfig, SnapshotError, SnapshotStore, Stored};
use redcast_e2e::RedisServer;
use redis::aio::MultiplexedConnection;
use redis::{FromRedisValue, cmd};

const SHARES: &str = "test:redcast:shares:analytics";

fn text(content: &'static str) -> Stored {
    Stored::Text(content.into())
}

/// Nothing is about being late, unless a test says so.
fn patient(server: &RedisServer) -> RedisConfig {
    RedisConfig { publish_timeout: LIMIT, ..config(server) }
}

/// Carries out a command line of words without blanks.
async fn run<T: FromRedisValue>(connection: &mut MultiplexedConnection, line: &str) -> T {
    let mut words = line.split(' ');
    let mut command = cmd(words.next().unwrap());
    words.for_each(|word| {
        command.arg(word);
    });
    command.query_async(connection).await.unwrap()
}

/// How many bytes Redis has sent to all its clients.
async fn bytes_sent(connection: &mut MultiplexedConnection) -> usize {
    let info: String = run(connection, "INFO stats").await;
    let sent = info.lines().find_map(|line| line.strip_prefix("total_net_output_bytes:"));
    sent.unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_prefix_applies() {
    let server = RedisServer::start();
    let (store, _stop) = snapshot_store(patient(&server));
    let mut producer = server.connection().await;
    run::<()>(&mut producer, "SET stats another's").await;
    assert_eq!(store.read("stats").await, Ok(None));
    run::<()>(&mut producer, "SET test:stats ours").await;
    assert_eq!(store.read("stats").await, Ok(Some(text("ours"))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_of_another_type_is_refused_by_its_name() {
    let server = RedisServer::start();
    let (store, _stop) = snapshot_store(patient(&server));
    let mut producer = server.connection().await;
    for (line, kind) in [
        ("RPUSH test:stats 1", "list"),
        ("SADD test:stats 1", "set"),
        ("ZADD test:stats 1 1", "zset"),
        ("XADD test:stats * a 1", "stream"),
    ] {
        run::<()>(&mut producer, "DEL test:stats").await;
        run::<redis::Value>(&mut producer, line).await;
        let why =
            format!("the key \"test:stats\" holds a {kind}; a snapshot is a string or a hash");
        assert_eq!(store.read("stats").await, Err(SnapshotError::Refused(why)));
    }
    let errors: String = run(&mut producer, "INFO errorstats").await;
    assert!(!errors.contains("errorstat_"), "an operator would look for the cause: {errors}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_too_large_is_measured_and_never_read() {
    const SIZE: usize = 8 << 20;
    let server = RedisServer::start();
    let (store, _stop) = snapshot_store(patient(&server));
    let mut producer = server.connection().await;
    let value = vec![b'x'; SIZE];
    cmd("SET").arg("test:text").arg(&value).query_async::<()>(&mut producer).await.unwrap();
    let hset = cmd("HSET").arg("test:hash").arg("field").arg(&value).to_owned();
    hset.query_async::<()>(&mut producer).await.unwrap();
    let fields: Vec<(String, u8)> = (0..100_000).map(|n| (format!("field:{n}"), 0)).collect();
    cmd("HSET").arg("test:many").arg(fields).query_async::<()>(&mut producer).await.unwrap();

    let before = bytes_sent(&mut producer).await;
    let limit = 1 << 20;
    let too_large = |size| Err(SnapshotError::TooLarge { size, limit });
    assert_eq!(store.read("text").await, too_large(SIZE));
    assert_eq!(store.read("hash").await, too_large(SIZE + "field".len()));
    assert!(matches!(store.read("many").await, Err(SnapshotError::Refused(_))));
    let sent = bytes_sent(&mut producer).await - before;
    // Of a string, as much as is permitted is read before its size is asked for.
    assert!(sent < limit + (64 << 10), "{sent} bytes");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn instances_meet_under_one_key_that_goes_with_them() {
    let server = RedisServer::start();
    let (first, _stop) = snapshot_store(patient(&server));
    let (second, _stop) = snapshot_store(patient(&server));
    let mut operator = server.connection().await;
    assert_eq!(first.share("analytics", "a", 3).await, Ok(3));
    assert_eq!(second.share("analytics", "b", 4).await, Ok(7));
    assert_eq!(run::<Vec<String>>(&mut operator, "KEYS *").await, [SHARES]);
    let left: i64 = run(&mut operator, &format!("PTTL {SHARES}")).await;
    assert!((1..=8_000).contains(&left), "{left} ms");
    // A restart or a failover forgets scripts.
    run::<()>(&mut operator, "SCRIPT FLUSH").await;
    assert_eq!(first.share("analytics", "a", 0).await, Ok(4));
    assert_eq!(second.share("analytics", "b", 0).await, Ok(0));
    assert!(run::<Vec<String>>(&mut operator, "KEYS *").await.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_nobody_can_have_told_is_dropped() {
    let server = RedisServer::start();
    let (store, _stop) = snapshot_store(patient(&server));
    let mut operator = server.connection().await;
    let time: (u64, u64) = run(&mut operator, "TIME").await;
    let an_hour_ahead = (time.0 + 3_600) * 1_000;
    for value in ["", "7", "x y", "-7 9999999999999", &format!("7 {an_hour_ahead}"), "7 1"] {
        let hset = cmd("HSET").arg(SHARES).arg(format!("strange:{value}")).arg(value).to_owned();
        hset.query_async::<()>(&mut operator).await.unwrap();
    }
    assert_eq!(store.share("analytics", "a", 3).await, Ok(3));
    assert_eq!(run::<Vec<String>>(&mut operator, &format!("HKEYS {SHARES}")).await, ["a"]);
}

/// Reads and shares; each must say that Redis is away, within the deadline or soon after.
async fn both_are_unavailable(store: &dyn SnapshotStore) {
    let start = Instant::now();
    let read = store.read("stats").await;
    assert!(matches!(read, Err(SnapshotError::Unavailable(_))), "{read:?}");
    let shared = store.share("analytics", "a", 3).await;
    assert!(matches!(shared, Err(SnapshotError::Unavailable(_))), "{shared:?}");
    // 300 ms each; the rest is the machine's.
    assert!(start.elapsed() < Duration::from_secs(2), "after {:?}", start.elapsed());
}

/// Reads until that is possible again.
async fn is_back(store: &dyn SnapshotStore, expected: Option<Stored>) {
    let start = Instant::now();
    loop {
        match store.read("stats").await {
            Ok(read) => return assert_eq!(read, expected),
            Err(error) => assert!(start.elapsed() < LIMIT, "{error}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_is_away_or_hung_is_told_in_time_and_found_again() {
    let mut server = RedisServer::start();
    let deadline = Duration::from_millis(300);
    let (store, _stop) =
        snapshot_store(RedisConfig { publish_timeout: deadline, ..config(&server) });
    let mut producer = server.connection().await;
    run::<()>(&mut producer, "SET test:stats 1").await;
    is_back(&*store, Some(text("1"))).await;

    server.freeze();
    both_are_unavailable(&*store).await;
    server.thaw();
    is_back(&*store, Some(text("1"))).await;

    server.kill();
    both_are_unavailable(&*store).await;
    server.restart();
    first_pong(&server).await;
    is_back(&*store, None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_primary_that_became_a_replica_is_left_for_whoever_has_its_name_now() {
    let server = RedisServer::start();
    let (store, _stop) = snapshot_store(patient(&server));
    let mut operator = server.connection().await;
    run::<()>(&mut operator, "SET test:stats 1").await;
    assert_eq!(store.share("analytics", "a", 3).await, Ok(3));
    let clients: String = run(&mut operator, "CLIENT LIST").await;
    let of_before: Vec<&str> =
        clients.lines().filter(|client| client.contains(" cmd=evalsha ")).collect();
    let [of_before] = of_before[..] else { panic!("{clients}") };
    let of_before = of_before.split(' ').next().unwrap();
    // No primary is there; that this one is none any more is enough.
    run::<()>(&mut operator, "REPLICAOF 127.0.0.1 1").await;
    let deposed = store.share("analytics", "a", 3).await;
    let Err(SnapshotError::Unavailable(why)) = deposed else { panic!("{deposed:?}") };
    assert!(why.contains("READONLY"), "{why}");
    assert_eq!(store.read("stats").await, Ok(Some(text("1"))));
    let start = Instant::now();
    loop {
        let clients: String = run(&mut operator, "CLIENT LIST").await;
        if !clients.lines().any(|client| client.split(' ').next() == Some(of_before)) {
            break;
        }
        assert!(start.elapsed() < LIMIT, "{of_before} is still used: {clients}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_published_slowly_holds_up_no_snapshot() {
    let server = RedisServer::start();
    let (broker, _stop) = unheard_redis(RedisConfig { pool_size: 1, ..patient(&server) });
    let mut operator = server.connection().await;
    run::<()>(&mut operator, "SET test:stats 1").await;
    // Holds up PUBLISH, and nothing that only reads.
    run::<()>(&mut operator, "CLIENT PAUSE 60000 WRITE").await;
    let events = channel("events");
    let mut publishing = pin!(broker.publish(&events, "1".into()));
    let until_sent = async {
        let start = Instant::now();
        loop {
            let clients: String = run(&mut operator, "CLIENT LIST").await;
            if clients.contains(" cmd=publish ") {
                break;
            }
            assert!(start.elapsed() < LIMIT, "{clients}");
        }
    };
    tokio::select! {
        published = &mut publishing => panic!("{published:?}"),
        () = until_sent => {}
    }
    tokio::select! {
        published = &mut publishing => panic!("before the snapshot: {published:?}"),
        read = broker.read("stats") => assert_eq!(read, Ok(Some(text("1")))),
    }
    run::<()>(&mut operator, "CLIENT UNPAUSE").await;
    assert_eq!(publishing.await, Ok(()));
}

/// The rights that docs/REDIS.md names for snapshots, with our prefix.
fn rights() -> String {
    let page = include_str!("../../../../docs/REDIS.md");
    let lines = page
        .lines()
        .filter(|line| line.starts_with("%R~stats ") || line.starts_with("~redcast:shares:* "));
    let lines: Vec<String> = lines.map(|line| line.replace('~', "~test:")).collect();
    assert_eq!(lines.len(), 2, "{lines:?}");
    lines.join(" ")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_acl_forbids_is_refused_and_what_the_page_recommends_is_enough() {
    let server = RedisServer::start();
    let mut operator = server.connection().await;
    // Those of every gateway, and the page's.
    let user = "ACL SETUSER gateway on >secret resetkeys resetchannels &test:* -@all +publish +subscribe +unsubscribe +ping +unwatch";
    run::<()>(&mut operator, &format!("{user} {}", rights())).await;
    let url = server.url().replace("://", "://gateway:secret@");
    let (store, _stop) = snapshot_store(RedisConfig { url, ..patient(&server) });
    run::<()>(&mut operator, "SET test:stats 1").await;
    assert_eq!(store.read("stats").await, Ok(Some(text("1"))));
    run::<()>(&mut operator, "DEL test:stats").await;
    run::<()>(&mut operator, "HSET test:stats a 1").await;
    assert!(matches!(store.read("stats").await, Ok(Some(Stored::Hash(_)))));
    assert_eq!(store.share("analytics", "a", 3).await, Ok(3));
    assert_eq!(store.share("analytics", "a", 0).await, Ok(0));
    let log: Vec<redis::Value> = run(&mut operator, "ACL LOG").await;
    assert!(log.is_empty(), "{log:?}");

    let forbidden = store.read("secrets").await;
    let Err(SnapshotError::Refused(why)) = forbidden else { panic!("{forbidden:?}") };
    assert!(why.contains("refused the snapshot \"test:secrets\": NOPERM"), "{why}");
    run::<()>(&mut operator, "ACL SETUSER gateway -evalsha").await;
    let forbidden = store.share("analytics", "a", 3).await;
    let Err(SnapshotError::Refused(why)) = forbidden else { panic!("{forbidden:?}") };
    assert!(why.contains("refused to add up the instances' counts: NOPERM"), "{why}");
}
