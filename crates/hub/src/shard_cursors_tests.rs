//! Tests of the places that tracked members are told, in order with their events.

use std::time::Duration;

use redcast_protocol::CloseCode;
use redcast_wire::text_frame;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::{Guest, Rig};
use crate::broadcast::{Broadcast, ChannelKey, Form, SlowConsumer};
use crate::hub::Hub;
use crate::testing::{Sent, event};

/// An event, and the place behind it.
fn told(channel: u64, text: &str) -> Broadcast {
    let cursor = Some(text_frame(format!("at {text}").as_bytes()));
    Broadcast { cursor, ..event(channel, text, SlowConsumer::Disconnect) }
}

async fn publish(hub: &Hub, channel: u64, text: &str) {
    hub.reserve(100).await.unwrap().send(&told(channel, text), |_| true);
}

async fn give_back(hub: &Hub, guest: &Guest) {
    let member = guest.0.connection().clone();
    hub.give_back(member, CloseCode::ServiceRestart, "bye".to_owned()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn places_are_told_once_a_second_to_those_who_want_them() {
    let rig = Rig::new();
    let Rig { hub, task, .. } = rig;
    let mut running = JoinSet::new();
    running.spawn(task.run());
    let guest = async |form: Form| {
        let socket = crate::testing::TestSocket::open();
        let seat = hub.enter(socket.clone(), form.into()).await.unwrap();
        seat.join(ChannelKey(1), None).await.unwrap();
        (seat, socket)
    };
    let (tracked, raw) = (guest(Form::Tracked).await, guest(Form::Raw).await);
    for number in 0..25 {
        publish(&hub, 1, &number.to_string()).await;
        sleep(Duration::from_millis(100)).await;
    }
    sleep(Duration::from_secs(2)).await;
    let texts = |guest: &Guest| {
        let mut texts = guest.1.texts();
        texts.retain(|text| !text.is_empty());
        texts
    };
    let places: Vec<String> =
        texts(&tracked).into_iter().filter(|text| text.starts_with("at")).collect();
    assert_eq!((places.len(), places.last().unwrap().as_str()), (4, "at 24"), "{places:?}");
    let events = texts(&tracked).into_iter().filter(|text| !text.starts_with("at"));
    assert_eq!(events.collect::<Vec<_>>(), texts(&raw));
    for place in &places {
        let texts = texts(&tracked);
        let told = texts.iter().position(|text| text == place).unwrap();
        assert_eq!(format!("at {}", texts[told - 1]), *place, "{texts:?}");
    }
}

#[tokio::test]
async fn a_drain_tells_the_last_place_before_the_close_and_after_the_last_event() {
    let mut rig = Rig::new();
    let (tracked, raw) = (rig.guest_in(Form::Tracked).await, rig.guest().await);
    for guest in [&tracked, &raw] {
        rig.join(guest, 1).await;
        rig.join(guest, 2).await;
    }
    publish(&rig.hub, 1, "a").await;
    publish(&rig.hub, 1, "b").await;
    give_back(&rig.hub, &tracked).await;
    rig.read().await;
    publish(&rig.hub, 1, "c").await;
    rig.read().await;
    tracked.0.connection().flush();
    let close = Sent::Close(1012, "bye".to_owned());
    let text = |text: &str| Sent::Text(text.to_owned());
    assert_eq!(tracked.1.sent(), [text("a"), text("b"), text("at b"), close]);
    assert_eq!(raw.1.texts(), ["a", "b", "c"]);
}

#[tokio::test]
async fn what_is_due_does_not_outlive_the_last_member() {
    let mut rig = Rig::new();
    let first = rig.guest_in(Form::Tracked).await;
    rig.join(&first, 1).await;
    publish(&rig.hub, 1, "a").await;
    rig.read().await;
    assert!(rig.task.shard.cursors.due(ChannelKey(1)).is_some());
    rig.leave(&first, 1).await;
    assert!(rig.task.shard.cursors.due(ChannelKey(1)).is_none());
    rig.join(&first, 2).await;
    publish(&rig.hub, 2, "b").await;
    rig.read().await;
    drop(first);
    rig.sweep();
    assert_eq!(rig.task.shard.cursors.next_moment(), None);
}
