//! Tests of a client's way into stream channels while Redis is away, the channel lags behind
//! or goes elsewhere, or the client goes away.

use std::sync::Arc;
use std::time::Duration;

use redcast_broker::{Delivery, Gap};
use redcast_hub::Form;
use redcast_protocol::{Cursor, GapReason, Pattern, ResetReason, Start};
use tokio::time::{Instant, sleep, timeout};

use super::rig::{Rig, at, since};
use crate::config::{ChannelRule, NodeConfig};
use crate::participant::JoinError;
use crate::testing::{channel, entry};

#[tokio::test(start_paused = true)]
async fn a_channel_that_lags_behind_redis_is_waited_for() {
    let rig = Rig::new();
    let mut member = rig.member("s", at(10)).await;
    rig.write("s", 1..=14);
    let mut client = rig.client(Form::Envelope).await;
    let (places, ()) = tokio::join!(client.resume("s", 8), async {
        sleep(Duration::from_secs(1)).await;
        for number in 11..=14 {
            rig.tail.send(Delivery::Event(entry("s", number, &number.to_string())));
            sleep(Duration::from_secs(3)).await;
        }
    });
    assert_eq!(places, [(channel("s"), at(14))]);
    rig.publish("s", 15);
    let expected = ["9", "10", "11", "12", "13", "14", "ack", "15"];
    assert_eq!(client.heard(8).await, expected);
    assert_eq!(member.heard(6).await, ["ack", "11", "12", "13", "14", "15"]);
}

#[tokio::test(start_paused = true)]
async fn while_redis_is_away_a_join_is_pending_and_a_resume_waits_and_fails() {
    let rig = Rig::new();
    rig.broker.be_away(true);
    let mut pending = rig.client(Form::Tracked).await;
    assert_eq!(pending.join(&[("s", Start::Now)]).await.unwrap(), []);
    for start in [since(1), Start::Recent(3)] {
        let mut client = rig.client(Form::Envelope).await;
        let begun = Instant::now();
        let unavailable = Err(JoinError::Unavailable(channel("s")));
        assert_eq!(client.join(&[("plain", Start::Now), ("s", start)]).await, unavailable);
        assert_eq!(begun.elapsed().as_secs(), 5);
        assert_eq!(client.texts(), Vec::<String>::new());
    }
    assert_eq!(rig.node.hub_metrics.subscriptions.get(), 1, "all or none");
    assert_eq!(rig.node.metrics.streams.unavailable.get(), 1);
    let mut patient = rig.client(Form::Envelope).await;
    rig.write("s", 1..=3);
    let (places, ()) = tokio::join!(patient.resume("s", 1), async {
        sleep(Duration::from_secs(4)).await;
        rig.broker.be_away(false);
        rig.begin("s", at(3));
    });
    assert_eq!(places, [(channel("s"), at(3))]);
    assert_eq!(patient.heard(3).await, ["2", "3", "ack"]);
    rig.publish("s", 4);
    sleep(Duration::from_secs(2)).await;
    let cursor = |number| format!("cursor null {}", at(number));
    assert_eq!(pending.heard(4).await, ["ack".to_owned(), cursor(3), "4".to_owned(), cursor(4)]);
}

#[tokio::test(start_paused = true)]
async fn redis_may_go_away_in_the_middle_of_a_resume() {
    let rig = Rig::new();
    rig.write("s", 1..=20);
    let _member = rig.member("s", at(20)).await;
    rig.broker.be_away(true);
    let mut client = rig.client(Form::Envelope).await;
    let (places, ()) = tokio::join!(client.resume("s", 17), async {
        sleep(Duration::from_millis(4600)).await;
        rig.broker.be_away(false);
    });
    assert_eq!(places, [(channel("s"), at(20))]);
    assert_eq!(client.heard(4).await, ["18", "19", "20", "ack"]);
    rig.broker.be_away(true);
    let unavailable = Err(JoinError::Unavailable(channel("s2")));
    assert_eq!(client.join(&[("s2", since(1))]).await, unavailable);
    // What the ring has needs no Redis.
    assert_eq!(rig.client(Form::Raw).await.resume("s", 20).await, [(channel("s"), at(20))]);
}

#[tokio::test(start_paused = true)]
async fn a_channel_that_tells_another_history_than_redis_loses_the_place() {
    let rig = Rig::new();
    rig.write("s", 1..=20);
    let fork = Cursor { hash: 7, ..at(20) };
    let _member = rig.member("s", fork).await;
    let mut client = rig.client(Form::Envelope).await;
    let begun = Instant::now();
    assert_eq!(client.resume("s", 18).await, [(channel("s"), fork)]);
    assert_eq!(begun.elapsed().as_secs(), 5);
    assert_eq!(client.heard(4).await, ["19", "20", &format!("reset forked {fork}"), "ack"]);
}

#[tokio::test]
async fn a_reset_reaches_every_member_in_order_and_ends_what_was_kept() {
    let rig = Rig::new();
    let mut member = rig.member("s", at(10)).await;
    let mut raw = rig.client(Form::Raw).await;
    raw.join(&[("s", Start::Now)]).await.unwrap();
    rig.publish("s", 11);
    rig.position("s", at(5), Some(ResetReason::Forked));
    rig.publish("s", 6);
    let reset = format!("reset forked {}", at(5));
    assert_eq!(member.heard(4).await, ["ack", "11", &reset, "6"]);
    assert_eq!(raw.heard(4).await, ["ack", "11", &reset, "6"]);
    rig.broker.take_log();
    let mut client = rig.client(Form::Envelope).await;
    client.resume("s", 5).await;
    assert_eq!(client.heard(2).await, ["6", "ack"]);
    assert_eq!(rig.broker.take_log(), Vec::<String>::new());
    // Where a channel begins anew without a word, nobody knows what lies between.
    rig.begin("s", at(8));
    assert_eq!(member.heard(1).await, [format!("reset unknown {}", at(8))]);
    rig.begin("s", at(8));
    rig.publish("s", 9);
    assert_eq!(member.heard(1).await, ["9"]);
}

#[tokio::test(start_paused = true)]
async fn what_is_left_of_an_earlier_interest_is_not_told() {
    let rig = Rig::new();
    drop(rig.member("s", at(10)).await);
    sleep(2 * NodeConfig::default().linger).await;
    assert_eq!(rig.broker.wanted(), 0);
    let mut client = rig.client(Form::Envelope).await;
    let (places, ()) = tokio::join!(client.join(&[("s", Start::Now)]), async {
        rig.publish("s", 11);
        sleep(Duration::from_secs(1)).await;
        rig.begin("s", at(15));
    });
    assert_eq!(places.unwrap(), [(channel("s"), at(15))]);
    rig.publish("s", 16);
    assert_eq!(client.heard(2).await, ["ack", "16"]);
}

#[tokio::test(start_paused = true)]
async fn a_channel_that_goes_on_in_another_history_is_not_waited_for_longer() {
    let rig = Rig::new();
    rig.write("s", 1..=20);
    let _member = rig.member("s", Cursor { hash: 7, ..at(20) }).await;
    let mut client = rig.client(Form::Envelope).await;
    let begun = Instant::now();
    let moving = async {
        for number in 21..=120 {
            rig.tail.send(Delivery::Event(entry("s", number, &format!("{number} "))));
            sleep(Duration::from_secs(1)).await;
        }
        panic!("the client still waits");
    };
    tokio::select! {
        places = client.resume("s", 18) => assert_eq!(places.len(), 1),
        () = moving => {}
    }
    assert!((5..8).contains(&begun.elapsed().as_secs()), "{:?}", begun.elapsed());
    let heard = client.heard(4).await;
    assert_eq!(heard[..2], ["19", "20"]);
    assert!(heard[2].starts_with("reset forked") || heard[2].starts_with("reset unknown"));
}

#[tokio::test(start_paused = true)]
async fn a_place_is_acknowledged_after_what_is_held_of_the_channel() {
    let rule = ChannelRule {
        pattern: Pattern::parse("s").unwrap(),
        slow_consumer: Default::default(),
        flush_every: Some(Duration::from_secs(60)),
        latest_by: None,
    };
    let rig = Rig::with(NodeConfig { rules: vec![rule], ..NodeConfig::default() });
    rig.begin("s", at(10));
    let mut client = rig.client(Form::Envelope).await;
    client.join(&[("s", Start::Now)]).await.unwrap();
    rig.publish("s", 11);
    sleep(Duration::from_secs(1)).await;
    assert_eq!(client.heard(1).await, ["ack"], "the event is held");
    assert_eq!(client.join(&[("s", Start::Now)]).await.unwrap(), [(channel("s"), at(11))]);
    assert_eq!(client.heard(2).await, ["11", "ack"]);
    assert_eq!(rig.node.hub_metrics.subscriptions.get(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_gap_does_not_keep_a_tracked_client_from_learning_its_place() {
    let rig = Rig::new();
    rig.broker.be_away(true);
    let mut client = rig.client(Form::Tracked).await;
    client.join(&[("s", Start::Now)]).await.unwrap();
    rig.broker.be_away(false);
    rig.begin("s", at(3));
    let (from_ms, to_ms, reason) = (1, 2, GapReason::RedisDisconnected);
    rig.tail.send(Delivery::Gap(Gap {
        channel: channel("s"),
        from_ms,
        to_ms,
        reason,
        dropped: None,
    }));
    sleep(Duration::from_secs(2)).await;
    let cursor = format!("cursor null {}", at(3));
    assert_eq!(client.heard(3).await, ["ack", "gap redis_disconnected null", &cursor]);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_goes_away_on_its_way_in_leaves_nothing_behind() {
    let rig = Rig::new();
    let mut client = rig.client(Form::Envelope).await;
    // The channel never says where it is.
    let wanted = [("s", since(1)), ("plain", Start::Now)];
    assert!(timeout(Duration::from_secs(1), client.join(&wanted)).await.is_err());
    assert_eq!(rig.broker.wanted(), 2);
    let connection = Arc::downgrade(client.participant.connection());
    drop(client);
    sleep(2 * NodeConfig::default().linger).await;
    assert_eq!((rig.broker.wanted(), rig.node.hub_metrics.subscriptions.get()), (0, 0));
    assert!(connection.upgrade().is_none(), "somebody holds its connection");
}
