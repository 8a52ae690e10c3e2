//! The queue: its bounds, its order, and what it says of what it lost.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use bytes::Bytes;
use proptest::prelude::*;
use tokio::time::timeout;

use super::*;
use crate::Event;

fn channel(name: &str) -> Channel {
    Channel::parse(name).unwrap()
}

fn event(name: &str, payload: &'static [u8]) -> Delivery {
    let payload = Bytes::from_static(payload);
    Delivery::Event(Event {
        channel: channel(name),
        payload,
        received: Instant::now(),
        cursor: None,
    })
}

fn outage(name: &str, from_ms: u64, to_ms: u64) -> Delivery {
    let reason = GapReason::RedisDisconnected;
    Delivery::Gap(Gap { channel: channel(name), from_ms, to_ms, reason, dropped: None })
}

fn refusal(name: &str, reason: &str) -> Delivery {
    Delivery::Refused(SubscribeError { channel: channel(name), reason: reason.to_owned() })
}

/// `a:payload` for an event, `a:overflow:3` or `a:redis_disconnected` for a gap,
/// `a:refused:why` for a refusal.
fn show(deliveries: &[Delivery]) -> Vec<String> {
    let show = |delivery: &Delivery| match delivery {
        Delivery::Event(event) => {
            format!("{}:{}", event.channel, String::from_utf8_lossy(&event.payload))
        }
        Delivery::Gap(gap) => {
            let dropped = gap.dropped.map_or(String::new(), |dropped| format!(":{dropped}"));
            format!("{}:{}{dropped}", gap.channel, gap.reason.label())
        }
        Delivery::Refused(error) => format!("{}:refused:{}", error.channel, error.reason),
        Delivery::Position(position) => format!("{}:at:{}", position.channel, position.cursor),
        Delivery::Passed { channel, cursor } => format!("{channel}:passed:{cursor}"),
    };
    deliveries.iter().map(show).collect()
}

async fn take(queue: &mut Deliveries, limit: usize) -> Vec<String> {
    let mut taken = Vec::new();
    let count = timeout(Duration::from_secs(5), queue.recv_many(&mut taken, limit)).await;
    assert_eq!(count, Ok(taken.len()));
    show(&taken)
}

const TWO: QueueLimits = QueueLimits { events: 2, bytes: 100 };

#[tokio::test]
async fn what_is_sent_arrives_in_order() {
    let (sender, mut queue) = deliveries(QueueLimits::default());
    for delivery in [event("a", b"1"), event("b", b"2"), outage("a", 1, 2), event("a", b"3")] {
        assert_eq!(sender.send(delivery), SendOutcome::Queued);
    }
    assert_eq!(take(&mut queue, 3).await, ["a:1", "b:2", "a:redis_disconnected"]);
    assert_eq!(take(&mut queue, 3).await, ["a:3"]);
}

#[tokio::test]
async fn a_loss_becomes_one_gap_with_its_count_once_the_queue_is_drained() {
    let (sender, mut queue) = deliveries(TWO);
    sender.send(event("a", b"1"));
    sender.send(event("a", b"2"));
    assert_eq!(sender.send(event("a", b"3")), SendOutcome::Lost { new_gap: true });
    assert_eq!(sender.send(event("a", b"4")), SendOutcome::Lost { new_gap: false });
    assert_eq!(take(&mut queue, 100).await, ["a:1", "a:2", "a:overflow:2"]);
}

#[tokio::test]
async fn a_gap_stands_before_the_next_event_of_its_channel_that_fits() {
    let (sender, mut queue) = deliveries(QueueLimits { events: 3, bytes: 100 });
    for delivery in [event("b", b"1"), event("a", b"1"), event("a", b"2"), event("a", b"3")] {
        sender.send(delivery);
    }
    assert_eq!(take(&mut queue, 2).await, ["b:1", "a:1"]);
    assert_eq!(sender.send(event("a", b"4")), SendOutcome::Queued);
    assert_eq!(take(&mut queue, 9).await, ["a:2", "a:overflow:1", "a:4"]);
}

#[tokio::test]
async fn an_event_that_fits_only_without_its_gap_is_lost_too() {
    let (sender, mut queue) = deliveries(TWO);
    sender.send(event("a", b"1"));
    sender.send(event("a", b"2"));
    sender.send(event("a", b"3"));
    assert_eq!(take(&mut queue, 1).await, ["a:1"]);
    assert_eq!(sender.send(event("a", b"4")), SendOutcome::Lost { new_gap: false });
    assert_eq!(sender.send(event("b", b"1")), SendOutcome::Queued, "another channel has no gap");
    assert_eq!(take(&mut queue, 9).await, ["a:2", "b:1", "a:overflow:2"]);
}

#[tokio::test]
async fn bytes_are_bounded_as_events_are() {
    let (sender, mut queue) = deliveries(QueueLimits { events: 100, bytes: 10 });
    assert_eq!(sender.send(event("a", b"123456")), SendOutcome::Queued);
    assert_eq!(sender.send(event("b", b"1234")), SendOutcome::Queued);
    assert_eq!(sender.send(event("c", b"1")), SendOutcome::Lost { new_gap: true });
    assert_eq!(take(&mut queue, 1).await, ["a:123456"]);
    assert_eq!(sender.send(event("d", b"123456")), SendOutcome::Queued);
    assert_eq!(take(&mut queue, 9).await, ["b:1234", "d:123456", "c:overflow:1"]);
}

#[tokio::test]
async fn an_event_larger_than_the_whole_queue_wakes_the_reader_with_a_gap() {
    let (sender, mut queue) = deliveries(QueueLimits { events: 10, bytes: 3 });
    let reader = async { take(&mut queue, 9).await };
    let (told, _) = tokio::join!(reader, async { sender.send(event("a", b"1234")) });
    assert_eq!(told, ["a:overflow:1"]);
}

#[tokio::test]
async fn a_gap_without_room_waits_and_joins_others_of_its_reason() {
    let (sender, mut queue) = deliveries(TWO);
    sender.send(event("a", b"1"));
    sender.send(event("a", b"2"));
    sender.send(event("a", b"3"));
    assert_eq!(sender.send(outage("a", 20, 30)), SendOutcome::Queued);
    assert_eq!(sender.send(outage("a", 40, 50)), SendOutcome::Queued);
    assert_eq!(take(&mut queue, 2).await, ["a:1", "a:2"]);
    let mut told = Vec::new();
    while queue.recv_many(&mut told, 1).await > 0 && told.len() < 2 {}
    assert_eq!(show(&told), ["a:overflow:1", "a:redis_disconnected"]);
    let Delivery::Gap(gap) = &told[1] else { panic!("a gap") };
    assert_eq!((gap.from_ms, gap.to_ms), (20, 50));
}

#[tokio::test]
async fn a_refusal_without_room_is_told_later_and_behind_the_gaps() {
    let (sender, mut queue) = deliveries(TWO);
    for delivery in [event("a", b"1"), event("b", b"2"), event("a", b"3")] {
        sender.send(delivery);
    }
    assert_eq!(sender.send(refusal("a", "no")), SendOutcome::Queued);
    sender.send(refusal("a", "still no"));
    assert_eq!(take(&mut queue, 2).await, ["a:1", "b:2"]);
    assert_eq!(take(&mut queue, 9).await, ["a:overflow:1", "a:refused:still no"]);
    sender.send(refusal("a", "no"));
    sender.send(event("a", b"4"));
    assert_eq!(take(&mut queue, 9).await, ["a:refused:no", "a:4"], "in order where there is room");
}

#[tokio::test]
async fn a_refusal_that_was_not_told_is_outdone_by_the_gap_of_its_end() {
    let (sender, mut queue) = deliveries(TWO);
    for delivery in [event("b", b"1"), event("b", b"2"), outage("a", 1, 2)] {
        sender.send(delivery);
    }
    sender.send(refusal("a", "no"));
    sender.send(outage("a", 3, 4));
    let told = take(&mut queue, 9).await;
    assert_eq!(told, ["b:1", "b:2", "a:redis_disconnected"], "it is live, not refused");
}

#[tokio::test]
async fn losses_take_no_more_memory_than_there_are_channels() {
    let (sender, queue) = deliveries(TWO);
    for round in 0..10_000 {
        sender.send(event(&format!("c{}", round % 50), b"x"));
        sender.send(outage(&format!("c{}", round % 50), round, round));
        sender.send(refusal(&format!("c{}", round % 50), "no"));
    }
    let state = queue.queue.state.lock();
    assert_eq!(state.untold.len(), 50);
    assert!(state.untold.values().all(|notices| notices.len() <= 3));
    assert!(state.waiting.len() <= TWO.events);
}

#[tokio::test]
async fn a_queue_of_gone_senders_is_drained_and_then_ends() {
    let (sender, mut queue) = deliveries(TWO);
    let second = sender.clone();
    for payload in [b"1", b"2", b"3"] {
        sender.send(event("a", payload));
    }
    drop(sender);
    assert!(!queue.is_closed());
    drop(second);
    assert!(queue.is_closed());
    assert_eq!(take(&mut queue, 9).await, ["a:1", "a:2", "a:overflow:1"]);
    assert!(take(&mut queue, 9).await.is_empty());
}

#[tokio::test]
async fn a_waiting_reader_learns_that_the_last_sender_went() {
    let (sender, mut queue) = deliveries(TWO);
    let (taken, ()) = tokio::join!(take(&mut queue, 9), async { drop(sender) });
    assert!(taken.is_empty());
}

#[test]
fn a_gone_reader_costs_nothing() {
    let (sender, queue) = deliveries(TWO);
    sender.send(event("a", b"1"));
    drop(queue);
    assert_eq!(sender.send(event("a", b"2")), SendOutcome::Closed);
    assert!(sender.queue.state.lock().waiting.is_empty());
}

#[tokio::test]
async fn a_reader_that_was_cancelled_has_taken_nothing() {
    let (sender, mut queue) = deliveries(TWO);
    let mut into = Vec::new();
    tokio::select! {
        biased;
        _ = queue.recv_many(&mut into, 9) => panic!("nothing was sent"),
        () = async { sender.send(event("a", b"1")); } => {}
    }
    assert!(into.is_empty());
    assert_eq!(take(&mut queue, 9).await, ["a:1"]);
}

#[derive(Debug, Clone)]
enum Step {
    Event { channel: u8, size: usize },
    Outage { channel: u8 },
    Take { limit: usize },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..4_u8, 0..6_usize).prop_map(|(channel, size)| Step::Event { channel, size }),
        1 => (0..4_u8).prop_map(|channel| Step::Outage { channel }),
        2 => (1..6_usize).prop_map(|limit| Step::Take { limit }),
    ]
}

/// One reader's account: between two events of a channel the gaps must explain exactly
/// the numbers that are missing.
#[derive(Default)]
struct Account {
    next: HashMap<Channel, u32>,
    explained: HashMap<Channel, u64>,
}

impl Account {
    fn read(&mut self, deliveries: &[Delivery]) {
        for delivery in deliveries {
            match delivery {
                Delivery::Gap(gap) => {
                    *self.explained.entry(gap.channel.clone()).or_default() +=
                        gap.dropped.unwrap_or(0);
                }
                Delivery::Refused(error) => panic!("{error}"),
                place @ (Delivery::Position(_) | Delivery::Passed { .. }) => panic!("{place:?}"),
                Delivery::Event(event) => {
                    let number = u32::from_be_bytes(event.payload[..4].try_into().unwrap());
                    self.close(&event.channel, number);
                    self.next.insert(event.channel.clone(), number + 1);
                }
            }
        }
    }

    fn close(&mut self, channel: &Channel, number: u32) {
        let expected = self.next.get(channel).copied().unwrap_or(0);
        let explained = self.explained.remove(channel).unwrap_or(0);
        assert_eq!(u64::from(number - expected), explained, "{channel}: {expected}..{number}");
    }
}

proptest! {
    #[test]
    fn every_missing_event_is_explained_at_its_place(steps in prop::collection::vec(step(), 1..200)) {
        let limits = QueueLimits { events: 5, bytes: 40 };
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let (sender, mut queue) = deliveries(limits);
        let mut sent: HashMap<Channel, u32> = HashMap::new();
        let mut account = Account::default();
        for step in steps {
            match step {
                Step::Event { channel: name, size } => {
                    let channel = channel(&format!("c{name}"));
                    let number = sent.entry(channel.clone()).or_default();
                    let mut payload = number.to_be_bytes().to_vec();
                    payload.resize(4 + size, 0);
                    *number += 1;
                    let payload = Bytes::from(payload);
                    let received = Instant::now();
                    sender.send(Delivery::Event(Event { channel, payload, received, cursor: None }));
                }
                Step::Outage { channel } => {
                    sender.send(outage(&format!("c{channel}"), 1, 2));
                }
                Step::Take { limit } => {
                    let state = queue.queue.state.lock();
                    let idle = state.waiting.is_empty() && state.untold.is_empty();
                    prop_assert!(state.waiting.len() <= limits.events);
                    prop_assert!(state.bytes <= limits.bytes);
                    drop(state);
                    if !idle {
                        let mut taken = Vec::new();
                        runtime.block_on(queue.recv_many(&mut taken, limit));
                        prop_assert!((1..=limit).contains(&taken.len()));
                        account.read(&taken);
                    }
                }
            }
        }
        drop(sender);
        let mut rest = Vec::new();
        while runtime.block_on(queue.recv_many(&mut rest, 3)) > 0 {}
        account.read(&rest);
        for (channel, count) in sent {
            account.close(&channel, count);
        }
    }
}
