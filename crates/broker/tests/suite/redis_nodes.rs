//! Channels and snapshots over several nodes: each is where a producer finds it, and a
//! node that is away takes nothing but its own with it.

use std::time::Duration;

use crate::support::{LIMIT, Rig, channel, channels, operator, produce, subscribe_all, until};
use bytes::Bytes;
use redcast_broker::{
    Delivery, OnceKey, PublishError, Published, RedisConfig, RedisPublisher, Stored, Subscribed,
};
use redcast_e2e::RedisServer;
use redcast_protocol::Channel;

fn config(nodes: &[RedisServer]) -> RedisConfig {
    let nodes = nodes.iter().map(RedisServer::url).collect();
    RedisConfig { nodes, prefix: "test:".to_owned(), ..RedisConfig::default() }
}

/// The node that has the channel, by the answer that an operator gets.
fn node_of<'a>(nodes: &'a [RedisServer], channel: &Channel) -> &'a RedisServer {
    let place = config(nodes).place_of(channel);
    nodes.iter().find(|node| node.url() == place).expect("it is one of them")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_is_heard_where_its_channel_is_and_nowhere_else() {
    let nodes = [RedisServer::start(), RedisServer::start(), RedisServer::start()];
    let mut rig = Rig::redis(config(&nodes)).await;
    assert_eq!(rig.metric("redcast_redis_up"), 1);
    let channels = channels(30);
    for (channel, answer) in subscribe_all(&rig, &channels).await {
        assert_eq!(answer, Ok(Subscribed::Live), "{channel}");
    }
    assert_eq!(rig.metric("redcast_redis_channels"), 30);
    let publisher = RedisPublisher::new(&config(&nodes)).unwrap();
    let mut used = 0;
    for node in &nodes {
        let mut producer = operator(node).await;
        let mut here = false;
        for channel in &channels {
            let is_here = node_of(&nodes, channel).port() == node.port();
            here |= is_here;
            assert_eq!(produce(&mut producer, channel, b"plain").await, u64::from(is_here));
            if is_here {
                assert_eq!(rig.inbox.event().await.channel, *channel);
                rig.publish(channel, b"by the broker").await;
                assert_eq!(rig.inbox.event().await.payload, "by the broker");
                publisher.publish_all(channel, &[Bytes::from_static(b"x")]).await.unwrap();
                assert_eq!(rig.inbox.event().await.payload, "x");
            }
        }
        used += usize::from(here);
    }
    assert_eq!(used, 3, "thirty channels are on all nodes");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_away_takes_its_own_channels_with_it_and_no_others() {
    let mut nodes = [RedisServer::start(), RedisServer::start()];
    let mut rig = Rig::redis(config(&nodes)).await;
    let channels = channels(20);
    subscribe_all(&rig, &channels).await;
    let port = nodes[1].port();
    let (lost, kept): (Vec<_>, Vec<_>) =
        channels.iter().partition(|channel| node_of(&nodes, channel).port() == port);
    assert!(!lost.is_empty() && !kept.is_empty());

    nodes[1].kill();
    rig.until_not_ready(Duration::from_secs(5)).await;
    let health = rig.broker.health();
    assert!(health.last_error.unwrap().contains(&port.to_string()), "it says which");
    assert_eq!(rig.metric("redcast_redis_up"), 0);
    for channel in &kept {
        assert!(rig.broker.is_live(channel));
        rig.publish(channel, b"kept").await;
        let event = rig.inbox.event().await;
        assert_eq!((&event.channel, &event.payload[..]), (*channel, &b"kept"[..]));
    }
    for channel in &lost {
        assert!(!rig.broker.is_live(channel));
        let error = rig.broker.publish(channel, Bytes::from_static(b"lost")).await;
        assert!(matches!(error, Err(PublishError::Unavailable(_))), "{error:?}");
    }

    nodes[1].restart();
    rig.until_ready(LIMIT).await;
    assert_eq!(rig.metric("redcast_redis_up"), 1);
    let mut gaps = Vec::new();
    for _ in &lost {
        gaps.push(rig.inbox.gap().await.channel);
    }
    gaps.sort();
    let mut expected: Vec<Channel> = lost.into_iter().cloned().collect();
    expected.sort();
    assert_eq!(gaps, expected, "one gap for each of its channels, none for others");
    for channel in &channels {
        rig.publish(channel, b"all").await;
        assert!(matches!(rig.inbox.next().await, Delivery::Event(_)));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_with_a_tag_is_with_its_channel() {
    let nodes = [RedisServer::start(), RedisServer::start(), RedisServer::start()];
    let (store, _stop) = crate::support::snapshot_store(config(&nodes));
    for number in 0..6 {
        let channel = channel(&format!("site:{number}"));
        let key = format!("{{{channel}}}:stats");
        let mut producer = operator(node_of(&nodes, &channel)).await;
        redis::cmd("SET")
            .arg(format!("test:{key}"))
            .arg("{}")
            .query_async::<()>(&mut producer)
            .await
            .unwrap();
        let read = store.read(&key).await.unwrap();
        assert_eq!(read, Some(Stored::Text(Bytes::from_static(b"{}"))), "{key}");
    }
    // Two instances that know the same nodes meet at the same one.
    let (other, _stop) = crate::support::snapshot_store(config(&nodes));
    for name in ["a", "b", "c", "d"] {
        store.share(name, "one", 2).await.unwrap();
        assert_eq!(other.share(name, "two", 3).await.unwrap(), 5, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_is_remembered_where_its_channel_is() {
    let nodes = [RedisServer::start(), RedisServer::start(), RedisServer::start()];
    let rig = Rig::redis(config(&nodes)).await;
    let events = [Bytes::from_static(b"1"), Bytes::from_static(b"2")];
    for channel in channels(6) {
        let key = OnceKey::parse(&format!("key-of-{channel}")).unwrap();
        for published in [Published::Now, Published::Before] {
            let answer = rig.broker.publish_all(&channel, &events, Some(&key)).await;
            assert_eq!(answer, Ok(published), "{channel}");
        }
        let other = rig.broker.publish_all(&channel, &events[..1], Some(&key)).await;
        assert_eq!(other, Err(PublishError::KeyTaken));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_queue_ends_when_all_lanes_are_told_to() {
    let nodes = [RedisServer::start(), RedisServer::start()];
    let mut rig = Rig::redis(config(&nodes)).await;
    rig.cancel.cancel();
    rig.inbox.end().await;
    until(LIMIT, || rig.metric("redcast_redis_up") == 0).await.unwrap();
}
