//! Those who can wait for room: they lose nothing, and cost the others nothing.

use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::*;
use crate::Event;

const LIMITS: QueueLimits = QueueLimits { events: 8, bytes: 100 };
const SOON: Duration = Duration::from_secs(5);

fn event(name: &str, bytes: usize) -> Delivery {
    let channel = Channel::parse(name).unwrap();
    let payload = Bytes::from(vec![b'x'; bytes]);
    Delivery::Event(Event { channel, payload, received: Instant::now(), cursor: None })
}

/// Whether it is told at once, with nobody reading.
async fn fits(sender: &DeliverySender, delivery: Delivery) -> bool {
    let sending = sender.send_in_turn(delivery);
    tokio::pin!(sending);
    // Polled once: it has to know at once whether there is room.
    tokio::select! {
        biased;
        _ = &mut sending => true,
        () = std::future::ready(()) => false,
    }
}

#[tokio::test]
async fn half_of_the_queue_is_for_those_who_can_wait() {
    let (sender, mut queue) = deliveries(LIMITS);
    for _ in 0..4 {
        assert!(fits(&sender, event("s", 1)).await);
    }
    assert!(!fits(&sender, event("s", 1)).await);
    for _ in 0..4 {
        assert_eq!(sender.send(event("p", 1)), SendOutcome::Queued, "the other half is free");
    }
    let mut taken = Vec::new();
    assert_eq!(queue.recv_many(&mut taken, 5).await, 5);
    assert!(fits(&sender, event("s", 1)).await);
    assert!(!fits(&sender, event("s", 60)).await, "half of the bytes, too");
}

#[tokio::test]
async fn nothing_is_too_large_for_an_empty_queue() {
    let (sender, mut queue) = deliveries(LIMITS);
    assert!(fits(&sender, event("s", 1_000)).await);
    assert!(!fits(&sender, event("s", 1)).await);
    assert_eq!(queue.recv_many(&mut Vec::new(), 1).await, 1);
    assert!(fits(&sender, event("s", 1)).await);
}

#[tokio::test]
async fn many_who_wait_all_have_their_turn_and_keep_their_order() {
    let (sender, mut queue) = deliveries(LIMITS);
    let mut waiting = JoinSet::new();
    for name in ["a", "b", "c"] {
        let sender = sender.clone();
        waiting.spawn(async move {
            for bytes in 0..200 {
                sender.send_in_turn(event(name, bytes)).await;
            }
        });
    }
    drop(sender);
    let mut next = std::collections::HashMap::new();
    let mut taken = Vec::new();
    while timeout(SOON, queue.recv_many(&mut taken, 3)).await.unwrap() > 0 {
        for delivery in taken.drain(..) {
            let Delivery::Event(event) = delivery else { panic!("{delivery:?}") };
            let expected = next.entry(event.channel.to_string()).or_insert(0);
            assert_eq!(event.payload.len(), *expected);
            *expected += 1;
        }
    }
    assert_eq!(next.into_values().collect::<Vec<_>>(), [200, 200, 200]);
}

#[tokio::test]
async fn room_that_is_not_used_is_given_back() {
    let (sender, _queue) = deliveries(LIMITS);
    let mut room = sender.room(4, 10).await;
    assert!(!fits(&sender, event("s", 1)).await);
    room.send(event("s", 5));
    drop(room);
    assert!(fits(&sender, event("s", 1)).await);
    let state = sender.queue.state.lock();
    assert_eq!((state.kept_events, state.kept_bytes, state.bytes), (0, 0, 6));
}

#[tokio::test]
async fn nobody_waits_for_a_reader_who_is_gone() {
    let (sender, queue) = deliveries(LIMITS);
    assert!(fits(&sender, event("s", 1_000)).await);
    let waiting = sender.send_in_turn(event("s", 1));
    tokio::pin!(waiting);
    tokio::select! {
        biased;
        _ = &mut waiting => panic!("there was no room"),
        () = std::future::ready(()) => drop(queue),
    }
    assert_eq!(timeout(SOON, waiting).await, Ok(SendOutcome::Closed));
}
