//! The collector over real sockets and a real Redis.

use std::sync::Arc;
use std::time::Duration;

use crate::support::door::{Door, PAGE, config, reason};
use crate::support::{LIMIT, listen, next_event, redis_config, statistics};
use redcast_e2e::{RedisServer, within};
use redcast_producer::RedisStore;
use redcast_producer::collect::CollectConfig;

#[tokio::test]
async fn with_redis_each_204_is_one_view_counted_and_published_also_over_an_outage() {
    let mut server = RedisServer::start_with(&["--appendonly", "yes", "--appendfsync", "always"]);
    let mut hasty = redis_config(&server);
    hasty.timeout = Duration::from_secs(1);
    let store = Arc::new(RedisStore::connect(hasty).unwrap());
    let door = Door::open(store, CollectConfig { rate: 0, ..config() }).await;
    let mut listener = listen(&server, "analytics").await;
    assert_eq!(door.page(PAGE).await.status, 204);
    let event = next_event(&mut listener).await;
    assert_eq!((&event["type"], &event["data"]["path"]), (&"page_view".into(), &"/pricing".into()));
    server.kill();
    for _ in 0..5 {
        let answer = door.page(PAGE).await;
        // The first may still have been on its way when Redis ended.
        let words = reason(&answer, 503);
        assert!(words.contains("can't be counted") || words.contains("is not known"), "{words}");
        assert_eq!(answer.header("retry-after"), Some("5"));
    }
    server.restart();
    let back = async || door.page(PAGE).await.status == 204;
    within(LIMIT, "views are taken again", back).await;
    let total: u64 = statistics(&server).await["total_events"].parse().unwrap();
    assert_eq!(total, 2, "one before and one after; the refused are not counted");
    assert_eq!(door.outcome("recorded").await, 2.0);
}

#[tokio::test]
async fn figures_go_down_by_themselves_when_nobody_comes() {
    let server = RedisServer::start();
    let store = Arc::new(RedisStore::connect(redis_config(&server)).unwrap());
    let door = Door::open(store, config()).await;
    assert_eq!(door.page(PAGE).await.status, 204);
    let timestamp = async || statistics(&server).await["timestamp"].parse::<u64>().unwrap();
    let first = timestamp().await;
    within(LIMIT, "the figures follow the clock", async || timestamp().await >= first + 2).await;
    let document = statistics(&server).await;
    assert_eq!(document["current_visitors"], "1");
    assert_eq!(document["top_pages"], r#"[{"path":"/pricing","views":1}]"#);
}

#[tokio::test]
async fn two_collectors_know_the_same_visitor() {
    let server = RedisServer::start();
    let mut listener = listen(&server, "analytics").await;
    let mut seen = Vec::new();
    for _ in 0..2 {
        let store = Arc::new(RedisStore::connect(redis_config(&server)).unwrap());
        let door = Door::open(store, config()).await;
        assert_eq!(door.page(PAGE).await.status, 204);
        seen.push(next_event(&mut listener).await["visitor_id"].clone());
    }
    assert_eq!(seen[0], seen[1]);
}
