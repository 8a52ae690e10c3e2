//! A shard without which nothing is delivered: if it panics the process ends, and if
//! it hangs the health check says so. A gateway that looks alive and delivers nothing
//! would be worse than none.

use std::time::Duration;

use redcast_e2e::{Gateway, GatewayOptions, Incoming, RedisServer};
use redis::AsyncCommands;
use tokio::time::timeout;

/// A gateway in which the next event for its client does what `fault` says, in the
/// task of the client's shard.
async fn struck_by(fault: &str) -> (RedisServer, Gateway) {
    let redis = RedisServer::start();
    let gateway = Gateway::ready(GatewayOptions {
        redis_url: Some(redis.url()),
        faults: true,
        ..Default::default()
    })
    .await;
    let mut client = gateway.connect("/ws/analytics").await;
    client.settled().await;
    client.send(&format!(r#"{{"type":"fault","kind":"{fault}"}}"#)).await;
    // No answer tells that it is armed, so events come until one strikes.
    let mut producer = redis.connection().await;
    loop {
        let () = producer.publish("analytics", "1").await.unwrap();
        match client.next_within(Duration::from_millis(200)).await {
            Some(Incoming::Text(_)) => {}
            _ => return (redis, gateway),
        }
    }
}

#[tokio::test]
async fn a_shard_that_panics_ends_the_process_with_1() {
    let (_redis, mut gateway) = struck_by("panic_on_write").await;
    assert_eq!(gateway.exit().await.code(), Some(1));
    let told = gateway.log().iter().any(|line| line.contains("a vital task panicked"));
    assert!(told, "{:?}", gateway.log());
}

#[tokio::test]
async fn a_shard_that_hangs_fails_the_health_check_until_it_goes_on() {
    let (_redis, gateway) = struck_by("hang_on_write").await;
    // A hanging task holds a thread, and may hold the one that would answer: no answer
    // in time fails a probe as 503 does.
    let probe = async || {
        let answer = timeout(Duration::from_secs(2), gateway.ask("/livez")).await;
        answer.is_ok_and(|answer| answer.status == 200)
    };
    gateway.until("/livez fails", async || !probe().await).await;
    gateway.until("/livez heals", probe).await;
}
