//! Sentinels replace the primary: the broker follows, and tells what it may have missed.

use std::time::Duration;

use crate::support::{LIMIT, Rig, channel, produce, unix_ms, until};
use bytes::Bytes;
use redcast_broker::{Delivery, Position, PublishError, RedisConfig, Source, Sources, Subscribed};
use redcast_e2e::SentinelSet;
use redcast_protocol::{Channel, GapReason, Pattern};
use tokio::time::{Instant, sleep};

fn config(set: &SentinelSet) -> RedisConfig {
    RedisConfig { url: set.url(), prefix: "test:".to_owned(), ..RedisConfig::default() }
}

fn stream_config(set: &SentinelSet) -> RedisConfig {
    let rule = (Pattern::parse("*").unwrap(), Source::Stream);
    RedisConfig { sources: Sources::new([rule]), ..config(set) }
}

/// Adds an entry as a producer that asks the sentinels each time; answers whether the primary
/// acknowledged it.
async fn add(set: &SentinelSet, channel: &Channel, number: usize) -> bool {
    let port = set.primary_port().await;
    let Ok(mut producer) = set.server(port).client().get_multiplexed_async_connection().await
    else {
        return false;
    };
    let mut add = redis::cmd("XADD");
    add.arg(format!("test:{channel}")).arg("*").arg("data").arg(number);
    add.query_async::<String>(&mut producer).await.is_ok()
}

/// What the primary holds of the channel.
async fn kept(set: &SentinelSet, channel: &Channel) -> Vec<usize> {
    let mut primary = set.server(set.primary_port().await).connection().await;
    let mut range = redis::cmd("XRANGE");
    range.arg(format!("test:{channel}")).arg("-").arg("+");
    let entries: Vec<(String, Vec<(String, usize)>)> =
        range.query_async(&mut primary).await.unwrap();
    entries.into_iter().map(|(_, fields)| fields[0].1).collect()
}

/// What was told of a stream: its events since the last reset, and how many resets.
#[derive(Default)]
struct Told {
    numbers: Vec<usize>,
    resets: usize,
}

impl Told {
    /// Reads until `last` is told.
    async fn until(&mut self, rig: &mut Rig, last: usize) {
        while self.numbers.last() != Some(&last) {
            match rig.inbox.next().await {
                Delivery::Event(event) => {
                    self.numbers
                        .push(std::str::from_utf8(&event.payload).unwrap().parse().unwrap());
                }
                Delivery::Position(Position { reset: Some(_), .. }) => {
                    self.numbers.clear();
                    self.resets += 1;
                }
                Delivery::Position(_) => assert!(self.numbers.is_empty(), "it began already"),
                other => panic!("{other:?}"),
            }
        }
    }
}

/// Under traffic a primary is replaced in the way of `replace`. What was told since the last
/// reset must be the end of what is kept, in order, once.
async fn a_stream_survives(replace: impl AsyncFn(&mut SentinelSet)) {
    let mut set = SentinelSet::start().await;
    let mut rig = Rig::redis(stream_config(&set)).await;
    let channel = channel("a");
    assert_eq!(rig.broker.subscribe(&channel).await, Ok(Subscribed::Live));
    let mut told = Told::default();
    let mut number = 0;
    let mut acknowledged = Vec::new();
    for phase in 0..2 {
        let begun = Instant::now();
        let enough = acknowledged.len() + 50;
        while acknowledged.len() < enough {
            if add(&set, &channel, number).await {
                acknowledged.push(number);
            }
            number += 1;
            assert!(begun.elapsed() < LIMIT, "nothing is acknowledged any more");
            sleep(Duration::from_millis(5)).await;
        }
        if phase == 0 {
            told.until(&mut rig, *acknowledged.last().unwrap()).await;
            assert_eq!(told.numbers, acknowledged);
            replace(&mut set).await;
        }
    }
    told.until(&mut rig, *acknowledged.last().unwrap()).await;
    let kept = kept(&set, &channel).await;
    println!("{} resets; {} acknowledged, {} kept", told.resets, acknowledged.len(), kept.len());
    assert!(kept.ends_with(&told.numbers), "kept {kept:?}, told {:?}", told.numbers);
    if told.resets == 0 {
        assert_eq!(told.numbers, kept, "all of it, as nobody was told of a break");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_survives_a_failover() {
    a_stream_survives(async |set| {
        set.failover().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_survives_a_dead_primary() {
    a_stream_survives(async |set| {
        set.kill_primary().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_went_on_at_an_old_primary_is_reset() {
    let mut set = SentinelSet::start().await;
    let mut rig = Rig::redis(stream_config(&set)).await;
    let channel = channel("a");
    assert_eq!(rig.broker.subscribe(&channel).await, Ok(Subscribed::Live));
    let mut told = Told::default();
    assert!(add(&set, &channel, 1).await);
    told.until(&mut rig, 1).await;
    // The old primary alone gets this one, and it is told, before the other is elected.
    let old = set.primary_port().await;
    set.isolate(old).await;
    assert!(add(&set, &channel, 2).await);
    told.until(&mut rig, 2).await;
    set.until_replaced(old).await;
    assert!(add(&set, &channel, 3).await);
    told.until(&mut rig, 3).await;
    assert_eq!(told.resets, 1, "2 was told, and the new primary does not know it");
    assert_eq!(kept(&set, &channel).await, [1, 3]);
}

/// Publishes as a producer does to whoever is the primary, until it is heard; answers when
/// it was not, for the first time.
async fn until_heard(set: &mut SentinelSet, channel: &Channel, text: &[u8]) -> Option<u64> {
    let begun = Instant::now();
    let mut primary = set.connection().await;
    let mut unheard = None;
    while produce(&mut primary, channel, text).await == 0 {
        unheard.get_or_insert_with(unix_ms);
        assert!(begun.elapsed() < LIMIT, "nobody listens to the primary");
        sleep(Duration::from_millis(10)).await;
    }
    unheard
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failover_is_one_gap_that_begins_before_it() {
    let mut set = SentinelSet::start().await;
    let mut rig = Rig::redis(config(&set)).await;
    let channel = channel("a");
    assert_eq!(rig.broker.subscribe(&channel).await, Ok(Subscribed::Live));
    rig.publish(&channel, b"before").await;
    assert_eq!(rig.inbox.event().await.payload, "before");
    for round in 0..2 {
        set.failover().await;
        let unheard = until_heard(&mut set, &channel, b"after").await;
        let gap = rig.inbox.gap().await;
        println!("round {round}: {gap:?}, first unheard: {unheard:?}");
        assert_eq!(gap.reason, GapReason::RedisDisconnected);
        // The old primary answers all the time, so this is not the link's last byte.
        assert!(unheard.is_none_or(|at| gap.from_ms <= at), "{gap:?} begins after {unheard:?}");
        assert!(gap.from_ms <= gap.to_ms);
        assert_eq!(rig.inbox.event().await.payload, "after");
        // Pooled connections have moved, too.
        rig.publish(&channel, b"ours").await;
        assert_eq!(rig.inbox.event().await.payload, "ours");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_primary_is_replaced_and_publishes_never_hang() {
    let mut set = SentinelSet::start().await;
    let mut rig = Rig::redis(config(&set)).await;
    let channel = channel("a");
    assert_eq!(rig.broker.subscribe(&channel).await, Ok(Subscribed::Live));
    let old = set.kill_primary().await;
    let begun = Instant::now();
    let mut published = 0;
    while published < 3 {
        let asked = Instant::now();
        match rig.broker.publish(&channel, Bytes::from_static(b"x")).await {
            Ok(()) => published += 1,
            Err(PublishError::Unavailable(_)) => assert_eq!(published, 0, "it was there already"),
            Err(error) => panic!("{error}"),
        }
        assert!(asked.elapsed() < Duration::from_secs(2), "it took {:?}", asked.elapsed());
        assert!(begun.elapsed() < LIMIT, "nothing can be published");
    }
    set.until_replaced(old).await;
    until(LIMIT, || rig.broker.health().is_ready()).await.expect("it is ready again");
    until_heard(&mut set, &channel, b"after").await;
    let before = rig.inbox.until_event(&channel, b"after").await;
    let gaps = before.iter().filter(|news| matches!(news, Delivery::Gap(_))).count();
    assert_eq!(gaps, 1, "{before:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_old_primary_that_goes_on_alone_is_left() {
    let mut set = SentinelSet::start().await;
    // The canary would notice, too, but later: here nothing but the sentinels can.
    let mut rig = Rig::redis_unconnected(RedisConfig { canary: false, ..config(&set) });
    until(LIMIT, || rig.broker.health().connected).await.unwrap();
    let channel = channel("a");
    assert_eq!(rig.broker.subscribe(&channel).await, Ok(Subscribed::Live));
    let (old, new) = set.split_brain().await;
    let mut at_old = set.server_at(old).connection().await;
    let left = Instant::now();
    while produce(&mut at_old, &channel, b"lost").await > 0 {
        assert!(left.elapsed() < LIMIT, "the old primary is not left");
        sleep(Duration::from_millis(20)).await;
    }
    println!("the old primary is left {:?} after its successor was named", left.elapsed());
    until_heard(&mut set, &channel, b"new").await;
    rig.inbox.until_event(&channel, b"new").await;
    rig.publish(&channel, b"ours").await;
    assert_eq!(rig.inbox.event().await.payload, "ours", "it went to {new}, not to {old}");
}
