//! Tests of a client's way into stream channels, where nothing is wrong but what the client
//! asks for.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use redcast_broker::Delivery;
use redcast_hub::Form;
use redcast_protocol::{Cursor, ResetReason, Start};
use tokio::time::{Instant, sleep};

use super::rig::{Rig, at, numbers, since};
use crate::config::{NodeConfig, ReplayConfig};
use crate::participant::JoinError;
use crate::testing::channel;

#[tokio::test]
async fn who_joins_anew_learns_the_place_from_which_events_follow() {
    let rig = Rig::new();
    let mut first = rig.member("s", Cursor::BEGINNING).await;
    rig.publish("s", 1);
    assert_eq!(first.heard(2).await, ["ack", "1"]);
    let mut second = rig.client(Form::Envelope).await;
    assert_eq!(second.join(&[("s", Start::Now)]).await.unwrap(), [(channel("s"), at(1))]);
    rig.publish("s", 2);
    assert_eq!(second.heard(2).await, ["ack", "2"]);
    // Once more: it is in it, and still learns where it is.
    assert_eq!(second.join(&[("s", since(1))]).await.unwrap(), [(channel("s"), at(2))]);
    assert_eq!(second.heard(1).await, ["ack"]);
}

#[tokio::test]
async fn who_was_away_for_a_moment_is_served_without_redis() {
    let rig = Rig::new();
    let mut member = rig.member("s", at(10)).await;
    (11..=14).for_each(|number| rig.publish("s", number));
    member.heard(5).await;
    rig.broker.take_log();
    for (last, missed) in [(10, 11..15), (12, 13..15), (14, 15..15)] {
        let mut client = rig.client(Form::Envelope).await;
        assert_eq!(client.resume("s", last).await, [(channel("s"), at(14))]);
        let mut expected = numbers(missed);
        expected.push("ack".to_owned());
        assert_eq!(client.heard(expected.len()).await, expected, "since {last}");
    }
    assert_eq!(rig.broker.take_log(), Vec::<String>::new());
    assert_eq!(rig.node.metrics.streams.exact.get(), 3);
    assert_eq!(rig.node.metrics.streams.replayed.get(), 6);
}

#[tokio::test]
async fn what_is_too_large_is_a_gap_at_its_place_for_those_who_come_back_too() {
    let rig = Rig::new();
    rig.write("s", [1]);
    let mut member = rig.member("s", at(1)).await;
    rig.publish("s", 2);
    let large = rig.publish_too_large("s", 3);
    let gap = "gap too_large null";
    assert_eq!(member.heard(3).await, ["ack", "2", gap]);
    let mut last = rig.client(Form::Envelope).await;
    assert_eq!(last.resume("s", 1).await, [(channel("s"), large)]);
    assert_eq!(last.heard(3).await, ["2", gap, "ack"]);
    rig.publish("s", 4);
    assert_eq!((member.heard(1).await, last.heard(1).await), (numbers([4]), numbers([4])));
    for form in [Form::Envelope, Form::Raw] {
        let mut client = rig.client(form).await;
        client.resume("s", 1).await;
        assert_eq!(client.heard(4).await, ["2", gap, "4", "ack"], "{form:?}");
    }
    let mut quiet = rig.client(Form::Quiet).await;
    quiet.resume("s", 1).await;
    assert_eq!(quiet.heard(3).await, ["2", "4", "ack"]);
    let mut behind = rig.client(Form::Envelope).await;
    behind.join(&[("s", Start::Since(large))]).await.unwrap();
    assert_eq!(behind.heard(2).await, ["4", "ack"]);
}

#[tokio::test]
async fn what_the_ring_has_not_is_read_from_redis_once_for_all() {
    let rig = Rig::new();
    rig.write("s", 1..=1300);
    let mut member = rig.member("s", at(1300)).await;
    rig.publish("s", 1301);
    member.heard(2).await;
    rig.broker.take_log();
    let mut clients = Vec::new();
    for form in [Form::Envelope, Form::Raw, Form::Envelope, Form::Tracked, Form::Quiet] {
        clients.push((form, rig.client(form).await));
    }
    let joins = clients.iter_mut().map(|(_, client)| client.resume("s", 100));
    futures_util::future::join_all(joins).await;
    for (form, client) in &mut clients {
        let mut expected = numbers(101..=1301);
        if *form == Form::Tracked {
            let told = |number| format!("cursor null {}", at(number));
            // After each piece, as it may be the last one that arrives.
            expected.insert(512, told(612));
            expected.insert(1025, told(1124));
            expected.extend([told(1301), told(1301)]);
        }
        expected.push("ack".to_owned());
        let heard = client.heard(expected.len()).await;
        assert!(heard == expected, "{form:?}: {heard:?}");
    }
    let reads: Vec<String> =
        [100, 612, 1124].map(|number| format!("s after {}", at(number))).into();
    assert_eq!(rig.broker.take_log(), reads);
    assert_eq!(rig.node.metrics.streams.reads_saved.get(), 4 * 3);
}

#[tokio::test]
async fn a_place_that_is_lost_is_told_with_its_reason_and_the_place_to_go_on_from() {
    let rig = Rig::new();
    rig.write("s", 1..=20);
    rig.broker.trim("s", 10);
    let _member = rig.member("s", at(20)).await;
    let other = Start::Since(Cursor { hash: 1, ..at(15) });
    for (start, reason) in [(since(9), "trimmed"), (other, "forked"), (since(99), "forked")] {
        let mut client = rig.client(Form::Envelope).await;
        assert_eq!(client.join(&[("s", start)]).await.unwrap(), [(channel("s"), at(20))]);
        let reset = format!("reset {reason} {}", at(20));
        assert_eq!(client.heard(2).await, [reset, "ack".to_owned()]);
    }
    let mut client = rig.client(Form::Envelope).await;
    client.join(&[("other", since(3))]).await.unwrap();
    assert_eq!(client.heard(2).await, ["reset unknown null", "ack"]);
    let mut quiet = rig.client(Form::Quiet).await;
    quiet.join(&[("s", since(9)), ("other", since(3))]).await.unwrap();
    rig.publish("s", 21);
    assert_eq!(quiet.heard(2).await, ["ack", "21"]);
}

/// As it was acknowledged by an instance that read the entry when it took the channel over.
#[tokio::test(start_paused = true)]
async fn who_stands_behind_an_entry_that_is_no_event_goes_on_at_once() {
    let rig = Rig::new();
    let mut member = rig.member("s", at(20)).await;
    let poison = Cursor { hash: 9, ..at(21) };
    rig.tail.send(Delivery::Passed { channel: channel("s"), cursor: poison });
    // Nobody is told of it; time goes on when all that was sent has been handed over.
    sleep(Duration::from_millis(1)).await;
    let begun = Instant::now();
    let mut client = rig.client(Form::Envelope).await;
    let places = client.join(&[("s", Start::Since(poison))]).await.unwrap();
    assert_eq!(places, [(channel("s"), poison)]);
    assert!(begun.elapsed().as_secs() < 1, "it waited for {:?}", begun.elapsed());
    rig.publish("s", 22);
    assert_eq!(client.heard(2).await, ["ack", "22"]);
    assert_eq!(member.heard(2).await, ["ack", "22"]);
}

#[tokio::test]
async fn who_is_in_a_channel_without_history_already_is_told_nothing_of_its_past() {
    let rig = Rig::new();
    let mut client = rig.client(Form::Envelope).await;
    client.join(&[("plain", since(3))]).await.unwrap();
    assert_eq!(client.heard(2).await, ["reset unknown null", "ack"]);
    for start in [since(3), Start::Recent(3)] {
        client.join(&[("plain", start)]).await.unwrap();
        assert_eq!(client.heard(1).await, ["ack"]);
    }
    let refused = client.join(&[("other", Start::Recent(3)), ("more", since(1))]).await;
    assert_eq!(refused, Err(JoinError::NoHistory(channel("other"))));
    let resumes = rig.node.metrics.streams.resets(ResetReason::Unknown);
    assert_eq!(resumes, 1, "those that came of something");
}

#[tokio::test]
async fn no_more_is_replayed_than_may_be_and_the_rest_is_a_reset() {
    let replay = ReplayConfig { events: 20, bytes: 1 << 20 };
    for (replay, last) in [(replay, 30), (ReplayConfig { events: 600, bytes: 24 }, 522)] {
        let rig = Rig::with(NodeConfig { replay, ..NodeConfig::default() });
        rig.write("s", 1..=1000);
        let _member = rig.member("s", at(1000)).await;
        let mut client = rig.client(Form::Envelope).await;
        assert_eq!(client.resume("s", 10).await, [(channel("s"), at(1000))]);
        let mut expected = numbers(11..=last);
        expected.push(format!("reset trimmed {}", at(1000)));
        expected.push("ack".to_owned());
        assert_eq!(client.heard(expected.len()).await, expected);
        // As much as may be replayed is no reset.
        let mut client = rig.client(Form::Envelope).await;
        client.resume("s", 1000 - 20).await;
        assert_eq!(client.heard(21).await.last().unwrap(), "ack");
    }
}

#[tokio::test]
async fn recent_events_come_from_the_ring_or_from_redis_and_then_the_live_ones() {
    let rig = Rig::new();
    rig.write("s", 1..=20);
    let mut member = rig.member("s", at(20)).await;
    rig.publish("s", 21);
    rig.publish("s", 22);
    member.heard(3).await;
    rig.broker.take_log();
    for (count, first) in [(2, 21), (1, 22), (5, 18), (1000, 1)] {
        let mut client = rig.client(Form::Envelope).await;
        let places = client.join(&[("s", Start::Recent(count))]).await.unwrap();
        assert_eq!(places, [(channel("s"), at(22))]);
        let mut expected = numbers(first..=22);
        expected.push("ack".to_owned());
        assert_eq!(client.heard(expected.len()).await, expected);
    }
    assert_eq!(rig.broker.take_log(), ["s last 5", "s last 1000"]);
    let mut client = rig.client(Form::Raw).await;
    let none = client.join(&[("s", Start::Recent(1)), ("plain", Start::Recent(1))]).await;
    assert_eq!(none, Err(JoinError::NoHistory(channel("plain"))));
    assert_eq!(rig.broker.take_log(), Vec::<String>::new());
    let _empty = rig.member("s:empty", Cursor::BEGINNING).await;
    assert_eq!(client.join(&[("s:empty", Start::Recent(9))]).await.unwrap().len(), 1);
    rig.publish("s:empty", 1);
    assert_eq!(client.heard(2).await, ["ack", "1"]);
}

#[tokio::test]
async fn recent_events_are_no_more_bytes_than_may_be_replayed() {
    let replay = ReplayConfig { events: 10, bytes: 5 };
    let rig = Rig::with(NodeConfig { replay, ..NodeConfig::default() });
    rig.write("s", 1..=20);
    let _member = rig.member("s", at(20)).await;
    let mut client = rig.client(Form::Envelope).await;
    client.join(&[("s", Start::Recent(8))]).await.unwrap();
    assert_eq!(client.heard(3).await, ["19", "20", "ack"]);
}

#[tokio::test]
async fn several_channels_are_joined_in_one_step_whatever_their_kind() {
    let rig = Rig::new();
    rig.write("s1", 1..=5);
    rig.write("s2", 1..=9);
    let mut members = (rig.member("s1", at(5)).await, rig.member("s2", at(9)).await);
    let mut client = rig.client(Form::Envelope).await;
    let wanted = [("s2", since(7)), ("plain", Start::Now), ("s1", since(4)), ("s2", since(1))];
    let mut places = client.join(&wanted).await.unwrap();
    places.sort_by_key(|(channel, _)| channel.clone());
    assert_eq!(places, [(channel("s1"), at(5)), (channel("s2"), at(9))]);
    let mut heard = client.heard(4).await;
    assert_eq!(heard.pop().unwrap(), "ack");
    heard.sort();
    assert_eq!(heard, ["5", "8", "9"]);
    assert_eq!(rig.node.hub_metrics.subscriptions.get(), 5);
    rig.publish("s2", 10);
    rig.publish("s1", 6);
    assert_eq!(client.heard(2).await, ["10", "6"]);
    members.0.heard(2).await;
    members.1.heard(2).await;
}

/// While one of them is read, the other goes on.
#[tokio::test]
async fn several_channels_are_caught_up_with_until_all_are_at_their_ends() {
    let rig = Rig::new();
    rig.write("s1", 1..=1300);
    rig.write("s2", 1..=1300);
    let _members = (rig.member("s1", at(1300)).await, rig.member("s2", at(1300)).await);
    let mut client = rig.client(Form::Envelope).await;
    let publishing = async {
        for number in 1301..=1400 {
            rig.publish("s1", number);
            rig.publish("s2", number);
            tokio::task::yield_now().await;
        }
    };
    let wanted = [("s1", since(700)), ("s2", since(900))];
    let (places, ()) = tokio::join!(client.join(&wanted), publishing);
    let mut expected = [numbers(701..=1400), numbers(901..=1400)].concat();
    let mut heard = client.heard(expected.len() + 1).await;
    let ack = heard.iter().position(|frame| frame == "ack").unwrap();
    for (_, place) in places.unwrap() {
        assert!(heard[ack + 1..].iter().all(|live| live.parse::<u64>().unwrap() > place.millis));
    }
    heard.remove(ack);
    heard.sort();
    expected.sort();
    assert_eq!(heard, expected);
}

/// Whoever comes back, from wherever and whenever, gets each event after its place once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replay_and_live_events_meet_without_a_hole_or_a_repeat() {
    const EVENTS: u64 = 3000;
    let rig = Arc::new(Rig::new());
    let _member = rig.member("s", Cursor::BEGINNING).await;
    let published = Arc::new(AtomicU64::new(0));
    let clients = (0..60).map(|number| {
        let (rig, published) = (rig.clone(), published.clone());
        async move {
            let mut client = rig.client(Form::Raw).await;
            while published.load(Ordering::Relaxed) < number * EVENTS / 60 {
                tokio::task::yield_now().await;
            }
            let place = number * number % (number * EVENTS / 60).max(1);
            client.join(&[("s", if place > 0 { since(place) } else { BEGINNING })]).await.unwrap();
            (place, client)
        }
    });
    let clients = futures_util::future::join_all(clients);
    let (clients, ()) = tokio::join!(clients, async {
        for number in 1..=EVENTS {
            rig.publish("s", number);
            published.store(number, Ordering::Relaxed);
            if number % 7 == 0 {
                tokio::task::yield_now().await;
            }
        }
    });
    for (place, client) in clients {
        client.sink.wait_for((EVENTS - place) as usize + 1).await;
        let mut heard = client.texts();
        heard.retain(|text| text != "ack");
        assert_eq!(heard, numbers(place + 1..=EVENTS), "since {place}");
    }
}

const BEGINNING: Start = Start::Since(Cursor::BEGINNING);
