//! What only the store in Redis has to do: agree with others of its kind, and lose or
//! double nothing when Redis fails.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::support::cut::Cutter;
use crate::support::{
    LIMIT, STATS, at, listen, next_event, redis_config, referred, statistics, view,
};
use redcast_e2e::RedisServer;
use redcast_producer::{Day, RedisStore, RedisStoreConfig, Salt, Store, StoreError};
use redis::AsyncCommands;
use tokio::task::JoinSet;

const NOON: &str = "2025-12-08T12:00:30Z";

fn store(server: &RedisServer) -> RedisStore {
    RedisStore::connect(redis_config(server)).unwrap()
}

async fn command<T: redis::FromRedisValue>(server: &RedisServer, words: &[&str]) -> T {
    let (name, arguments) = words.split_first().unwrap();
    let mut connection = server.connection().await;
    redis::cmd(name).arg(arguments).query_async(&mut connection).await.unwrap()
}

#[tokio::test]
async fn several_collectors_count_together() {
    let server = RedisServer::start();
    let now = at(NOON);
    let mut collectors = JoinSet::new();
    for collector in 0..4 {
        let store = store(&server);
        collectors.spawn(async move {
            for round in 0..60_u64 {
                let visitor = format!("{collector}-{round}");
                let later = now + Duration::from_secs(60 * round);
                store.record_at(&[view(&visitor, "/")], later).await.unwrap();
                store.refresh_at(later).await.unwrap();
            }
        });
    }
    collectors.join_all().await;
    let end = now + Duration::from_secs(60 * 59);
    store(&server).refresh_at(end + Duration::from_secs(1)).await.unwrap();
    let document = statistics(&server).await;
    assert_eq!(document["total_events"], "240");
    // They were not in step; each minute was counted four times and taken out once.
    assert_eq!(document["top_pages"], r#"[{"path":"/","views":120}]"#);
    assert_eq!(document["last_30_minutes"], format!("[{}]", ["4"; 30].join(",")));
}

#[tokio::test]
async fn every_key_but_the_total_ends_by_itself_and_lives_in_one_slot() {
    let server = RedisServer::start();
    let store = store(&server);
    store.record(&[referred("ada", "https://search.example/")]).await.unwrap();
    store.refresh().await.unwrap();
    store.salt(Day::of(SystemTime::now()), None).await.unwrap();
    let keys: Vec<String> = command(&server, &["KEYS", "*"]).await;
    assert!(keys.len() >= 13, "{keys:?}");
    let slot: i64 = redis_slot("analytics");
    for key in keys {
        assert!(key.starts_with("{analytics}:"), "{key}");
        let life: i64 = command(&server, &["TTL", &key]).await;
        let is_total = key == "{analytics}:total";
        let two_days = 48 * 60 * 60;
        assert!(if is_total { life == -1 } else { (1..=two_days).contains(&life) }, "{key} {life}");
        assert!(key != STATS || life <= 60, "a dead producer's figures look new for {life} s");
        assert_eq!(redis_slot(key.split(['{', '}']).nth(1).unwrap()), slot);
    }
}

/// CRC16 of a hash tag, as the Redis Cluster specification has it.
fn redis_slot(tag: &str) -> i64 {
    let mut crc: u16 = 0;
    for byte in tag.bytes() {
        crc ^= u16::from(byte) << 8;
        for _ in 0..8 {
            crc = if crc & 0x8000 == 0 { crc << 1 } else { crc << 1 ^ 0x1021 };
        }
    }
    i64::from(crc % 16_384)
}

#[tokio::test]
async fn a_prefix_and_names_of_ones_own_are_kept_to() {
    let server = RedisServer::start();
    let config = RedisStoreConfig {
        prefix: "live:".to_owned(),
        namespace: "shop".to_owned(),
        channel: "views".to_owned(),
        ..redis_config(&server)
    };
    let mut listener = listen(&server, "live:views").await;
    let store = RedisStore::connect(config).unwrap();
    store.record(&[view("ada", "/shop")]).await.unwrap();
    assert_eq!(next_event(&mut listener).await["data"]["path"], "/shop");
    let mut connection = server.connection().await;
    let total: u64 = connection.hget("live:{shop}:stats", "total_events").await.unwrap();
    assert_eq!(total, 1);
    let keys: Vec<String> = command(&server, &["KEYS", "*"]).await;
    assert!(keys.iter().all(|key| key.starts_with("live:{shop}:")), "{keys:?}");
}

#[tokio::test]
async fn names_that_no_gateway_could_read_are_refused() {
    for (namespace, channel, url) in [
        ("", "analytics", "redis://127.0.0.1"),
        ("a b", "analytics", "redis://127.0.0.1"),
        ("a}", "analytics", "redis://127.0.0.1"),
        ("analytics", "", "redis://127.0.0.1"),
        ("analytics", "analytics", "http://user:hunter2@127.0.0.1"),
    ] {
        let config = RedisStoreConfig {
            namespace: namespace.to_owned(),
            channel: channel.to_owned(),
            url: url.to_owned(),
            ..RedisStoreConfig::default()
        };
        assert!(!format!("{config:?}").contains("hunter2"));
        match RedisStore::connect(config) {
            Err(StoreError::Refused(words)) => assert!(!words.contains("hunter2"), "{words}"),
            Err(other) => panic!("{other:?}"),
            Ok(_) => panic!("{namespace:?} {channel:?} {url:?} was taken"),
        }
    }
}

#[tokio::test]
async fn while_redis_is_away_nothing_counts_and_afterwards_everything_does() {
    let mut server = RedisServer::start();
    let store = store(&server);
    server.kill();
    for _ in 0..3 {
        let error = store.record(&[view("ada", "/")]).await.unwrap_err();
        let StoreError::Unavailable(words) = error else { panic!("{error:?}") };
        assert!(words.contains(&format!("127.0.0.1:{}", server.port())), "{words}");
    }
    assert!(store.salt(Day::of(SystemTime::now()), None).await.is_err());
    assert!(store.refresh().await.is_err());
    server.restart();
    store.record(&[view("ada", "/"), view("bob", "/")]).await.unwrap();
    assert_eq!(statistics(&server).await["total_events"], "2");
    server.kill();
    server.restart();
    // The connection it holds is dead; this must not cost a view.
    store.record(&[view("ada", "/")]).await.unwrap();
    assert_eq!(statistics(&server).await["total_events"], "1");
}

#[tokio::test]
async fn an_answer_that_is_lost_on_the_way_does_not_double_a_view() {
    let server = RedisServer::start();
    let cutter = Cutter::start(server.port()).await;
    let config = RedisStoreConfig { url: cutter.url(), ..redis_config(&server) };
    let store = RedisStore::connect(config).unwrap();
    let mut listener = listen(&server, "analytics").await;
    store.record(&[view("ada", "/before")]).await.unwrap();
    cutter.swallow_next_answer();
    store.record(&[view("ada", "/cut")]).await.unwrap();
    assert!(cutter.has_cut(), "the answer was lost");
    store.record(&[view("ada", "/after")]).await.unwrap();
    assert_eq!(statistics(&server).await["total_events"], "3");
    for path in ["/before", "/cut", "/after"] {
        assert_eq!(next_event(&mut listener).await["data"]["path"], path);
    }
}

#[tokio::test]
async fn after_a_failover_the_new_primary_is_found_under_the_old_name() {
    let (old, new) = (RedisServer::start(), RedisServer::start());
    let cutter = Cutter::start(old.port()).await;
    let config = RedisStoreConfig { url: cutter.url(), ..redis_config(&old) };
    let [recording, salting] =
        [&config, &config].map(|it| RedisStore::connect(it.clone()).unwrap());
    let today = Day::of(SystemTime::now());
    recording.record(&[view("ada", "/")]).await.unwrap();
    salting.salt(today, None).await.unwrap();
    let port = new.port().to_string();
    command::<()>(&old, &["REPLICAOF", "127.0.0.1", &port]).await;
    cutter.lead_to(new.port());
    // The connections are as good as ever, but lead to a replica.
    let words = recording.record(&[view("ada", "/")]).await.unwrap_err();
    assert!(matches!(words, StoreError::Unavailable(_)), "{words:?}");
    assert!(salting.salt(today, None).await.is_err());
    recording.record(&[view("bob", "/"), view("eve", "/")]).await.unwrap();
    assert_eq!(statistics(&new).await["total_events"], "2");
    let salt = salting.salt(today, None).await.unwrap();
    assert_eq!(salt, recording.salt(today, None).await.unwrap());
}

#[tokio::test]
async fn a_call_that_failed_is_not_remembered_as_made() {
    let server = RedisServer::start();
    let rules = ["ACL", "SETUSER", "default", "resetchannels"];
    let cutter = Cutter::start(server.port()).await;
    let config = RedisStoreConfig { url: cutter.url(), ..redis_config(&server) };
    let store = RedisStore::connect(config).unwrap();
    store.refresh().await.unwrap();
    command::<()>(&server, &rules).await;
    // The first answer, a no, is lost, so the same call is made until it gets a yes.
    cutter.swallow_next_answer();
    let permit = async {
        let refused = async || {
            let log: Vec<redis::Value> = command(&server, &["ACL", "LOG"]).await;
            cutter.has_cut() && !log.is_empty()
        };
        redcast_e2e::within(LIMIT, "the first attempt is refused", refused).await;
        command::<()>(&server, &["ACL", "SETUSER", "default", "allchannels"]).await;
    };
    let page = [view("ada", "/")];
    let (recorded, ()) = tokio::join!(store.record(&page), permit);
    recorded.unwrap();
    assert_eq!(statistics(&server).await["total_events"], "1");
}

#[tokio::test]
async fn a_connection_that_falls_silent_is_replaced_within_the_call() {
    let server = RedisServer::start();
    let cutter = Cutter::start(server.port()).await;
    let config = RedisStoreConfig {
        url: cutter.url(),
        timeout: Duration::from_secs(6),
        ..redis_config(&server)
    };
    let store = RedisStore::connect(config).unwrap();
    store.record(&[view("ada", "/")]).await.unwrap();
    cutter.silence();
    store.record(&[view("bob", "/")]).await.unwrap();
    assert_eq!(statistics(&server).await["total_events"], "2");
}

#[tokio::test]
async fn a_redis_that_hangs_is_told_as_unknown_and_used_again_when_it_goes_on() {
    let server = RedisServer::start();
    let config = RedisStoreConfig { timeout: Duration::from_millis(300), ..redis_config(&server) };
    let hasty = RedisStore::connect(config).unwrap();
    hasty.refresh().await.unwrap();
    server.freeze();
    let error = hasty.record(&[view("ada", "/")]).await.unwrap_err();
    assert!(matches!(error, StoreError::Unknown(_)), "{error:?}");
    server.thaw();
    let recorded = async || hasty.record(&[view("bob", "/")]).await.is_ok();
    redcast_e2e::within(LIMIT, "a view is recorded again", recorded).await;
}

#[tokio::test]
async fn a_script_that_redis_has_forgotten_is_told_again() {
    let server = RedisServer::start();
    let store = store(&server);
    store.record(&[view("ada", "/")]).await.unwrap();
    command::<()>(&server, &["SCRIPT", "FLUSH"]).await;
    store.record(&[view("ada", "/")]).await.unwrap();
    assert_eq!(statistics(&server).await["total_events"], "2");
}

#[tokio::test]
async fn a_key_that_somebody_else_uses_is_refused_and_nothing_is_counted() {
    let server = RedisServer::start();
    let store = store(&server);
    for key in ["stats", "state", "views", "visitors", "pages", "referrers"] {
        command::<()>(&server, &["FLUSHALL"]).await;
        let key = format!("{{analytics}}:{key}");
        command::<()>(&server, &["SET", &key, "mine"]).await;
        let error = store.record(&[view("ada", "/")]).await.unwrap_err();
        let StoreError::Refused(words) = &error else { panic!("{error:?}") };
        assert!(words.contains(&key) && words.contains("WRONGTYPE"), "{words}");
        let keys: Vec<String> = command(&server, &["KEYS", "*"]).await;
        assert_eq!(keys, [key]);
    }
}

#[tokio::test]
async fn a_channel_that_redis_does_not_permit_is_refused_and_nothing_is_counted() {
    let server = RedisServer::start();
    command::<()>(
        &server,
        &["ACL", "SETUSER", "collector", "on", ">hunter2", "~*", "+@all", "resetchannels"],
    )
    .await;
    let url = format!("redis://collector:hunter2@127.0.0.1:{}", server.port());
    let store = RedisStore::connect(RedisStoreConfig { url, ..redis_config(&server) }).unwrap();
    let error = store.record(&[view("ada", "/")]).await.unwrap_err();
    let StoreError::Refused(words) = &error else { panic!("{error:?}") };
    assert!(words.contains("channel") && !words.contains("hunter2"), "{words}");
    let total: Option<u64> = command(&server, &["GET", "{analytics}:total"]).await;
    assert_eq!(total, None);
    command::<()>(&server, &["ACL", "SETUSER", "collector", "&analytics"]).await;
    store.record(&[view("ada", "/")]).await.unwrap();
    assert_eq!(statistics(&server).await["total_events"], "1");
}

#[tokio::test]
async fn a_wrong_password_is_told_as_such() {
    let server = RedisServer::start_with(&["--requirepass", "hunter2"]);
    for (user, words) in [("", "NOAUTH"), (":hunter1@", "authentication failed")] {
        let url = format!("redis://{user}127.0.0.1:{}", server.port());
        let store = RedisStore::connect(RedisStoreConfig { url, ..redis_config(&server) }).unwrap();
        let error = store.record(&[view("ada", "/")]).await.unwrap_err();
        assert!(error.to_string().contains(words), "{error:?}");
    }
}

#[tokio::test]
async fn collectors_share_the_salt_of_a_day_and_it_ends_with_it() {
    let server = RedisServer::start();
    let (one, other) = (store(&server), store(&server));
    let today = Day::of(SystemTime::now());
    let tomorrow = Day::of(today.end());
    let (a, b) = tokio::join!(one.salt(today, None), other.salt(today, None));
    let salt = a.unwrap();
    assert_eq!(salt, b.unwrap());
    assert_eq!(salt, one.salt(today, None).await.unwrap());
    assert_ne!(salt, one.salt(tomorrow, None).await.unwrap());
    // A Redis that lost it gets it back from whoever still knows it.
    command::<()>(&server, &["FLUSHALL"]).await;
    assert_eq!(salt, one.salt(today, Some(&salt)).await.unwrap());
    assert_eq!(salt, other.salt(today, None).await.unwrap());
    assert_eq!(salt, one.salt(today, Some(&Salt::random().unwrap())).await.unwrap());
    let left = today.end().duration_since(SystemTime::now()).unwrap().as_secs() as i64;
    let life: i64 = command(&server, &["TTL", &format!("{{analytics}}:salt:{today}")]).await;
    assert!((left..=left + 3_600).contains(&life), "{life} s, and {left} s of the day are left");
}

#[tokio::test]
async fn a_crowd_is_estimated_and_takes_no_more_memory() {
    const CROWD: usize = 120_000;
    let server = RedisServer::start();
    let store = store(&server);
    let now = at(NOON);
    let views: Vec<_> = (0..CROWD).map(|n| view(&format!("visitor-{n}"), "/")).collect();
    store.record_at(&views, now).await.unwrap();
    store.refresh_at(now + Duration::from_secs(1)).await.unwrap();
    let kept: usize = command(&server, &["ZCARD", "{analytics}:visitors"]).await;
    assert!((100_000..101_000).contains(&kept), "{kept} visitors are kept one by one");
    let figure = async |name: &str| -> usize { statistics(&server).await[name].parse().unwrap() };
    let near = (CROWD as f64 * 0.97) as usize..=(CROWD as f64 * 1.03) as usize;
    let (current, unique) = (figure("current_visitors").await, figure("unique_today").await);
    assert!(near.contains(&current) && near.contains(&unique), "{current} {unique}");
    // Once the crowd has left, few are counted one by one again.
    let later = now + Duration::from_secs(301);
    store.record_at(&[view("ada", "/"), view("bob", "/")], later).await.unwrap();
    store.refresh_at(later + Duration::from_secs(1)).await.unwrap();
    assert_eq!(figure("current_visitors").await, 2);
}

#[tokio::test]
async fn views_from_many_tasks_all_count_once() {
    let server = RedisServer::start();
    let store = Arc::new(store(&server));
    let mut tasks = JoinSet::new();
    for task in 0..50 {
        let store = Arc::clone(&store);
        tasks.spawn(async move {
            for round in 0..20 {
                let page = view(&format!("{task}-{round}"), "/");
                store.record(&[page]).await.unwrap();
            }
        });
    }
    tasks.join_all().await;
    let document: HashMap<String, String> = statistics(&server).await;
    assert_eq!(document["total_events"], "1000");
}
