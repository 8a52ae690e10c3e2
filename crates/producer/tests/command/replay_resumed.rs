//! Whatever ends a run or takes Redis away, no view is missing, and at most the batch in
//! flight comes twice.

use redcast_e2e::{Listener, RedisServer};

use crate::log_file::{Folder, number, total, views};
use crate::producer::{Running, printed, producer, run, signal};

const VIEWS: usize = 60_000;
/// publish.rs: the most views that share a call.
const BATCH: usize = 500;

#[tokio::test]
async fn a_run_that_was_killed_goes_on_and_repeats_at_most_the_batch_in_flight() {
    let redis = RedisServer::start();
    let mut listener = Listener::subscribe(&redis, "analytics").await;
    let folder = Folder::new();
    let (log, state) = (folder.write("log", views(VIEWS, 50)), folder.path("state"));
    let flags = ["replay", &log, "--resume", &state, "--redis-url", &redis.url(), "--speed", "max"];
    let mut seen = vec![0_u8; VIEWS];
    let mut running = Running::start(producer(&flags));
    for _ in 0..5_000 {
        seen[number(&listener.payload().await)] += 1;
    }
    // What was sent by now will be counted, and nobody will hear of it.
    redis.freeze();
    signal(&running.child, "-KILL");
    running.child.wait().await.unwrap();
    redis.thaw();
    let kept: serde_json::Value = serde_json::from_slice(&std::fs::read(&state).unwrap()).unwrap();
    let behind = kept["lines"].as_u64().unwrap() as usize;
    assert!((4_000..VIEWS).contains(&behind), "{behind}");

    let summary = printed(&run(&redis, &flags, b"").await);
    assert!(summary.contains(&format!(", behind the {behind} of before")), "{summary}");
    let published = total(&redis).await;
    assert!((VIEWS..=VIEWS + BATCH).contains(&published), "{published} were published");
    for _ in 5_000..published {
        seen[number(&listener.payload().await)] += 1;
    }
    assert_eq!(seen.iter().position(|times| *times == 0), None);
    assert!(seen[..behind].iter().all(|times| *times == 1), "what was acknowledged came again");
    assert!(seen[(behind + BATCH).min(VIEWS)..].iter().all(|times| *times == 1));
}

#[tokio::test]
async fn a_redis_that_dies_on_the_way_gets_every_view_once() {
    let mut redis = RedisServer::start_with(&["--appendonly", "yes", "--appendfsync", "always"]);
    let mut listener = Listener::subscribe(&redis, "analytics").await;
    let folder = Folder::new();
    let log = folder.write("log", views(VIEWS, 50));
    let flags = ["replay", &log, "--redis-url", &redis.url(), "--speed", "max"];
    let running = Running::start(producer(&flags));
    for _ in 0..3_000 {
        listener.payload().await;
    }
    redis.kill();
    redis.restart();
    let (code, summary) = running.ended().await;
    assert_eq!(code, Some(0), "{summary}");
    assert!(summary.contains(&format!(": {VIEWS} page views in {VIEWS} lines")), "{summary}");
    assert_eq!(total(&redis).await, VIEWS);
}
