//! Synthetic traffic reaches Redis until it is told to stop.

use redcast_e2e::{Listener, RedisServer};
use serde_json::Value;

use crate::log_file::{statistics, total};
use crate::producer::{Running, producer, terminate};

#[tokio::test]
async fn demo_traffic_is_published_and_counted_and_the_same_for_the_same_seed() {
    let mut runs = Vec::new();
    for _ in 0..2 {
        let redis = RedisServer::start();
        let mut listener = Listener::subscribe(&redis, "analytics").await;
        let url = redis.url();
        let flags = ["demo", "--redis-url", &url, "--rate", "500", "--seed", "7"];
        let running = Running::start(producer(&flags));
        let mut paths = Vec::new();
        for _ in 0..200 {
            let event: Value = serde_json::from_slice(&listener.payload().await).unwrap();
            assert_eq!(event["type"], "page_view");
            paths.push(event["data"]["path"].as_str().unwrap().to_owned());
        }
        assert!(total(&redis).await >= 200);
        let statistics = statistics(&redis, "{analytics}:stats").await;
        // The demo's own site refers nobody, though its pages link to each other.
        assert!(!statistics["top_referrers"].contains("acme.example"), "{statistics:?}");
        terminate(&running.child);
        assert_eq!(running.ended().await.0, Some(0));
        runs.push(paths);
    }
    assert_eq!(runs[0], runs[1]);
}
