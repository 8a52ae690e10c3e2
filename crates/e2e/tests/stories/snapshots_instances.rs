//! Several instances over one Redis: each knows how many connections all have, and one
//! that crashed is soon forgotten.

use std::time::Duration;

use redcast_e2e::{Client, Gateway, GatewayOptions, RedisServer, within};
use serde_json::Value;

const CONFIG: &str = "[[endpoints]]\npath = \"/ws\"\nsnapshot = \"s\"\n\
    [[endpoints]]\npath = \"/too\"\nsnapshot = \"s\"\n\
    [[endpoints]]\npath = \"/none\"\n\
    [[snapshots]]\nname = \"s\"\nkey = \"stats\"\nevery = \"100ms\"\n\
    merge = { \"/data/all\" = \"connections\", \"/data/here\" = \"instance_connections\" }\n\
    [shutdown]\naccept_for = \"0s\"\nwindow = \"1s\"\n";

async fn start(redis: &RedisServer) -> Gateway {
    let config = CONFIG.to_owned();
    Gateway::ready(GatewayOptions { redis_url: Some(redis.url()), config, ..Default::default() })
        .await
}

/// Waits until a client is told of so many connections, everywhere and on its instance.
async fn until(client: &mut Client, all: u64, here: u64, limit: Duration) -> Duration {
    within(limit, &format!("{all} connections, {here} of them here"), async || {
        let frame: Value = client.json().await;
        frame["data"]["all"] == all && frame["data"]["here"] == here
    })
    .await
}

#[tokio::test]
async fn connections_of_all_instances_are_summed_and_those_of_a_dead_one_forgotten() {
    let soon = Duration::from_secs(15);
    let redis = RedisServer::start();
    let (first, second, mut third) =
        (start(&redis).await, start(&redis).await, start(&redis).await);
    let mut here = first.connect("/ws").await;
    let mut too = first.connect("/too").await;
    let _no_watcher = first.connect("/none").await;
    until(&mut here, 2, 2, soon).await;
    let mut there = second.connect("/ws").await;
    // The greeting itself knows of the others: of one or of two, as the second has just come.
    let known = there.json().await["data"]["all"].as_u64();
    assert!(known.is_some_and(|known| (2..=3).contains(&known)), "{known:?}");
    let mut elsewhere = Vec::new();
    for _ in 0..4 {
        elsewhere.push(third.connect("/ws").await);
    }
    until(&mut here, 7, 2, soon).await;
    until(&mut there, 7, 1, soon).await;
    until(&mut too, 7, 2, soon).await;
    drop(there);
    until(&mut here, 6, 2, soon).await;
    // One that ends in order takes its count along, before it would be forgotten.
    third.terminate();
    assert_eq!(third.exit().await.code(), Some(0));
    let gone = until(&mut here, 2, 2, Duration::from_secs(5)).await;
    println!("gone {gone:?} after an orderly end");
    let mut crashing = start(&redis).await;
    let _lost = crashing.connect("/ws").await;
    until(&mut here, 3, 2, soon).await;
    crashing.signal(rustix::process::Signal::KILL);
    crashing.exit().await;
    let gone = until(&mut here, 2, 2, soon).await;
    println!("gone {gone:?} after a crash");
}
