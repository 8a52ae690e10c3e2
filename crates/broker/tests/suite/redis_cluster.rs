//! A cluster: plain and shard channels over all its nodes, slots that move and primaries
//! that die under load, and commands that follow them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::support::load::{Heard, Load};
use crate::support::{LIMIT, Rig, channel, unheard_redis, until};
use bytes::Bytes;
use redcast_broker::{
    Broker, OnceKey, PublishError, Published, ReadLimit, RedisConfig, SnapshotStore, Source,
    Sources, Stored, Subscribed,
};
use redcast_e2e::ClusterSet;
use redcast_protocol::{Channel, Cursor, Pattern};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

/// Three times what a gap over a slot's move may take, on a machine that has other work.
const SHORT_GAP: Duration = Duration::from_secs(3);

fn config(set: &ClusterSet, sharded: bool) -> RedisConfig {
    RedisConfig {
        url: set.url(),
        sharded,
        prefix: "test:".to_owned(),
        publish_timeout: Duration::from_secs(3),
        sources: Sources::new([(Pattern::parse("stream*").unwrap(), Source::Stream)]),
        ..RedisConfig::default()
    }
}

/// Channels of the `n`th primary, each in a slot of its own.
async fn channels_at(set: &ClusterSet, n: usize, count: usize) -> Vec<Channel> {
    named_at(set, n, "test:c", count).await
}

/// The same, and streams.
async fn streams_at(set: &ClusterSet, n: usize, count: usize) -> Vec<Channel> {
    named_at(set, n, "test:stream", count).await
}

async fn named_at(set: &ClusterSet, n: usize, stem: &str, count: usize) -> Vec<Channel> {
    let names = set.names_at(n, stem, count).await;
    names.iter().map(|name| channel(name.strip_prefix("test:").unwrap())).collect()
}

async fn subscribe(rig: &Rig, channels: &[Channel]) {
    for channel in channels {
        assert_eq!(rig.broker.subscribe(channel).await, Ok(Subscribed::Live), "{channel}");
    }
}

/// How many clients one server counts for a shard channel.
async fn shard_count(set: &ClusterSet, n: usize, channel: &Channel) -> u64 {
    let mut count = redis::cmd("PUBSUB");
    count.arg("SHARDNUMSUB").arg(format!("test:{channel}"));
    let reply: (String, u64) = set.ask(n, &count).await;
    reply.1
}

async fn until_shard_count(set: &ClusterSet, n: usize, channel: &Channel, count: u64) -> Duration {
    let start = Instant::now();
    while shard_count(set, n, channel).await != count {
        assert!(start.elapsed() < LIMIT, "server {n} does not count {count} for {channel}");
        sleep(Duration::from_millis(10)).await;
    }
    start.elapsed()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_arrive_from_every_node_in_both_ways_of_publishing() {
    let set = ClusterSet::start().await;
    for sharded in [false, true] {
        let mut rig = Rig::redis(config(&set, sharded)).await;
        for n in 0..3 {
            let channels = channels_at(&set, n, 2).await;
            subscribe(&rig, &channels).await;
            for channel in &channels {
                rig.publish(channel, b"hello").await;
                let event = rig.inbox.event().await;
                assert_eq!((&event.channel, &event.payload[..]), (channel, &b"hello"[..]));
                assert_eq!(shard_count(&set, n, channel).await, u64::from(sharded));
                assert!(rig.broker.is_live(channel));
            }
            rig.broker.unsubscribe(&channels[0]).await;
            until_shard_count(&set, n, &channels[0], 0).await;
            rig.publish(&channels[0], b"to nobody").await;
            rig.publish(&channels[1], b"to us").await;
            assert_eq!(rig.inbox.event().await.payload, "to us");
        }
        assert_eq!(rig.metric("redcast_redis_up"), 1);
        assert_eq!(rig.broker.health().wanted, 3);
        rig.cancel.cancel();
        rig.inbox.end().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plain_channel_goes_on_when_the_node_that_is_listened_to_dies() {
    let mut set = ClusterSet::start().await;
    let mut rig = Rig::redis(config(&set, false)).await;
    let channel = channels_at(&set, 0, 1).await.remove(0);
    subscribe(&rig, std::slice::from_ref(&channel)).await;
    let mut listened = None;
    for n in 0..6 {
        let mut count = redis::cmd("PUBSUB");
        count.arg("NUMSUB").arg(format!("test:{channel}"));
        let (_, clients): (String, u64) = set.ask(n, &count).await;
        listened = if clients == 1 { Some(n) } else { listened };
    }
    set.kill(listened.expect("one node has our subscription"));
    assert_eq!(rig.inbox.gap().await.channel, channel);
    // Whoever has the slot, each node takes a PUBLISH.
    rig.publish(&channel, b"again").await;
    rig.inbox.until_event(&channel, b"again").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slot_that_moves_takes_its_channel_along_and_touches_no_other() {
    let set = ClusterSet::start().await;
    let mut rig = Rig::redis(config(&set, true)).await;
    let mut channels = channels_at(&set, 0, 2).await;
    channels.extend(channels_at(&set, 1, 1).await);
    channels.extend(channels_at(&set, 2, 1).await);
    let [moving, neighbour, at_target, elsewhere] = <[Channel; 4]>::try_from(channels).unwrap();
    let all = [moving.clone(), neighbour.clone(), at_target.clone(), elsewhere.clone()];
    subscribe(&rig, &all).await;
    let load = Load::start(&rig.broker, &all);
    let mut heard = Heard::default();
    heard.listen(&mut rig, |heard| heard.count(&moving) > 20).await;

    set.migrate_slot(&format!("test:{moving}"), 1).await;
    let took = until_shard_count(&set, 1, &moving, 1).await;
    assert!(took < Duration::from_secs(6), "SHARDNUMSUB was wrong for {took:?}");
    assert_eq!(shard_count(&set, 0, &moving).await, 0);

    heard.listen(&mut rig, |heard| heard.gaps(&moving) > 0).await;
    let before = heard.count(&moving);
    heard.listen(&mut rig, |heard| heard.count(&moving) > before + 50).await;
    let sent = load.stop().await;
    heard.listen_to_the_end(&mut rig, &sent).await;

    assert_eq!(heard.gaps(&moving), 1, "one move, one gap");
    assert!(heard.gaps[&moving][0] < SHORT_GAP, "{:?}", heard.gaps);
    assert!(heard.silences[&moving] < SHORT_GAP, "{:?}", heard.silences);
    assert!(heard.numbers[&moving].is_sorted_by(|a, b| a < b), "twice or out of order");
    for channel in [neighbour, at_target, elsewhere] {
        heard.assert_untouched(&channel, &sent);
    }
    println!("gap {:?}, silence {:?}", heard.gaps[&moving], heard.silences[&moving]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_primary_that_dies_is_replaced_and_other_shards_miss_nothing() {
    let mut set = ClusterSet::start().await;
    let mut rig = Rig::redis(config(&set, true)).await;
    let hit = channels_at(&set, 0, 3).await;
    let others = [channels_at(&set, 1, 1).await, channels_at(&set, 2, 1).await].concat();
    let all = [hit.clone(), others.clone()].concat();
    subscribe(&rig, &all).await;
    let load = Load::start(&rig.broker, &all);
    let mut heard = Heard::default();
    heard.listen(&mut rig, |heard| heard.count(&hit[0]) > 20).await;

    let name = format!("test:{}", hit[0]);
    let killed = set.kill_primary_of(&name).await;
    let promoted = set.until_promoted(&name, killed).await;
    for channel in &hit {
        until_shard_count(&set, promoted, channel, 1).await;
    }
    heard.listen(&mut rig, |heard| hit.iter().all(|channel| heard.gaps(channel) > 0)).await;
    let before: usize = hit.iter().map(|channel| heard.count(channel)).sum();
    let after = |heard: &Heard| hit.iter().map(|channel| heard.count(channel)).sum::<usize>();
    heard.listen(&mut rig, |heard| after(heard) > before + 60).await;
    rig.until_ready(LIMIT).await;
    let sent = load.stop().await;
    heard.listen_to_the_end(&mut rig, &sent).await;

    for channel in &hit {
        assert_eq!(heard.gaps(channel), 1, "{channel}");
        assert!(heard.numbers[channel].is_sorted_by(|a, b| a < b), "twice or out of order");
    }
    for channel in &others {
        heard.assert_untouched(channel, &sent);
        assert!(heard.silences[channel] < Duration::from_secs(3), "{:?}", heard.silences);
    }
    assert_eq!(rig.metric("redcast_redis_up"), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn four_channels_in_four_slots_of_one_node_come_back_after_a_cut() {
    let set = ClusterSet::start().await;
    let mut rig = Rig::redis(config(&set, true)).await;
    let channels = channels_at(&set, 0, 4).await;
    let elsewhere = channels_at(&set, 1, 1).await.remove(0);
    subscribe(&rig, &channels).await;
    subscribe(&rig, std::slice::from_ref(&elsewhere)).await;
    let mut kill = redis::cmd("CLIENT");
    kill.arg("KILL").arg("TYPE").arg("pubsub");
    // That of the shard's channels, and that of plain ones if it happens to lead there.
    let killed = set.ask::<u64>(0, &kill).await;
    assert!((1..=2).contains(&killed), "{killed}");
    let mut told: Vec<Channel> = Vec::new();
    for _ in &channels {
        told.push(rig.inbox.gap().await.channel);
    }
    told.sort();
    let mut expected = channels.clone();
    expected.sort();
    assert_eq!(told, expected, "one gap each, and none elsewhere");
    for channel in channels.iter().chain([&elsewhere]) {
        rig.publish(channel, b"after").await;
        let event = rig.inbox.event().await;
        assert_eq!((&event.channel, &event.payload[..]), (channel, &b"after"[..]));
    }
    let stats: String = set.ask(0, redis::cmd("INFO").arg("errorstats")).await;
    assert!(!stats.contains("CROSSSLOT"), "{stats}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_follow_a_slot_while_it_moves_and_after_it() {
    let set = ClusterSet::start().await;
    let (broker, _stop) = unheard_redis(config(&set, true));
    let moving = channels_at(&set, 0, 1).await.remove(0);
    let (key, name) = (format!("{{test:{moving}}}:stats"), format!("test:{moving}"));
    // A key with the channel's name in braces is in the channel's slot.
    let redis_key = format!("test:{key}");
    assert_eq!(set.slot(&redis_key).await, set.slot(&name).await);
    set.ask::<()>(0, redis::cmd("SET").arg(&redis_key).arg("{\"n\":1}")).await;
    let once = OnceKey::parse("order-1").unwrap();
    let events = [Bytes::from_static(b"a"), Bytes::from_static(b"b")];
    let publish = || broker.publish_all(&moving, &events, Some(&once));
    assert_eq!(publish().await, Ok(Published::Now));
    let text = Ok(Some(Stored::Text(Bytes::from_static(b"{\"n\":1}"))));
    assert_eq!(broker.read(&key).await, text);

    let from = set.begin_migration(&name, 1).await;
    assert_eq!(broker.read(&key).await, text, "ASK is followed");
    assert_eq!(publish().await, Ok(Published::Before), "ASK is followed");
    set.finish_migration(&name, from, 1).await;
    assert_eq!(broker.read(&key).await, text, "MOVED is followed");
    assert_eq!(publish().await, Ok(Published::Before), "MOVED is followed");
    let other = [Bytes::from_static(b"c")];
    let answer = broker.publish_all(&moving, &other, Some(&once)).await;
    assert_eq!(answer, Err(PublishError::KeyTaken));
    broker.publish(&moving, Bytes::from_static(b"single")).await.unwrap();
    assert_eq!(broker.share("figure", "a", 2).await, Ok(2));
    assert_eq!(broker.share("figure", "b", 3).await, Ok(5));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_command_gets_another_s_answer_while_slots_move() {
    let set = ClusterSet::start().await;
    let mut rig = Rig::redis(config(&set, true)).await;
    let (store, _stop) = unheard_redis(config(&set, true));
    let channels = channels_at(&set, 0, 4).await;
    subscribe(&rig, &channels).await;
    let keys: Vec<String> = channels.iter().map(|name| format!("{{test:{name}}}:value")).collect();
    for key in &keys {
        set.ask::<()>(0, redis::cmd("SET").arg(format!("test:{key}")).arg(key)).await;
    }
    let load = Load::start(&rig.broker, &channels);
    let stop = CancellationToken::new();
    let mut readers = JoinSet::new();
    for key in keys {
        let (store, stop) = (Arc::clone(&store), stop.clone());
        readers.spawn(async move {
            let mut read = 0_u64;
            let expected = Ok(Some(Stored::Text(Bytes::from(key.clone()))));
            while !stop.is_cancelled() {
                assert_eq!(store.read(&key).await, expected);
                read += 1;
            }
            read
        });
    }
    let mut heard = Heard::default();
    for (moved, channel) in channels.iter().enumerate() {
        set.migrate_slot(&format!("test:{channel}"), 1 + moved % 2).await;
        heard.listen(&mut rig, |heard| heard.gaps(channel) == 1).await;
        // What was published while it moved is lost, and the end is told by an event.
        let before = heard.count(channel);
        heard.listen(&mut rig, |heard| heard.count(channel) > before + 4).await;
    }
    stop.cancel();
    let read: u64 = timeout(LIMIT, readers.join_all()).await.unwrap().into_iter().sum();
    assert!(read > 100, "{read} reads");
    let sent = load.stop().await;
    heard.listen_to_the_end(&mut rig, &sent).await;
    for channel in &channels {
        assert!(heard.numbers[channel].is_sorted_by(|a, b| a < b), "twice or out of order");
    }
    until(LIMIT, || rig.broker.health().is_ready()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_is_read_to_the_last_entry_while_its_slot_moves() {
    let set = ClusterSet::start().await;
    let mut rig = Rig::redis(config(&set, false)).await;
    let mut streams = streams_at(&set, 0, 2).await;
    streams.extend(streams_at(&set, 1, 1).await);
    streams.extend(streams_at(&set, 2, 1).await);
    subscribe(&rig, &streams).await;
    let load = Load::start(&rig.broker, &streams);
    let mut heard = Heard::default();
    for (round, to) in [1, 2, 0].into_iter().enumerate() {
        heard.listen(&mut rig, |heard| heard.count(&streams[0]) > 40 * (round + 1)).await;
        set.migrate_slot(&format!("test:{}", streams[0]), to).await;
    }
    let before = heard.count(&streams[0]);
    heard.listen(&mut rig, |heard| heard.count(&streams[0]) > before + 40).await;
    let sent = load.stop().await;
    heard.listen_to_the_end(&mut rig, &sent).await;
    for stream in &streams {
        assert!(!heard.resets.contains_key(stream), "{stream}");
        heard.assert_untouched(stream, &sent);
    }
    let limit = ReadLimit { events: 10_000, bytes: 1 << 20 };
    let (mut place, mut read, mut is_last) = (Cursor::BEGINNING, 0, false);
    while !is_last {
        let page = rig.broker.events_after(&streams[0], place, limit).await.unwrap();
        (place, read, is_last) = (page.cursor, read + page.events.len(), page.is_last);
    }
    assert_eq!(read, heard.count(&streams[0]), "the history moves along");
    let once = OnceKey::parse("order-1").unwrap();
    let events = [Bytes::from_static(b"a"), Bytes::from_static(b"b")];
    let publish = || rig.broker.publish_all(&streams[0], &events, Some(&once));
    assert_eq!(publish().await, Ok(Published::Now));
    assert_eq!(publish().await, Ok(Published::Before));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_primary_that_dies_costs_a_stream_nothing_that_is_not_told() {
    let mut set = ClusterSet::start().await;
    let mut rig = Rig::redis(config(&set, false)).await;
    let hit = streams_at(&set, 0, 2).await;
    let others = [streams_at(&set, 1, 1).await, streams_at(&set, 2, 1).await].concat();
    let all = [hit.clone(), others.clone()].concat();
    subscribe(&rig, &all).await;
    let load = Load::start(&rig.broker, &all);
    let mut heard = Heard::default();
    heard.listen(&mut rig, |heard| heard.count(&hit[0]) > 40).await;

    let name = format!("test:{}", hit[0]);
    let killed = set.kill_primary_of(&name).await;
    set.until_promoted(&name, killed).await;
    for stream in &hit {
        let before = heard.count(stream);
        heard.listen(&mut rig, |heard| heard.count(stream) > before + 40).await;
    }
    rig.until_ready(LIMIT).await;
    let sent = load.stop().await;
    heard.listen_to_the_end(&mut rig, &sent).await;

    for stream in &hit {
        let heard_numbers = &heard.numbers[stream];
        assert!(heard_numbers.is_sorted_by(|a, b| a < b), "{stream}: twice or out of order");
        let is_whole = sent[stream].iter().all(|n| heard_numbers.binary_search(n).is_ok());
        assert!(is_whole || heard.resets.contains_key(stream), "{stream} has a silent hole");
        assert_eq!(heard.gaps(stream), 0);
    }
    for stream in &others {
        assert!(!heard.resets.contains_key(stream), "{stream}");
        heard.assert_untouched(stream, &sent);
        assert!(heard.silences[stream] < Duration::from_secs(3), "{:?}", heard.silences);
    }
}
